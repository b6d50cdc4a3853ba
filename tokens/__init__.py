"""Provisioning tokens: the secret in the URL that an account's phones boot against."""

from tokens.rotations import Rotation, last_rotation
from tokens.table import Resolved, Token, current, generate, generation, resolve, rotate
from tokens.text import is_well_formed, make, put_in, redact, take_out

__all__ = [
    "Resolved",
    "Rotation",
    "Token",
    "current",
    "generate",
    "generation",
    "is_well_formed",
    "last_rotation",
    "make",
    "put_in",
    "redact",
    "resolve",
    "rotate",
    "take_out",
]
