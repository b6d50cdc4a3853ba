"""Settings that show which they are wherever a file holds them, and what a file holds."""

import re
from collections.abc import Mapping
from typing import Any

from tests.rotation.operations import Body

_TOKEN = re.compile(rb"ppt[0-9a-hjkmnp-tv-z]{39}")
_PASSWORD = re.compile(rb'(?:user_password = \w+:|Password=")(\d+)')
_SETTINGS = re.compile(rb"\b(?:first|second)(\d+)\.example\.com")


def settings(number: int) -> Mapping[str, Any]:
    """Phone options that are several lines of each phone's file."""
    return {
        "sip_server": f"first{number}.example.com",
        "sip_backup_server": f"second{number}.example.com",
    }


def body(content: bytes, generations: Mapping[str, int], *, shared: bool) -> Body:
    """`generations` knows each by its token and by its password."""
    tokens, passwords = (
        frozenset(generations.get(secret.decode(), 0) for secret in pattern.findall(content))
        for pattern in (_TOKEN, _PASSWORD)
    )
    numbers = frozenset(map(int, _SETTINGS.findall(content)))
    assert shared or (passwords and numbers), "a phone's own file holds a password and settings"
    return Body(tokens, passwords, numbers)
