"""The JSON API: each operation declared once, in the file of its noun."""
