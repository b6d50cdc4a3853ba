"""Why did this phone not come up: what the page of a phone says of its boots, and the test boot on it."""

import urllib.error
import urllib.request
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import Account, log_in, watched

MAC = "805ec0102001"
POLYCOM = "64167f102005"


def opened(page: Page, account: Account, mac: str = MAC) -> Any:
    """The page of the phone; answers the phone."""
    found = account.api("GET", f"/devices?q={mac}")["data"][0]
    page.goto(f"/devices/{found['id']}")
    return found


def fetch(account: Account, *names: str, agent: str = "") -> None:
    for name in names:
        request = urllib.request.Request(account.url + name, headers={"User-Agent": agent})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as refused:
            refused.close()


def boots(page: Page) -> Locator:
    return page.get_by_role("list", name="Boot log").locator("> li")


def test_a_phone_that_never_asked_says_what_to_check_first(page: Page, account: Account) -> None:
    opened(page, account)
    expect(page.get_by_text("The phone has asked for nothing yet.")).to_be_visible()
    expect(
        page.get_by_text("Check first that its label says the MAC address 80:5e:c0:10:20:01")
    ).to_be_visible()


def test_each_boot_says_what_happened_and_what_to_do(page: Page, account: Account) -> None:
    agent = "Yealink SIP-T46S 66.86.0.15 80:5e:c0:10:20:01"
    fetch(account, f"{MAC}.boot", f"{MAC}.cfg", agent=agent)
    fetch(account, f"{MAC}.boot")
    account.await_log(MAC, 3)
    opened(page, account)
    newest, before = boots(page).nth(0), boots(page).nth(1)
    expect(newest.get_by_text("Did not come up")).to_be_visible()
    expect(newest.get_by_text(f"but never for its own file {MAC}.cfg.")).to_be_visible()
    expect(newest.get_by_text("If nothing follows within a minute, start it again.")).to_be_visible()
    expect(before.get_by_text("Came up, with a fault")).to_be_visible()
    expect(before.get_by_text("it says that it is a Yealink T46S")).to_be_visible()
    expect(before.get_by_text("Change the device's model to Yealink T46S")).to_be_visible()
    expect(before.get_by_text("firmware 66.86.0.15")).to_be_visible()
    expect(page.get_by_text("Requests are kept for 90 days.")).to_be_visible()


def test_a_boot_opens_to_its_requests_by_keyboard(page: Page, account: Account) -> None:
    fetch(account, f"{POLYCOM}.cfg", f"{POLYCOM}-account.cfg", f"{POLYCOM}-web.cfg")
    account.await_log(POLYCOM, 3)
    opened(page, account, POLYCOM)
    summary = boots(page).locator("summary")
    expect(summary).to_contain_text("3 requests from 127.0.0.1 over http")
    summary.focus()
    page.keyboard.press("Enter")
    rows = boots(page).get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text(f"GET {POLYCOM}.cfg")
    expect(rows.nth(1)).to_contain_text("served (200)")
    expect(rows.nth(3)).to_contain_text("file absent (404)")
    expect(rows.nth(3)).to_contain_text("the phone has not uploaded this file yet")


def test_times_are_those_of_the_accounts_zone(page: Page, account: Account) -> None:
    account.api("PATCH", "/account", {"timezone": "Asia/Kolkata"})
    account.api("POST", "/account/provisioning/rotate")
    fetch(account, f"{MAC}.boot")
    account.await_log(MAC, 1)
    opened(page, account)
    sentence = boots(page).first.get_by_text("It asked with an old provisioning URL")
    expect(sentence).to_contain_text(" IST by api_key/")
    expect(sentence).not_to_contain_text("+00:00")
    expect(boots(page).first.locator("time").first).to_contain_text("IST")


def test_a_test_boot_shows_its_steps_and_the_keys_on_the_phones_face(page: Page, account: Account) -> None:
    opened(page, account)
    page.get_by_role("button", name="Test boot").click()
    expect(page.get_by_role("status").get_by_text("The phone would come up.")).to_be_visible()
    steps = page.get_by_role("region", name="Steps of the test boot").get_by_role("row")
    expect(steps).to_have_count(3)
    expect(steps.nth(1)).to_contain_text(f"GET {MAC}.boot")
    expect(steps.nth(2)).to_contain_text("was read and taken in")
    part = page.locator("#test-boot")
    expect(part.get_by_text("4201 Front Desk, at sip.harbourlane.example:5060")).to_be_visible()
    expect(part.get_by_text("/p/********/")).to_be_visible()
    expect(part.get_by_text("UTC-0")).to_be_visible()
    face = page.get_by_role("group", name="Keys on the T54W")
    expect(face.locator("[data-slot='0.3']")).to_have_text("3 Park 1 Park 701", use_inner_text=True)
    expect(face.locator("[data-slot='0.9']")).to_contain_text("empty")
    expect(face.get_by_text("EXP50, 4 of 60 keys used")).to_be_visible()
    expect(face.locator("[data-slot='1.4']")).to_contain_text("Taxi")
    expect(face.locator(".module")).to_have_count(1)
    # Nothing of it is the phone's own.
    page.reload()
    expect(page.get_by_text("The phone has asked for nothing yet.")).to_be_visible()
    expect(page.get_by_text("pending", exact=True)).to_be_visible()
    assert "device.test_boot" in [entry.event for entry in account.entries()]


def test_a_test_boot_of_a_polycom_says_what_is_not_there(page: Page, account: Account) -> None:
    opened(page, account, POLYCOM)
    page.get_by_role("button", name="Test boot").click()
    steps = page.get_by_role("region", name="Steps of the test boot")
    expect(steps.get_by_role("row", name=f"{POLYCOM}-phone.cfg")).to_contain_text(
        "is not there: the phone goes on without it (the phone has not uploaded this file yet)"
    )
    expect(steps.get_by_role("row", name=f"PUT {POLYCOM}-app.log")).to_contain_text("thrown away")
    expect(page.get_by_role("group", name="Keys on the VVX 450")).to_be_visible()


def test_a_test_boot_that_cannot_be_made_says_why(page: Page, account: Account, console: list[str]) -> None:
    found = opened(page, account)
    account.api("DELETE", f"/devices/{found['id']}")
    page.get_by_role("button", name="Test boot").click()
    expect(page.get_by_role("alert").get_by_text("there is no such device")).to_be_visible()
    assert all("404" in line for line in console)
    console.clear()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
def test_with_boots_and_a_test_boot_the_page_is_accessible_and_fits(
    browser: Browser, account: Account, console: list[str], scheme: Any, width: int
) -> None:
    fetch(account, f"{MAC}.boot", f"{MAC}.cfg", f"{MAC}-x.cfg", agent="Yealink SIP-T46S 66.86.0.15")
    fetch(account, f"{MAC}.boot")
    account.await_log(MAC, 4)
    context = browser.new_context(
        base_url=account.site.url, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    page = watched(context, console)
    log_in(page, account.email)
    opened(page, account)
    for summary in boots(page).locator("summary").all():
        summary.click()
    page.get_by_role("button", name="Test boot").click()
    expect(page.get_by_text("The phone would come up.")).to_be_visible()
    found = Axe().run(page).response["violations"]
    assert [fault["id"] for fault in found if fault["impact"] in {"serious", "critical"}] == []
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    context.close()
    assert console == []


def test_viewers_see_the_boots_and_make_no_test_boot(
    context: BrowserContext, account: Account, console: list[str]
) -> None:
    fetch(account, f"{MAC}.boot", f"{MAC}.cfg")
    account.await_log(MAC, 2)
    account.add_user(f"v-{account.email}", "viewer")
    page = watched(context, console)
    log_in(page, f"v-{account.email}", "/devices")
    opened(page, account)
    expect(boots(page).get_by_text("It came up")).to_be_visible()
    expect(page.get_by_role("button", name="Test boot")).to_have_count(0)
    assert console == []
