"""A staged rotation in the Devices tab: Stage, how far it is, Commit or Cancel, and whom Rotate strands."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Account, log_in, watched

TELLS = ("805ec0102001.cfg", "64167f102005-account.cfg")  # a T54W's and a VVX 450's
PROVISIONING = "/account/provisioning"
TAB = "/settings?tab=devices"


def stage(page: Page, reason: str = "Somebody who knows it has left") -> None:
    page.goto(TAB)
    page.get_by_role("button", name="Stage", exact=True).click()
    page.get_by_label("Why is it changed?").select_option(reason)
    page.get_by_role("dialog").get_by_role("button", name="Stage", exact=True).click()
    expect(page.get_by_role("heading", name="The next URL is being told")).to_be_focused()


def tell(account: Account, *names: str) -> None:
    for name in names:
        assert account.site.fetch(account.url + name)[0] == 200
        account.await_log(name[:12], 1)


def test_it_works(page: Page, account: Account) -> None:
    stage(page)
    total = account.api("GET", PROVISIONING)["staged"]["total"]
    expect(page.get_by_text(f"Told 0 of {total} phones")).to_be_visible()
    tell(account, *TELLS)
    page.reload()
    expect(page.get_by_text(f"Told 2 of {total} phones")).to_be_visible()
    new = account.api("GET", PROVISIONING)["staged"]["provisioning_url"]
    assert new.split("/")[-2] not in page.content()
    page.get_by_role("button", name="Commit", exact=True).click()
    dialog = page.get_by_role("dialog", name="Commit the rotation?")
    expect(dialog).to_contain_text(f"{total - 2} phones have not been told the next URL and must be visited")
    dialog.get_by_role("button", name="Commit").click()
    expect(page.get_by_text("The next URL is in force; the old one is refused.")).to_be_visible()
    expect(page.get_by_role("heading", name="The next URL is being told")).to_have_count(0)
    assert account.api("GET", PROVISIONING)["provisioning_url"] == new
    assert account.site.fetch(account.url + TELLS[0])[0] == 404
    assert account.site.fetch(new + TELLS[0])[0] == 200
    entries = [entry.event for entry in account.entries() if entry.event.startswith("token.")]
    assert entries[:2] == ["token.commit", "token.stage"]


def test_the_next_url_can_be_shown_and_is_not_in_the_page_before(page: Page, account: Account) -> None:
    stage(page)
    new = account.api("GET", PROVISIONING)["staged"]["provisioning_url"]
    assert new not in page.content()
    row = page.locator(".secret", has_text="Next URL")
    row.get_by_role("button", name="Reveal").click()
    expect(row.get_by_text(new, exact=True)).to_be_visible()


def test_a_leak_is_rotated_and_not_staged(page: Page, account: Account) -> None:
    page.goto(TAB)
    page.get_by_role("button", name="Stage", exact=True).click()
    dialog = page.get_by_role("dialog", name="Change the URL without visiting phones?")
    expect(dialog.get_by_role("button", name="Keep the present URL")).to_be_focused()
    expect(dialog.get_by_role("button", name="Rotate instead")).to_be_hidden()
    dialog.get_by_label("Why is it changed?").select_option("It has leaked")
    expect(dialog.get_by_role("button", name="Stage", exact=True)).to_be_hidden()
    expect(dialog.get_by_role("alert").filter(has_text="would be told the next one")).to_be_visible()
    dialog.get_by_role("button", name="Rotate instead").click()
    rotate = page.get_by_role("dialog", name="Rotate the provisioning token?")
    expect(rotate.get_by_label("Reason")).to_have_value("The URL has leaked")
    rotate.get_by_role("button", name="Rotate", exact=True).click()
    expect(page.get_by_role("dialog", name="The new provisioning URL")).to_be_visible()
    told = account.api("GET", PROVISIONING)
    assert (told["generation"], told["staged"]) == (2, None)
    # The next time the dialog stands there as at first.
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Stage", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Stage", exact=True)).to_be_visible()


def test_a_dialog_that_is_opened_while_the_page_is_refreshed_stays_and_the_page_is_refreshed_after_it(
    page: Page, account: Account
) -> None:
    stage(page)
    held: list[Route] = []
    page.route(f"**{TAB}", lambda route: held.append(route), times=1)
    with page.expect_request(f"**{TAB}"):
        page.get_by_role("button", name="Cancel staging").click()
    page.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog", name="Rotate the provisioning token?")
    dialog.get_by_label("Reason").fill("Somebody has left")
    with page.expect_response(f"**{TAB}"):
        held[0].continue_()
    expect(page.locator("#panel[aria-busy]")).to_have_count(0)
    expect(dialog.get_by_label("Reason")).to_have_value("Somebody has left")
    dialog.get_by_role("button", name="Keep the present URL").click()
    expect(page.get_by_role("button", name="Stage", exact=True)).to_be_visible()


def test_it_can_be_cancelled_until_a_phone_was_told(page: Page, account: Account, console: list[str]) -> None:
    stage(page)
    page.get_by_role("button", name="Cancel staging").click()
    expect(page.get_by_text("The next URL is forgotten.")).to_be_visible()
    expect(page.get_by_role("button", name="Stage", exact=True)).to_be_visible()
    assert account.api("GET", PROVISIONING)["staged"] is None
    stage(page)
    # Between the look at the page and the press on it.
    tell(account, TELLS[0])
    page.get_by_role("button", name="Cancel staging").click()
    expect(page.get_by_text("phones have been told the next URL already")).to_be_visible()
    expect(page.get_by_text("It can no longer be cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel staging")).to_have_count(0)
    assert len(console) == 1 and "409" in console.pop()


def test_rotate_names_the_phones_that_it_would_strand(page: Page, account: Account) -> None:
    stage(page)
    tell(account, *TELLS)
    page.reload()
    page.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog", name="Rotate the provisioning token?")
    expect(dialog).to_contain_text("Rotate strands the phones that were told the next URL")
    names = {phone["name"] for phone in account.api("GET", PROVISIONING)["staged"]["told_phones"]}
    assert len(names) == 2
    for name in names:
        expect(dialog.get_by_role("link", name=name)).to_be_visible()


def test_a_commit_of_what_somebody_else_staged_anew_does_nothing(
    page: Page, account: Account, console: list[str]
) -> None:
    stage(page)
    account.api("POST", f"{PROVISIONING}/cancel")
    account.api("POST", f"{PROVISIONING}/stage", {})
    page.get_by_role("button", name="Commit", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Commit").click()
    expect(page.get_by_text("by somebody else since you read it")).to_be_visible()
    assert account.api("GET", PROVISIONING)["generation"] == 1
    assert len(console) == 1 and "412" in console.pop()


def test_a_rotate_that_does_not_know_of_a_staged_one_tells_of_it_first(
    page: Page, account: Account, console: list[str]
) -> None:
    page.goto(TAB)
    account.api("POST", f"{PROVISIONING}/stage", {})
    tell(account, TELLS[0])
    page.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog", name="Rotate the provisioning token?")
    dialog.get_by_role("button", name="Rotate", exact=True).click()
    expect(dialog.get_by_text("Somebody else has changed this meanwhile.")).to_be_visible()
    expect(dialog).to_contain_text("Rotate strands the phones")
    assert account.api("GET", PROVISIONING)["generation"] == 1
    assert len(console) == 1 and "412" in console.pop()


@pytest.mark.parametrize("role", ["technician", "viewer"])
def test_who_is_no_admin_sees_how_far_it_is_and_no_button(
    account: Account, context: Any, console: list[str], role: str
) -> None:
    account.api("POST", f"{PROVISIONING}/stage", {})
    account.add_user(f"{role}-{account.email}", role)
    page = watched(context, console)
    log_in(page, f"{role}-{account.email}", TAB)
    expect(page.get_by_text("Told 0 of")).to_be_visible()
    for name in ("Stage", "Commit", "Cancel staging", "Rotate"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(page.locator(".secret", has_text="Next URL")).to_have_count(int(role == "technician"))
    assert console == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
def test_it_is_accessible_and_never_wider_than_the_screen(
    page: Page, account: Account, scheme: Any, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    account.api("POST", f"{PROVISIONING}/stage", {})
    tell(account, TELLS[0])
    axe = Axe()
    page.goto(TAB)
    page.get_by_text("must be visited after Commit").click()
    for opener in (None, "Rotate", "Commit"):
        if opener:
            page.get_by_role("button", name=opener, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
        if opener:
            page.keyboard.press("Escape")
