"""Reusable layouts of programmable keys, and what each phone model can hold of them."""
