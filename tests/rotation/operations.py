"""What a client did to a server and what it saw: each an interval on one monotonic clock, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """It took effect at one moment of the closed interval."""

    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Body:
    """The generations whose tokens and passwords a file holds, 0 for one that nobody knows, and the numbers
    of the settings in it; a file that phones share may lack the last two."""

    tokens: frozenset[int]
    passwords: frozenset[int] = frozenset()
    settings: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Fetch(Operation):
    """A phone's request with the token of a generation; `served` is None when no answer came.

    Nobody can ask with a token before it is made: to be refused means to come after its end.
    """

    generation: int
    served: bool | None
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Look(Operation):
    """The generations that were current in one snapshot."""

    live: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rotation(Operation):
    """`generation` is the new one, None when no answer came: it may have happened, late even, or never."""

    generation: int | None


@dataclass(frozen=True, slots=True)
class Change(Operation):
    """Settings were written, each with a higher number than those before; without an answer they may have
    been or not."""

    settings: int
    answered: bool
