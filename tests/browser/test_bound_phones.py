"""Phones that are bound: the switch beside the URL, and the button that opens one again."""

from urllib.request import Request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Account, log_in, watched
from tests.browser.test_devices import device, opened

MAC = "805ec0102001"


def own_url(account: Account) -> str:
    files = account.api("GET", f"/devices/{device(account)['id']}/files?reveal=true")["data"]
    (content,) = [each["content"] for each in files if each["name"] == f"{MAC}.cfg"]
    lines = dict(line.split(" = ", 1) for line in content.splitlines() if " = " in line)
    return str(lines["static.auto_provision.server.url"])


def test_it_works(page: Page, account: Account) -> None:
    page.goto("/settings?tab=devices")
    box = page.get_by_label("Bind each phone to a URL of its own")
    expect(box).not_to_be_checked()
    box.check()
    expect(page.locator("output[for=bind-phones]")).to_have_text("Saved")
    page.reload()
    expect(box).to_be_checked()
    expect(page.get_by_text("0 of 8 phones are bound to a URL of their own.")).to_be_visible()

    opened(page, account)
    fact = page.locator(".facts div", has_text="URL of its own")
    expect(fact).to_contain_text("Not bound yet")
    expect(page.get_by_role("button", name="Re-open")).to_have_count(0)
    own = own_url(account)
    assert account.site.fetch(f"{own}{MAC}.cfg")[0] == 200
    assert account.site.fetch(f"{account.url}{MAC}.cfg")[0] == 404
    account.await_log(MAC, 2)
    page.reload()
    expect(fact).to_contain_text("Bound since")
    expect(page.locator(".advice").first).to_contain_text("re-open it on this page")
    assert own.split("/")[-2] not in page.content()
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert [fault["id"] for fault in found if fault["impact"] in {"serious", "critical"}] == []

    page.get_by_role("button", name="Re-open").click()
    dialog = page.get_by_role("dialog", name="Re-open this phone?")
    expect(dialog).to_contain_text("Its own URL is refused from now on")
    dialog.get_by_role("button", name="Re-open").click()
    expect(page.get_by_text("The phone is open: it is bound anew once it has come.")).to_be_visible()
    expect(fact).to_contain_text("Not bound yet")
    assert account.site.fetch(f"{own}{MAC}.cfg")[0] == 404
    assert account.site.fetch(f"{account.url}{MAC}.cfg")[0] == 200
    reopened = [entry for entry in account.entries() if entry.event == "device.reopen"]
    assert [(entry.outcome, entry.detail) for entry in reopened] == [("success", {"was_bound": True})]


def test_of_a_phone_that_named_old_software_the_page_says_why_it_does_not_come(
    page: Page, account: Account
) -> None:
    account.api("PATCH", "/account/provisioning", {"bind_phones": True})
    agent = "FileTransport PolycomVVX-VVX_450-UA/3.3.1.0769 Type/Application"
    asked = Request(f"{account.url}64167f102005-account.cfg", headers={"User-Agent": agent})
    assert account.site.fetch(asked)[0] == 200
    account.await_log("64167f102005", 1)
    (found,) = account.api("GET", "/devices?q=64167f102005")["data"]
    page.goto(f"/devices/{found['id']}")
    fact = page.locator(".facts div", has_text="URL of its own")
    expect(fact).to_contain_text(
        "Not bound yet: it has not asked there; it last came with software older than UC software 4.0"
    )


def test_who_is_no_admin_sees_the_switch_and_cannot_move_it(
    context: BrowserContext, account: Account, console: list[str]
) -> None:
    account.add_user(f"t-{account.email}", "technician")
    page = watched(context, console)
    log_in(page, f"t-{account.email}", "/settings?tab=devices")
    expect(page.get_by_label("Bind each phone to a URL of its own")).to_be_disabled()
    assert console == []
