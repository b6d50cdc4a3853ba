"""Everything that a phone is to know, as one value: all that a template sees of the account."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from button_templates.layout import Face, Key
from provisioning.phones.clock import Clock
from provisioning.phones.options import EMERGENCY_NUMBERS, Options


@dataclass(frozen=True, slots=True)
class Expansion:
    """A type of expansion module: `keys` on each, at most `modules`, `reserved` positions not settable.

    The keys are those of all its `pages`.
    """

    name: str
    keys: int
    modules: int
    reserved: frozenset[int] = frozenset()
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Model:
    """A phone model. `facts` are the vendor's own, for its templates alone."""

    name: str
    family: str
    line_keys: int
    lines: int
    expansions: tuple[Expansion, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One registration; `index` from 1 is the vendor's account or registration number."""

    index: int
    extension: str
    display_name: str
    sip_username: str
    sip_password: str = field(repr=False)
    voicemail_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Site:
    """What all phones under one provisioning URL share. `url` ends in a slash and holds the token.

    `staged_url` is the one that is to follow it, where phones are told."""

    url: str = field(repr=False)
    options: Options
    staged_url: str | None = field(default=None, repr=False)

    @property
    def next_url(self) -> str:
        """Where they are to ask from now on; what they need now is still at `url`."""
        return self.staged_url or self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        return tuple(filter(None, (self.url, self.staged_url)))


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone, whole. `slots` holds a key for every slot of the phone and of all modules it may have,
    free ones of type `none`; `modules` counts those that its layout uses; `refused` are the keys that
    it cannot hold. `url` and `staged_url` are as in `Site`.

    `contacts` are the entries that the phone itself uploaded, as the vendor's names and values.
    """

    mac: str
    model: Model
    face: Face
    lines: tuple[Line, ...]
    slots: tuple[Key, ...]
    refused: tuple[Key, ...]
    modules: int
    extension_length: int
    options: Options
    clock: Clock
    admin_password: str = field(repr=False)
    url: str = field(repr=False)
    staged_url: str | None = field(default=None, repr=False)
    contacts: tuple[Mapping[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def next_url(self) -> str:
        return self.staged_url or self.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        passwords = [line.sip_password for line in self.lines]
        return tuple(filter(None, (self.url, self.staged_url, self.admin_password, *passwords)))

    @property
    def held(self) -> tuple[Key, ...]:
        """The slots that are not free."""
        return tuple(key for key in self.slots if key.type != "none")

    @property
    def emergency_numbers(self) -> tuple[str, ...]:
        return EMERGENCY_NUMBERS
