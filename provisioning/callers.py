"""Callers: who asks something of the API or the pages, by an API key or a browser's session."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import api_keys, sessions
from provisioning.db import now
from provisioning.vault import Vault


@dataclass(frozen=True, slots=True)
class Caller:
    """`actor` is as in the activity log: `user/ann@example.com` or `api_key/ak_…`.

    `user_id` and `session` (the digest of its cookie) are those of a session, `api_key_id` that of a key.
    What comes by a session is sent by a browser, which another site may have asked to: see `origin`.
    """

    account_id: str
    actor: str
    role: str
    via: Literal["api_key", "session"]
    user_id: str | None = None
    session: bytes | None = field(default=None, repr=False)
    api_key_id: str | None = None
    touch_due: bool = field(default=False, compare=False)


async def recognise(
    session: AsyncSession,
    vault: Vault,
    *,
    bearer: str | None,
    cookie: str | None,
    at: datetime | None = None,
) -> Caller | None:
    """The caller with this API key or, where none is given, with this cookie; None when it is good for none.

    A key that is no good is not made good by a cookie.
    """
    at = at or now()
    if bearer is not None:
        key = await api_keys.find(session, vault, bearer)
        if key is None:
            return None
        return Caller(
            key.account_id,
            f"api_key/{key.id}",
            key.role,
            "api_key",
            api_key_id=key.id,
            touch_due=key.touch_due(at),
        )
    found = await sessions.find(session, vault, cookie, at=at) if cookie is not None else None
    if found is None:
        return None
    return Caller(
        found.user.account_id,
        f"user/{found.user.email}",
        found.user.role,
        "session",
        user_id=found.user.id,
        session=found.digest,
        touch_due=found.touch_due,
    )


async def touch(session: AsyncSession, caller: Caller, *, at: datetime | None = None) -> None:
    """Notes that the key or the session is used, when that was not noted within the last minute."""
    if caller.touch_due and caller.api_key_id is not None:
        await api_keys.touch(session, caller.api_key_id, at=at)
    if caller.touch_due and caller.session is not None:
        await sessions.touch(session, caller.session, at=at)
