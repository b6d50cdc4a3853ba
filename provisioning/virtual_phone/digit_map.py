"""Digit maps, in the form that both vendors took from MGCP: alternatives of digits with `|` between."""

import re
from functools import lru_cache
from typing import Literal

Dialled = Literal["at once", "after timeout", "no match"]

_PART = re.compile(r"(?P<any>[xX])|(?P<key>[0-9*#+])|\[(?P<set>[0-9*#-]+)\]|(?P<more>\.)|(?P<tone>,)")


def dialled(digit_map: str, number: str) -> Dialled:
    """What becomes of `number` as it is typed: "no match" also where its beginning is dialled before."""
    patterns = [_compile(alternative) for alternative in digit_map.split("|")]
    for length in range(1, len(number)):
        if any(not waits and re.fullmatch(pattern, number[:length]) for pattern, waits in patterns):
            return "no match"
    waiting = {waits for pattern, waits in patterns if re.fullmatch(pattern, number)}
    return "no match" if not waiting else "after timeout" if waiting == {True} else "at once"


def unreadable(digit_map: str) -> bool:
    """Whether an alternative is none that a phone can read."""
    try:
        for alternative in digit_map.split("|"):
            _compile(alternative)
    except ValueError:
        return True
    return False


@lru_cache(maxsize=1024)
def _compile(alternative: str) -> tuple[str, bool]:
    """The alternative as a regular expression, and whether the phone waits before it dials."""
    body = alternative.removesuffix("T")
    pattern, at = "", 0
    while at < len(body):
        match = _PART.match(body, at)
        if match is None or (match["more"] and not pattern):
            raise ValueError("unreadable digit map")
        pattern += _translate(match)
        at = match.end()
    if not pattern:
        raise ValueError("unreadable digit map")
    re.compile(pattern)
    return pattern, body != alternative or body.endswith(".")


def _translate(match: re.Match[str]) -> str:
    if match["set"]:
        return f"[{match['set']}]"
    if match["key"]:
        return re.escape(match["key"])
    return "[0-9]" if match["any"] else "*" if match["more"] else ""
