"""The refusal of a phone's request: one answer, at one moment after the request came, whatever it was for."""

import asyncio
import math
from typing import Final

from provisioning.boot_log import Verdict

# Longer than any look takes on a day like others; what takes longer waits for the next such moment.
AFTER: Final = 0.020  # seconds
_COARSE: Final = 0.0015  # seconds by which a timer may be late: the system counts its time in whole ms


class Refused(Exception):
    """The phone gets the one 404; the verdict and the reason are for the boot log."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        self.verdict, self.reason = verdict, reason
        super().__init__(reason)


async def until_its_moment(came: float) -> None:
    """Until `AFTER`, or a multiple of it, from the time of the loop at which the request came.

    A timer alone would be late by what the work before it took, modulo a millisecond, and so would tell it.
    """
    loop = asyncio.get_running_loop()
    moment = came + AFTER * math.ceil((loop.time() - came) / AFTER)
    if (rest := moment - _COARSE - loop.time()) > 0:
        await asyncio.sleep(rest)
    while loop.time() < moment:  # noqa: ASYNC110
        await asyncio.sleep(0)
