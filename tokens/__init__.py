"""Provisioning tokens: the secret in the URL that an account's phones boot against."""

from tokens.table import (
    Resolved,
    Token,
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
)
from tokens.text import is_well_formed, make, put_in, redact, take_out

__all__ = [
    "Resolved",
    "Token",
    "cancel",
    "commit",
    "current",
    "generate",
    "generation",
    "is_well_formed",
    "make",
    "note_told",
    "open_text",
    "put_in",
    "redact",
    "resolve",
    "rotate",
    "stage",
    "staged",
    "take_out",
]
