"""Provisioning tokens: the secret in the URL that an account's phones boot against."""

from tokens.rotations import Rotation, last_rotation
from tokens.table import (
    Resolved,
    Token,
    are_found,
    cancel,
    commit,
    current,
    generate,
    generation,
    note_told,
    open_text,
    resolve,
    rotate,
    stage,
    staged,
    staged_generation,
)
from tokens.text import KEY_PREFIX, is_key, is_well_formed, key, make, put_in, redact, take_out

__all__ = [
    "KEY_PREFIX",
    "Resolved",
    "Rotation",
    "Token",
    "are_found",
    "cancel",
    "commit",
    "current",
    "generate",
    "generation",
    "is_key",
    "is_well_formed",
    "key",
    "last_rotation",
    "make",
    "note_told",
    "open_text",
    "put_in",
    "redact",
    "resolve",
    "rotate",
    "stage",
    "staged",
    "staged_generation",
    "take_out",
]
