"""The page after a rotation: who is back, who is not and why, what to do there, on screen and on paper."""

import csv
import io
import re
import time
from typing import Any

import pytest
import segno
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from provisioning.virtual_phone import virtual_phone
from tests.browser.conftest import PASSWORD, Account, log_in, watched
from tests.shell import Shell

BOARD = "/account/provisioning/board"
DESK, OFFICE, HYGIENE, LAB = "805ec0102001", "001565102002", "001565102003", "001565102004"
RECEPTION, CHEN, WORKSHOP, TRIO = "64167f102005", "482567102006", "0004f2102007", "64167f102008"


def boot(account: Account, url: str, mac: str, model: str | None = None) -> None:
    """The phone boots as its vendor's firmware does, as the model that it is, or as another one."""
    found = account.api("GET", f"/devices?q={mac}")["data"]
    told = found[0] if found else {"vendor": "yealink", "model": "T46S"}
    vendor = account.inside.rendering.vendors[told["vendor"]]
    account.inside.run(virtual_phone(vendor, vendor.models[model or told["model"]], mac).boot(url))


def await_board(account: Account, **counts: int) -> Any:
    """The board, once the boot log, which is written a moment after the answers, tells so many phones."""
    until = time.monotonic() + 10
    while True:
        told = account.api("GET", BOARD)
        if all(told["counts"][state] == count for state, count in counts.items()):
            return told
        assert time.monotonic() < until, told["counts"]
        time.sleep(0.05)


@pytest.fixture
def url(account: Account) -> str:
    """The new URL: two phones are back, one of them as another model; two knock, the others are silent."""
    for mac in (DESK, OFFICE, HYGIENE, RECEPTION):
        boot(account, account.url, mac)
    new = str(account.api("POST", "/account/provisioning/rotate", {})["provisioning_url"])
    boot(account, new, DESK)
    boot(account, new, OFFICE, "T48S")
    for mac in (HYGIENE, RECEPTION):
        boot(account, account.url, mac)
    await_board(account, back=2, knocking=2, silent=4)
    return new


def row(page: Page, name: str) -> Locator:
    return page.locator("tr", has=page.get_by_role("link", name=name, exact=True))


def names(page: Page) -> list[str]:
    return page.locator(".place tbody th").all_inner_texts()


def text_of(page: Page) -> Locator:
    return page.locator("#progress-text")


class TestTheBoard:
    def test_it_tells_each_phone_as_it_is(self, page: Page, account: Account, url: str) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_role("link", name="Show which have come back").click()
        expect(page.get_by_role("heading", name="Re-provisioning")).to_be_visible()
        expect(page.get_by_role("status").filter(has_text="of")).to_have_text(
            "2 of 8 phones are back, 2 knocking, 4 silent."
        )
        bar = page.get_by_role("progressbar", name="Phones that are back")
        assert bar.evaluate("bar => [bar.value, bar.max]") == [2, 8]
        # In the order of the sites, and in a site of the names.
        assert names(page) == [
            "Conference room",
            "Front desk, Portland",
            "Hygiene 1",
            "Jörg's office",
            "Lab, since 2012",
            "Ming Chen",
            "Reception, Sydney",
            "Workshop, since 2010",
        ]
        expect(page.get_by_role("heading", name="Portland 2 of 5 back")).to_be_visible()
        expect(page.get_by_role("heading", name="Sydney 0 of 3 back")).to_be_visible()
        for name, state, seen in (
            ("Front desk, Portland", "Back", r"^Fetched .+, from 127\.0\.0\.1$"),
            ("Jörg's office", "Back", r"^Fetched .+The phone says model T48S, not T46S\.$"),
            (
                "Hygiene 1",
                "Knocking",
                r"^Claims to be this phone: asked with the URL of generation 1, .+, from 127\.0\.0\.1$",
            ),
            ("Reception, Sydney", "Knocking", "^Claims to be this phone"),
            ("Lab, since 2012", "Silent", "^Never$"),
        ):
            cells = row(page, name).get_by_role("cell")
            expect(cells.nth(0)).to_have_text(state)
            expect(cells.nth(0).locator("svg")).to_have_count(1)  # a shape, too, not a colour alone
            expect(cells.nth(4)).to_have_text(re.compile(seen, re.S))
        expect(row(page, "Reception, Sydney").get_by_text("4301, 4303")).to_be_visible()
        expect(row(page, "Reception, Sydney").get_by_text("Polycom VVX 450")).to_be_visible()

    def test_the_bar_moves_by_itself_and_the_row_with_it(
        self, page: Page, account: Account, url: str
    ) -> None:
        page.clock.install()
        page.goto("/rotation")
        expect(text_of(page)).to_have_text("2 of 8 phones are back, 2 knocking, 4 silent.")
        page.get_by_role("link", name="Hygiene 1").focus()
        boot(account, url, HYGIENE)
        await_board(account, back=3)
        page.clock.fast_forward(6_000)
        expect(text_of(page)).to_have_text("3 of 8 phones are back, 1 knocking, 4 silent.")
        assert page.get_by_role("progressbar").evaluate("bar => bar.value") == 3
        expect(row(page, "Hygiene 1").get_by_role("cell").first).to_have_text("Back")
        expect(page.get_by_role("link", name="Hygiene 1")).to_be_focused()

    def test_nobody_asks_while_the_page_is_not_seen_or_all_are_back(
        self, page: Page, account: Account, url: str
    ) -> None:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
        page.clock.install()
        page.goto("/rotation")
        hide = "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        hide += " document.dispatchEvent(new Event('visibilitychange')); }"
        page.evaluate(hide, True)
        page.clock.fast_forward(60_000)
        assert asked == []
        for mac in (HYGIENE, LAB, RECEPTION, CHEN, WORKSHOP, TRIO):
            boot(account, url, mac)
        await_board(account, back=8)
        page.evaluate(hide, False)
        expect(text_of(page)).to_have_text("8 of 8 phones are back, 0 knocking, 0 silent.")
        expect(page.get_by_role("heading", name="Sydney 3 of 3 back")).to_be_visible()
        page.clock.fast_forward(60_000)
        assert len(asked) == 1

    def test_a_server_that_does_not_answer_is_told_until_it_does(
        self, page: Page, url: str, console: list[str]
    ) -> None:
        page.clock.install()
        page.goto("/rotation")
        page.route("**/api/**", lambda route: route.abort())
        page.clock.fast_forward(6_000)
        expect(page.locator("#progress-late")).to_have_text(
            "This is not up to date: the server does not answer."
        )
        page.unroute("**/api/**")
        page.clock.fast_forward(6_000)
        expect(page.locator("#progress-late")).to_have_text("")
        console.clear()

    def test_after_another_rotation_all_begins_anew(self, page: Page, account: Account, url: str) -> None:
        page.clock.install()
        page.goto("/rotation")
        account.api("POST", "/account/provisioning/rotate", {})
        page.clock.fast_forward(6_000)
        expect(text_of(page)).to_have_text("0 of 8 phones are back, 0 knocking, 8 silent.")

    def test_it_is_searched_as_one_types_and_filtered(self, page: Page, url: str) -> None:
        page.goto("/rotation")
        page.get_by_label("Search").press_sequentially("80-5e-c0", delay=60)
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()
        assert names(page) == ["Front desk, Portland"]
        expect(page.get_by_label("Search")).to_be_focused()
        # The whole does not change with what is looked for.
        expect(text_of(page)).to_have_text("2 of 8 phones are back, 2 knocking, 4 silent.")
        page.get_by_role("link", name="Clear Filters").click()
        expect(page.get_by_label("Search")).to_have_value("")
        filters = page.get_by_role("search")
        filters.get_by_label("State").select_option("Knocking")
        expect(page.get_by_role("heading", name="2 phones found")).to_be_visible()
        filters.get_by_label("Location").select_option("Sydney")
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()
        assert names(page) == ["Reception, Sydney"]
        page.reload()
        assert names(page) == ["Reception, Sydney"]
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
        assert [(row["name"], row["state"]) for row in rows] == [("Reception, Sydney", "knocking")]

    def test_a_phone_is_ticked_off_and_the_tick_is_taken_back(
        self, page: Page, account: Account, url: str
    ) -> None:
        page.goto("/rotation")
        page.get_by_role("button", name="Tick off Hygiene 1").focus()
        page.keyboard.press("Enter")
        undo = page.get_by_role("button", name="Undo the tick of Hygiene 1")
        expect(undo).to_be_focused()
        expect(row(page, "Hygiene 1").get_by_role("cell").last).to_contain_text(account.email)
        expect(page.get_by_role("heading", name="Portland 2 of 5 back, 1 ticked off")).to_be_visible()
        told = account.api("GET", f"{BOARD}?q={HYGIENE}")["locations"][0]["devices"][0]
        assert told["ticked_by"] == f"user/{account.email}"
        undo.click()
        expect(page.get_by_role("button", name="Tick off Hygiene 1")).to_be_visible()
        assert account.api("GET", BOARD)["counts"]["ticked"] == 0

    def test_of_very_many_phones_the_first_are_shown_and_the_others_are_found(
        self, page: Page, account: Account
    ) -> None:
        rows = "".join(f"249ad8{number:06x},T46S,Far {number:03},Sydney\r\n" for number in range(500))
        account.import_devices(f"mac,model,name,location\r\n{rows}")
        page.goto("/rotation")
        expect(page.get_by_role("heading", name="508 phones")).to_be_visible()
        expect(page.get_by_text("The first 500 are shown.")).to_be_visible()
        assert len(names(page)) == 500
        page.get_by_label("Search").fill("workshop")
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()
        assert names(page) == ["Workshop, since 2010"]


class TestAtThePhone:
    def test_the_steps_of_each_vendor_and_the_url_are_there_to_copy_and_to_scan(
        self, page: Page, context: BrowserContext, account: Account, url: str
    ) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/rotation")
        page.get_by_text("Yealink, step by step").click()
        expect(page.get_by_text("press Auto Provision Now")).to_be_visible()
        page.get_by_text("Polycom, step by step").click()
        expect(page.get_by_text("choose Update Configuration")).to_be_visible()
        page.locator(".secret", has_text="Provisioning URL").get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == url
        picture = page.get_by_role("img", name="The provisioning URL as a QR code")
        expect(picture).to_be_hidden()
        page.get_by_text("Show the URL as a QR code").click()
        expect(picture).to_be_visible()
        drawn = segno.make(url, error="m", micro=False).svg_inline(border=4)
        shape = picture.locator("path").last.get_attribute("d")
        assert shape and f'd="{shape}"' in drawn
        assert any(entry.event == "provisioning.read" for entry in account.entries())

    def test_a_viewer_sees_no_url_and_ticks_nothing(
        self, context: BrowserContext, account: Account, url: str, console: list[str]
    ) -> None:
        email = f"viewer.{account.email}"
        account.add_user(email, "viewer")
        page = watched(context, console)
        log_in(page, email, "/rotation")
        expect(text_of(page)).to_have_text("2 of 8 phones are back, 2 knocking, 4 silent.")
        expect(page.get_by_text("Your role does not see the URL")).to_be_visible()
        for name in ("Copy", "Tick off", "Add device"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
        assert url.split("/")[-2] not in page.content()
        expect(page.locator(".qr")).to_have_count(0)
        page.get_by_text("Yealink, step by step").click()
        expect(page.get_by_text("press Auto Provision Now")).to_be_visible()
        assert console == []

    def test_a_technician_sees_the_url_and_ticks(
        self, context: BrowserContext, account: Account, url: str, console: list[str]
    ) -> None:
        email = f"technician.{account.email}"
        account.add_user(email, "technician")
        page = watched(context, console)
        log_in(page, email, "/rotation")
        page.get_by_text("Show the URL as a QR code").click()
        expect(page.locator(".qr")).to_be_visible()
        page.get_by_role("button", name="Tick off Hygiene 1").click()
        expect(row(page, "Hygiene 1").get_by_text(email)).to_be_visible()
        assert console == []


class TestUnknownPhones:
    def test_one_that_asks_with_the_good_url_is_one_click_from_being_a_device(
        self, page: Page, account: Account
    ) -> None:
        boot(account, account.url, "805ec0aabbcc")
        account.await_log("805ec0aabbcc", 1)
        page.goto("/rotation")
        unknown = page.get_by_role("region", name="Unknown phones").first
        expect(unknown.get_by_text("Yealink T46S")).to_be_visible()
        unknown.get_by_role("button", name="Add 80:5e:c0:aa:bb:cc as a device").click()
        dialog = page.get_by_role("dialog", name="Add device")
        expect(dialog.get_by_label("MAC address")).to_have_value("80:5e:c0:aa:bb:cc")
        expect(dialog.get_by_label("Vendor")).to_have_value("yealink")
        expect(dialog.get_by_label("Model")).to_have_value("T46S")
        dialog.get_by_label("Name").fill("Found in the attic")
        dialog.get_by_label("Location").select_option("Sydney")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("No phone without a device has asked")).to_be_visible()
        expect(page.get_by_role("heading", name="9 phones")).to_be_visible()
        assert "Found in the attic" in names(page)
        made = account.api("GET", "/devices?q=805ec0aabbcc")["data"][0]
        assert (made["vendor"], made["model"], made["name"]) == ("yealink", "T46S", "Found in the attic")


class TestBeforeAnyRotation:
    def test_it_says_that_there_was_none(self, page: Page) -> None:
        page.goto("/rotation")
        expect(page.get_by_text("There was no rotation yet")).to_be_visible()
        expect(text_of(page)).to_have_text("0 of 8 phones are back, 0 knocking, 8 silent.")

    def test_without_a_token_it_leads_to_where_one_is_made(
        self, context: BrowserContext, site: Shell, console: list[str]
    ) -> None:
        site.run("account", "add", "--name", "B", "--email", "board@acme.example", "--password", PASSWORD)
        page = watched(context, console)
        log_in(page, "board@acme.example", "/rotation")
        expect(page.get_by_text("There is no provisioning token yet")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_count(0)
        page.get_by_role("main").get_by_role("link", name="Settings, Devices").click()
        expect(page.get_by_role("button", name="Generate")).to_be_visible()
        assert console == []


class TestOnPaper:
    def test_it_prints_as_a_check_list_by_location(self, page: Page, url: str) -> None:
        page.goto("/rotation")
        page.get_by_role("button", name="Tick off Hygiene 1").click()
        expect(page.get_by_role("button", name="Undo the tick of Hygiene 1")).to_be_visible()
        page.evaluate("window.print = () => { document.title = 'printed'; }")
        page.get_by_role("button", name="Print").click()
        expect(page).to_have_title("printed")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 960})  # A4 less its margins
        for gone in (page.get_by_role("navigation"), page.get_by_label("Search"), page.locator("#steps")):
            expect(gone).to_be_hidden()
        for button in page.get_by_role("main").get_by_role("button").all():
            expect(button).to_be_hidden()
        expect(page.get_by_role("heading", name="Portland 2 of 5 back")).to_be_visible()
        expect(page.locator(".box")).to_have_count(8)
        expect(row(page, "Hygiene 1").locator(".box svg")).to_be_visible()
        expect(row(page, "Lab, since 2012").locator(".box")).to_be_visible()
        expect(row(page, "Lab, since 2012").locator(".box svg")).to_have_count(0)
        # Rows of a table, not cards, and all of it on the sheet.
        assert row(page, "Lab, since 2012").evaluate("row => getComputedStyle(row).display") == "table-row"
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    def test_the_url_is_on_paper_only_where_it_was_opened(self, page: Page, url: str) -> None:
        page.goto("/rotation")
        page.get_by_text("Show the URL as a QR code").click()
        page.emulate_media(media="print")
        expect(page.locator(".qr")).to_be_visible()
        expect(page.locator(".secrets")).to_be_hidden()


def test_it_fits_a_narrow_screen(browser: Browser, account: Account, url: str, console: list[str]) -> None:
    context = browser.new_context(base_url=account.site.url, viewport={"width": 320, "height": 800})
    context.add_cookies([{"name": "session", "value": account.cookie, "url": account.site.url}])
    page = watched(context, console)
    page.goto("/rotation")
    for summary in page.locator("main summary").all():
        summary.click()
    expect(row(page, "Hygiene 1").get_by_text("Claims to be this phone")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
    assert page.locator(".table").evaluate_all(wide) == []
    context.close()
    assert console == []
