"""A provisioning server for SIP desk phones."""

import zoneinfo

# The clock that a phone is told must not depend on the machine that renders it: only the tzdata
# package counts, never the operating system's copy.
zoneinfo.reset_tzpath(to=())
