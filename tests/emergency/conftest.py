"""An account with the sample's devices, and a mail relay that its server hands mails to."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from provisioning.relay import Relay
from provisioning.schedule import Schedule
from tests.api.conftest import Account, Answer, stocked
from tests.conftest import House, StartHouse, Stock
from tests.mail_relay import MailRelay

SAFETY: Final = "safety@harbourlane.example"  # the account's recipient
DESK: Final = "frontdesk@harbourlane.example"  # Portland's
QUICK: Final = Schedule(delays=(0.0, *(0.05,) * 40), limit=1.0, margin=1.0, poll=0.05, grace=0.2)


@pytest.fixture
async def relay() -> AsyncIterator[MailRelay]:
    relay = MailRelay()
    async with relay.running():
        yield relay


@pytest.fixture
async def house(start_house: StartHouse, relay: MailRelay) -> House:
    return await start_house(relays=(at(relay),), schedule=QUICK)


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture
async def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


def at(relay: MailRelay) -> Relay:
    return Relay("127.0.0.1", relay.port)


async def report(account: Account, **changes: Any) -> Answer:
    """What the switch reports: by default a test call of extension 4202, Ann's, from Portland."""
    body = {"call_id": "call-1", "dialed": "933", "sip_username": "4202", "caller_number": "+12075550142"}
    body |= changes
    return await account.switch.post(
        "/switch/emergency-calls", {k: v for k, v in body.items() if v is not None}
    )


async def calls(account: Account) -> list[dict[str, Any]]:
    """The calls as an admin sees them, once nothing is being sent."""
    await account.house.sender.settled()
    found: list[dict[str, Any]] = (await account.admin.get("/emergency-calls")).json["data"]
    return found
