"""Faxes over the API: the switch asks, on any server, and the account's limit holds."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import faxes
from tests.api.conftest import Account, Client
from tests.shell import Shell


def fax(fax_id: str, direction: str = "inbound") -> dict[str, str]:
    return {"direction": direction, "fax_id": fax_id}


async def test_it_works(account: Account) -> None:
    await account.admin.patch("/account/telephony", {"inbound_fax_limit": 1})
    taken = await account.switch.post("/switch/faxes", fax("a"))
    assert (taken.status, taken.json) == (200, {"admitted": True, "remaining": 0})
    refused = await account.switch.post("/switch/faxes", fax("b"))
    assert refused.status == 429
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert refused.json["detail"].startswith("the account takes 1 inbound fax in any 3600 seconds: try again")


async def test_without_a_limit_nothing_is_told_to_remain(account: Account) -> None:
    taken = await account.switch.post("/switch/faxes", fax("a"))
    assert (taken.status, taken.json) == (200, {"admitted": True, "remaining": None})


async def test_each_direction_has_its_limit(account: Account) -> None:
    await account.admin.patch("/account/telephony", {"inbound_fax_limit": 0, "outbound_fax_limit": 7})
    refused = await account.switch.post("/switch/faxes", fax("a"))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3600")
    assert (await account.switch.post("/switch/faxes", fax("a", "outbound"))).json["remaining"] == 6


async def test_the_activity_says_which_fax_was_taken_and_which_denied(account: Account) -> None:
    await account.admin.patch("/account/telephony", {"inbound_fax_limit": 1})
    for fax_id in ("a@sip.example", "b@sip.example"):
        await account.switch.post("/switch/faxes", fax(fax_id))
    ends = [(entry.event, entry.resource, entry.outcome) for entry in (await account.entries())[-2:]]
    assert ends == [
        ("fax.admit", "fax/inbound/a@sip.example", "success"),
        ("fax.admit", "fax/inbound/b@sip.example", "denied"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fax_id": "a"}, "direction"),
        (fax("a", "sideways"), "direction"),
        (fax(""), "fax_id"),
        (fax("a b"), "fax_id"),
        (fax("\0"), "fax_id"),
        (fax("x" * 256), "fax_id"),
        ({**fax("a"), "limit": 9}, "limit"),
    ],
)
async def test_a_fax_that_cannot_be_is_refused_by_field(
    account: Account, body: dict[str, object], field: str
) -> None:
    answer = await account.switch.post("/switch/faxes", body)
    assert (answer.status, answer.fields) == (422, [field])


@pytest.mark.parametrize("limit", [60])
async def test_as_many_as_allowed_are_taken_when_all_come_at_once_on_four_servers(
    account: Account, database_url: str, tmp_path: Path, limit: int
) -> None:
    """100 faxes, each reported twice and at two servers: 200 requests at once."""
    await account.admin.patch("/account/telephony", {"inbound_fax_limit": limit})
    with ExitStack() as stack:
        servers = [Shell(tmp_path) for _ in range(4)]
        for server in servers:
            server.environ["PROVISIONING_DATABASE_URL"] = database_url
            server.environ["PROVISIONING_KEY_FILE"] = str(tmp_path / "keys.json")
            stack.enter_context(server.serving())

        async def report(number: int) -> tuple[str, int]:
            there = Client(replace(account.house, url=servers[number % 4].url), account.switch.key)
            answer = await there.post("/switch/faxes", fax(f"fax-{number // 2}"))
            return f"fax-{number // 2}", answer.status

        ends = await asyncio.gather(*(report(number) for number in range(200)))
    assert Counter(status for _, status in ends) == Counter({200: 2 * limit, 429: 200 - 2 * limit})
    assert (
        len({fax_id for fax_id, status in ends if status == 200}) == limit == await account.count(faxes.Row)
    )
