#!version:1.0.0.1
include:config "001565102003.cfg"
overwrite_mode = 1
