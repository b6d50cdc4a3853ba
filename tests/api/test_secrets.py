"""Canaries: a token, passwords and keys, driven through every operation, are found only where they belong."""

import io
import logging
from typing import Any, Final

import pytest
import sqlalchemy as sa

from provisioning import activity, boot_log, emergency, outbox
from provisioning.api.operation import OPERATIONS
from provisioning.relay import Relay
from tests.api.conftest import Client, stocked
from tests.api.test_every_operation import call, resources
from tests.conftest import StartHouse, Stock

# Operations whose answer is to show a secret, by the contract.
SHOWS: Final = {
    "provisioning.read",
    "provisioning.update",
    "token.generate",
    "token.rotate",
    "token.stage",
    "token.commit",
    "token.cancel",
    "admin_password.update",
    "extension.reveal",
    "api_key.create",
    "switch.directory",
}
PASSWORDS: Final = ("Kq7vTz2mWx94LpRd", "739204816355", "a long password", "kept-by-the-relay")
BAD: Final[tuple[dict[str, Any], ...]] = (
    {"id": "junk"},
    {"body": {"no": PASSWORDS[0]}},
    {"query": f"?q={PASSWORDS[0]}"},
    {"query": "?realm=sip.example"},
)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_no_secret_is_found_where_it_does_not_belong(start_house: StartHouse, stock: Stock) -> None:
    relays = (Relay("127.0.0.1", 1, username="mailer", password=PASSWORDS[-1]),)
    account = stocked(await start_house(relays=relays), stock)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    ids = await resources(account)
    secrets = {account.url.split("/")[-2], *PASSWORDS, str(account.admin.key), str(account.viewer.key)}
    shown: list[str] = []
    roles = (account.admin, account.technician, account.viewer, account.switch, account.nobody)
    ways: list[tuple[Client, dict[str, Any]]] = [(client, {}) for client in roles]
    ways += [(account.admin, changes) for changes in BAD]
    for operation in sorted(OPERATIONS, key=lambda o: (o.method == "DELETE", o.path)):
        for client, changes in ways:
            answer = await call(client, operation, ids, **changes)
            assert answer.status < 500
            if operation.event in SHOWS and answer.status < 300:
                secrets |= collected(answer.json)
            else:
                shown.append(answer.text)
        for name in ("805ec0102001.cfg", "64167f102005-account.cfg"):
            await account.house.http.get(account.url + name)
    await account.house.log.flush()
    logging.getLogger().removeHandler(handler)

    async with account.house.database.read() as session:
        kept = [
            repr(row)
            for table in (activity.Row, boot_log.Row, emergency.Row, outbox.Row)
            for row in await session.execute(sa.select(table.__table__))
        ]
        dump = [repr(row) for row in await session.execute(sa.text("SELECT * FROM provisioning_tokens"))]
    places = {"answers": shown, "activity and boot log": kept, "tokens": dump, "logs": [log.getvalue()]}
    found = {
        (place, secret[:6])
        for place, texts in places.items()
        for secret in secrets
        if any(secret in text for text in texts)
    }
    assert len(secrets) > 8
    assert found == set()


def collected(told: dict[str, Any]) -> set[str]:
    """The secrets of an answer that shows some."""
    names = ("token", "admin_password", "sip_password", "key", "password", "ha1")
    next_url = (told.get("staged") or {}).get("provisioning_url") or "//"
    return {str(secret) for secret in (*map(told.get, names), next_url.split("/")[-2]) if secret}
