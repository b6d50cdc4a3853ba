"""`provisioning restore-guard`: what a database from a backup would bring back to life stays dead."""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from provisioning import accounts, activity, api_keys, devices, emergency, outbox, revisions, sessions, users
from provisioning.config import Config
from provisioning.db import now
from provisioning.errors import invalid
from provisioning.opened import opened
from provisioning.vault import Vault

# A younger mail may be the only word of a call, and goes out. By then an older one has been tried for an
# hour, and would speak of an emergency that is over.
_OLD: Final = timedelta(hours=1)
_WHY: Final = (
    "Held back: the database was restored from a backup, and this mail may have been delivered since."
)


def add_command(commands: Any) -> None:
    """`commands` is what `ArgumentParser.add_subparsers` gives."""
    guard = commands.add_parser(
        "restore-guard",
        help="after a database was restored, before a server starts on it: rotate all tokens; prints JSON",
    )
    guard.add_argument("--email", action="append", help="only this account; may be repeated")
    guard.add_argument(
        "--revoke-keys", action="store_true", help="all API keys too, those of switches as well"
    )
    guard.set_defaults(run=_run)


def _run(environment: Config, options: argparse.Namespace) -> int:
    async def run() -> list[dict[str, object]]:
        # One transaction: a database of which a part is guarded could be taken for a guarded one.
        async with opened(environment) as (database, vault), database.write() as session:
            ids = await _accounts(session, options.email)
            guarded = [await guard(session, vault, i, revoke_keys=options.revoke_keys) for i in ids]
        return [_shown(one, environment.phones_url) for one in guarded]

    print(json.dumps({"accounts": asyncio.run(run())}, indent=2))
    return 0


@dataclass(frozen=True, slots=True)
class Guarded:
    """`token` is None for an account that has none; the keys, users and mails are for somebody to look at."""

    account_id: str
    email: str
    token: tokens.Token | None
    sessions_ended: int
    api_keys: Sequence[api_keys.ApiKey]
    keys_revoked: bool
    users: Sequence[users.User]
    held_back: Sequence[outbox.Row]
    to_be_sent: Sequence[outbox.Row]


async def guard(session: AsyncSession, vault: Vault, account_id: str, *, revoke_keys: bool) -> Guarded:
    """Rotates the token, ends all sessions and holds back old mails of one account."""
    has_token = await tokens.generation(session, account_id) > 0
    token = await tokens.rotate(session, vault, account_id, actor="system") if has_token else None
    await revisions.leap(session, account_id)
    ended = await sessions.end_all(session, account_id)
    mails = await emergency.mails_waiting(session, account_id)
    old = [mail for mail in mails if mail.created_at < now() - _OLD]
    for mail in old:
        outbox.hold_back(mail, _WHY)
    keys = await api_keys.all_of(session, account_id)
    guarded = Guarded(
        account_id=account_id,
        email=(await accounts.get(session, account_id)).general.email,
        token=token,
        sessions_ended=ended,
        api_keys=keys,
        keys_revoked=revoke_keys,
        users=await users.all_of(session, account_id),
        held_back=old,
        to_be_sent=[mail for mail in mails if mail not in old],
    )
    for key in keys if revoke_keys else ():
        await api_keys.delete(session, account_id, key.id)
        await _record(session, account_id, "api_key.delete", f"api_key/{key.id}")
    detail = {"sessions_ended": ended, "mails_held_back": len(old)}
    if token:
        await _record(session, account_id, "token.rotate", "account", generation=token.generation, **detail)
    else:
        await _record(session, account_id, "session.delete", "session", **detail)
    return guarded


async def _record(session: AsyncSession, account_id: str, event: str, resource: str, **detail: int) -> None:
    await activity.record(
        session,
        account_id,
        event,
        resource,
        actor="system",
        detail={"cause": "restored from a backup"} | detail,
    )


async def _accounts(session: AsyncSession, emails: Sequence[str] | None) -> list[str]:
    """Without `emails`, all."""
    if emails is None:
        return await accounts.all_ids(session)
    found = {email: await accounts.find(session, email) for email in emails}
    for email, account in found.items():
        if account is None:
            raise invalid("--email", f"there is no account with the email {email}")
    return sorted({account.id for account in found.values() if account})


def _shown(guarded: Guarded, base_url: str) -> dict[str, object]:
    token = guarded.token
    return {
        "account_id": guarded.account_id,
        "email": guarded.email,
        "generation": token.generation if token else 0,
        "provisioning_url": devices.provisioning_url(base_url, token.text) if token else None,
        "sessions_ended": guarded.sessions_ended,
        "api_keys_revoked" if guarded.keys_revoked else "api_keys": [
            {"id": key.id, "name": key.name, "role": key.role} for key in guarded.api_keys
        ],
        "users": [{"email": user.email, "role": user.role} for user in guarded.users],
        "mails_held_back": [_mail(row) for row in guarded.held_back],
        "mails_to_be_sent": [_mail(row) for row in guarded.to_be_sent],
    }


def _mail(row: outbox.Row) -> dict[str, str]:
    return {
        "emergency_call_id": row.emergency_call_id,
        "recipient": row.recipient,
        "created_at": row.created_at.isoformat(timespec="seconds"),
    }
