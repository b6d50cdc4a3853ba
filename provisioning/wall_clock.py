"""The machine's clock, and whether it was set lately: what was to come then seems to be long past."""

import time
from typing import Final

_SET: Final = 2.0  # seconds; NTP that slews is slower, and no round of a sender takes so long


class WallClock:
    """Compares the wall's clock with the one that only ever runs on."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()
        self._jumped_at = float("-inf")

    def has_jumped(self, within: float) -> bool:
        """Whether it was set within the last so many seconds, at any look at this."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > _SET:
            self._jumped_at = time.monotonic()
            self._offset = offset
        return time.monotonic() - self._jumped_at < within
