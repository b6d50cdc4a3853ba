"""The few errors that the house raises on purpose."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pydantic
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong: `field` is a dotted path (`devices[2].mac`), `message` is for people."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ProvisioningError(Exception):
    """Something that the caller can mend; its text is safe to show and holds no secret."""


class Invalid(ProvisioningError):
    """Input that is refused, with the field of each fault."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(str(error) for error in self.errors))

    def under(self, prefix: str) -> "Invalid":
        """The same faults, seen from the thing that holds this one."""
        return Invalid(FieldError(_join(prefix, e.field), e.message) for e in self.errors)


class NotFound(ProvisioningError):
    """There is no such thing on this account."""


class Conflict(ProvisioningError):
    """The thing is not in a state that allows this."""


class Forbidden(ProvisioningError):
    """The caller may not do this."""


class Stale(ProvisioningError):
    """The thing is no longer as the caller read it."""


class RenderError(ProvisioningError):
    """A phone's file cannot be made from what the account holds."""


@contextmanager
def collected(faults: list[FieldError], path: str = "") -> Iterator[None]:
    """Notes the faults of one part under its path, so that one run names those of all parts."""
    try:
        yield
    except Invalid as error:
        faults += error.under(path).errors
    except RenderError as error:
        faults.append(FieldError(path, str(error)))


@contextmanager
def missing(field: str) -> Iterator[None]:
    """Makes of what is not found a fault of the field that names it."""
    try:
        yield
    except NotFound as error:
        raise invalid(field, str(error)) from None


def invalid(field: str, message: str) -> Invalid:
    return Invalid([FieldError(field, message)])


def from_pydantic(error: pydantic.ValidationError) -> Invalid:
    """The faults of a model without the values, which may be secret."""
    return Invalid(
        FieldError(_path(fault["loc"]), _in_words(fault))
        for fault in error.errors(include_url=False, include_input=False)
    )


# pydantic's own words are of inputs and strings, and people read them beside a field.
_WORDS: Final = {
    "missing": "is needed",
    "extra_forbidden": "is no field here",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "literal_error": "must be {expected}",
    "string_too_long": "must be {max_length} characters at most",
    "string_too_short": "must be {min_length} characters at least",
    "too_long": "must hold {max_length} at most",
    "too_short": "must hold {min_length} at least",
    "string_pattern_mismatch": "is not of the form that it should have",
    "datetime_type": "must be a time such as 2026-11-24T17:40:00Z",
    "datetime_parsing": "must be a time such as 2026-11-24T17:40:00Z",
    "datetime_from_date_parsing": "must be a date such as 2026-11-24",
}


def _in_words(fault: ErrorDetails) -> str:
    words = _WORDS.get(fault["type"])
    if words is None:
        return fault["msg"].removeprefix("Value error, ")
    if fault.get("ctx", {}).get("min_length") == 1:
        return "must not be empty"
    # What is allowed, never what was given.
    return words.format_map(
        {name: str(value).replace("'", "") for name, value in fault.get("ctx", {}).items()}
    )


def _path(parts: Iterable[int | str]) -> str:
    path = ""
    for part in parts:
        # A key that people typed may be anything; in an error it stays one short line.
        path = _join(path, f"[{part}]" if isinstance(part, int) else re.sub(r"[^\w.-]", "?", part[:60]))
    return path


def _join(prefix: str, field: str) -> str:
    separator = "." if prefix and field and not field.startswith("[") else ""
    return prefix + separator + field


class TooMany(ProvisioningError):
    """It was asked for too often; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int, why: str = "too many attempts") -> None:
        self.retry_after = retry_after
        super().__init__(f"{why}: try again in {retry_after} seconds")
