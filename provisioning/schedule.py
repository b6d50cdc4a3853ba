"""When a mail is tried, and how long a try may take."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_SOON: Final = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds throughout. `delays` are those after the first failure, the second and so on; when there is
    none left the mail has failed. A claim lapses `margin` after its attempt's time is over.

    `lane` is how many mails one process sends at once for the first time, and as many again that it
    sends another time, so that old trouble takes no place from a new mail.
    """

    delays: tuple[float, ...] = (*_SOON, *(60.0,) * 60, *(300.0,) * 288)
    limit: float = 20.0
    patient_limit: float = 60.0
    margin: float = 10.0
    poll: float = 1.0
    grace: float = 3.0
    lane: int = 8
    patient: int = 4  # the first of the later attempts

    @property
    def longest(self) -> timedelta:
        """How long a mail ever waits for its next attempt, be it put off or claimed."""
        return max(timedelta(seconds=max(self.delays, default=0.0)), self.lease(self.patient))

    def delay(self, attempt: int) -> timedelta | None:
        """How long after its failed `attempt`, 1 being the first, a mail is tried again; None for never."""
        return timedelta(seconds=self.delays[attempt - 1]) if attempt <= len(self.delays) else None

    def time_for(self, attempt: int) -> float:
        """How long an attempt may take. Later ones are given longer: a relay that takes the mail and is slow
        to say so would otherwise be given it again and again."""
        return self.limit if attempt < self.patient else self.patient_limit

    def lease(self, attempt: int) -> timedelta:
        """How long a claim lasts; whoever made it is dead by then."""
        return timedelta(seconds=self.time_for(attempt) + self.margin)
