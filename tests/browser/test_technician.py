"""The technician's whole story: 40 phones at two sites, a rotation and the walk, then one that needs none."""

import asyncio
import csv
import io
import time
from collections.abc import Iterable, Mapping
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from provisioning.virtual_phone import Boot, VirtualPhone, virtual_phone
from tests.api.test_board import BACK, KNOCKING, NEVER, POLYCOMS, WRONG, YEALINKS, account_text
from tests.browser.conftest import Account, Inside, loaded
from tests.shell import Shell

PROVISIONING: Final = "/account/provisioning"
FLEET: Final = [*YEALINKS, *POLYCOMS]


@pytest.fixture
def account(site: Shell, inside: Inside) -> Account:
    return loaded(site, inside, account_text(), "two@sites.example")


def phone(account: Account, mac: str, model: str | None = None) -> VirtualPhone:
    vendor = account.inside.rendering.vendors["yealink" if mac in YEALINKS else "polycom"]
    return virtual_phone(vendor, vendor.models[model or ("T54W" if mac in YEALINKS else "VVX 450")], mac)


def boot(account: Account, phones: Iterable[VirtualPhone], url: str) -> None:
    async def all_() -> None:
        await asyncio.gather(*(each.boot(url) for each in phones))

    account.inside.run(all_())


def poll(account: Account, phones: Iterable[VirtualPhone], staged_url: str | None = None) -> list[Boot]:
    """Each asks at the address that it was told last."""

    async def all_() -> list[Boot]:
        return await asyncio.gather(*(each.poll(staged_url=staged_url) for each in phones))

    return account.inside.run(all_())


def await_counts(account: Account, **counts: int) -> None:
    """Until the boot log, which is written a moment after the answers, tells so many phones."""
    until = time.monotonic() + 20
    while True:
        told = account.api("GET", f"{PROVISIONING}/board?limit=0")["counts"]
        if counts.items() <= told.items():
            return
        assert time.monotonic() < until, told
        time.sleep(0.1)


def states(account: Account) -> Mapping[str, str]:
    """What the board says of each phone, by its MAC address."""
    board = account.api("GET", f"{PROVISIONING}/board")
    return {row["mac"]: row["state"] for place in board["locations"] for row in place["devices"]}


def test_the_walk_after_a_rotation_and_then_a_rotation_without_one(page: Page, account: Account) -> None:
    fleet = {mac: phone(account, mac) for mac in FLEET}
    boot(account, [fleet[mac] for mac in FLEET if mac != NEVER], account.url)
    await_counts(account, back=39)
    new = str(account.api("POST", f"{PROVISIONING}/rotate", {"reason": "routine"})["provisioning_url"])
    boot(account, [fleet[mac] for mac in BACK if mac != WRONG] + [phone(account, WRONG, "T46S")], new)
    poll(account, [fleet[mac] for mac in KNOCKING])
    await_counts(account, back=20, knocking=3, silent=17)

    # The board.
    page.goto("/rotation")
    expect(page.get_by_text("20 of 40 phones are back, 3 knocking, 17 silent.")).to_be_visible()
    expect(page.get_by_role("heading", name="Portland 10 of 20 back")).to_be_visible()
    expect(page.get_by_role("heading", name="Boston 10 of 20 back")).to_be_visible()
    page.get_by_label("State", exact=True).select_option("Knocking")
    names = page.locator(".place tbody th")
    expect(names).to_have_text([f"Desk {FLEET.index(mac)}" for mac in sorted(KNOCKING)])
    # On paper the same.
    said = states(account)
    with page.expect_download() as file:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(file.value.path().read_text("utf-8"))))
    assert sorted(row["mac"].replace(":", "") for row in rows) == sorted(KNOCKING)
    assert {row["state"] for row in rows} == {"knocking"}
    assert sorted(mac for mac, state in said.items() if state == "back") == sorted(BACK)

    # And each phone's own page.
    for mac, sentence in (
        (KNOCKING[0], "It asked with an old provisioning URL, which was rotated out at"),
        (WRONG, "It came up, although it says that it is a Yealink T46S, and the device here"),
        (POLYCOMS[0], "It came up: it was served all files of its own."),
        (NEVER, "The phone has asked for nothing yet."),
    ):
        page.goto(f"/devices?q={mac}")
        page.get_by_role("link", name=f"Desk {FLEET.index(mac):02}").click()
        log = page.get_by_role("region", name="Boot log")
        expect(log).to_contain_text(sentence)

    # The walk: somebody enters the new URL in each that is not back.
    boot(account, [fleet[mac] for mac in FLEET if said[mac] != "back"] + [fleet[WRONG]], new)
    await_counts(account, back=40, knocking=0, silent=0)

    # Another rotation, staged: nobody walks.
    page.goto("/settings?tab=devices")
    page.get_by_role("button", name="Stage", exact=True).click()
    page.get_by_label("Why is it changed?").select_option("Somebody who knows it has left")
    page.get_by_role("dialog").get_by_role("button", name="Stage", exact=True).click()
    expect(page.get_by_text("Told 0 of 40 phones")).to_be_visible()
    following = account.api("GET", PROVISIONING)["staged"]["provisioning_url"]
    lines = {mac: each.lines() for mac, each in fleet.items()}
    assert all(each.came_up for each in poll(account, fleet.values(), following))
    await_counts(account, back=40, told=40)
    page.goto("/rotation")
    expect(page.get_by_text("40 of 40 phones know the next URL.")).to_be_visible()
    # They ask at the next URL before it is in force, are refused, and keep what they have.
    early = poll(account, fleet.values(), following)
    assert {exchange.status for each in early for exchange in each.exchanges} == {404}
    assert {mac: each.lines() for mac, each in fleet.items()} == lines
    page.goto("/settings?tab=devices")
    page.get_by_role("button", name="Commit", exact=True).click()
    page.get_by_role("dialog", name="Commit the rotation?").get_by_role("button", name="Commit").click()
    expect(page.get_by_text("The next URL is in force; the old one is refused.")).to_be_visible()
    assert all(each.came_up for each in poll(account, fleet.values()))
    await_counts(account, back=40, knocking=0, silent=0)
    page.goto("/rotation")
    expect(page.get_by_text("40 of 40 phones are back, 0 knocking, 0 silent.")).to_be_visible()
    assert account.site.fetch(f"{new}{YEALINKS[0]}.cfg")[0] == 404
