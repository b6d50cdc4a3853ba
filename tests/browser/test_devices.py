"""The list of phones and the page of one: what the user sees and presses."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Account, log_in, watched
from tests.shell import Shell


def device(account: Account, mac: str = "805ec0102001") -> Any:
    return account.api("GET", f"/devices?q={mac}")["data"][0]


def opened(page: Page, account: Account, mac: str = "805ec0102001") -> Any:
    """The page of the phone; answers the phone."""
    found = device(account, mac)
    page.goto(f"/devices/{found['id']}")
    return found


def fetched(account: Account, mac: str = "805ec0102001") -> None:
    """The phone fetches its file; the boot log is written a moment after the answer."""
    assert account.site.fetch(f"{account.url}{mac}.cfg")[0] == 200
    until = time.monotonic() + 5
    while device(account, mac)["last_fetch_at"] is None and time.monotonic() < until:
        time.sleep(0.05)


def names(page: Page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


class TestTheList:
    def test_each_phone_is_there_with_what_it_is_and_when_it_fetched(
        self, page: Page, account: Account
    ) -> None:
        fetched(account)
        page.goto("/devices")
        expect(page.get_by_role("heading", name="8 phones")).to_be_visible()
        row = page.get_by_role("row", name="Front desk, Portland")
        for text in (
            "80:5e:c0:10:20:01",
            "Yealink T54W",
            "4201, 4202",
            "Reception",
            "provisioned",
            "127.0.0.1",
        ):
            expect(row.get_by_text(text, exact=True)).to_be_visible()
        row = page.get_by_role("row", name="Conference room")
        expect(row.get_by_text("pending")).to_be_visible()
        expect(row.get_by_text("Never")).to_be_visible()

    @pytest.mark.parametrize("text", ["80-5E-C0-10-20-01", "805e.c010.2001", "front DESK", "4202", "T54"])
    def test_a_phone_is_found_by_what_people_know_of_it(self, page: Page, text: str) -> None:
        page.goto("/devices")
        page.get_by_label("Search").fill(text)
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()
        assert names(page) == ["Front desk, Portland"]
        page.reload()
        expect(page.get_by_label("Search")).to_have_value(text)
        assert names(page) == ["Front desk, Portland"]

    def test_typing_on_while_results_come_in_loses_no_letter(self, page: Page) -> None:
        page.goto("/devices")
        page.get_by_label("Search").press_sequentially("conference room", delay=120)
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()
        expect(page.get_by_label("Search")).to_have_value("conference room")

    def test_typing_slowly_keeps_the_letters_in_their_order(self, page: Page) -> None:
        page.goto("/devices")
        page.get_by_label("Search").focus()
        for typed in ("s", "sy", "syd"):
            page.keyboard.type(typed[-1])
            expect(page).to_have_url(re.compile(f"q={typed}$"))
            expect(page.get_by_role("heading", name="found")).to_be_visible()
        page.keyboard.type("ney")
        expect(page.get_by_label("Search")).to_have_value("sydney")
        expect(page.get_by_role("heading", name="1 phone found")).to_be_visible()

    def test_filters_add_up_and_are_cleared_at_once(self, page: Page) -> None:
        page.goto("/devices")
        filters = page.get_by_role("search")
        filters.get_by_label("Location").select_option("Sydney")
        expect(page.get_by_role("heading", name="3 phones found")).to_be_visible()
        filters.get_by_label("Vendor").select_option("Yealink")
        expect(page.get_by_text("No phone matches.")).to_be_visible()
        expect(page).to_have_url(re.compile("vendor=yealink"))
        page.get_by_role("link", name="Clear Filters").click()
        expect(page.get_by_role("heading", name="8 phones")).to_be_visible()

    def test_those_that_have_not_come_back_are_found(self, page: Page, account: Account) -> None:
        fetched(account)
        page.goto("/devices?status=provisioned")
        assert names(page) == ["Front desk, Portland"]
        page.goto("/devices?status=not-current")
        expect(page.get_by_role("heading", name="7 phones found")).to_be_visible()
        assert "Front desk, Portland" not in names(page)

    def test_it_is_searched_without_script_too(
        self, context: BrowserContext, page: Page, site: Shell
    ) -> None:
        plain = context.browser.new_context(  # type: ignore[union-attr]
            base_url=site.url, java_script_enabled=False
        )
        plain.add_cookies(context.cookies())  # type: ignore[arg-type]
        bare = plain.new_page()
        bare.goto("/devices")
        bare.get_by_label("Search").fill("sydney")
        bare.get_by_role("button", name="Search").click()
        assert names(bare) == ["Reception, Sydney"]
        plain.close()

    def test_more_than_fifty_phones_are_on_pages(self, page: Page, account: Account) -> None:
        for number in range(50):
            account.api("POST", "/devices", {"mac": f"805ec0aa00{number:02}", "model": "T46S"})
        page.goto("/devices")
        expect(page.get_by_role("heading", name="58 phones")).to_be_visible()
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_role("row", name="Front desk, Portland")).to_be_visible()
        page.get_by_role("link", name="Newest").click()
        expect(page.get_by_role("row", name="Front desk, Portland")).to_have_count(0)


class TestAdding:
    def test_a_phone_is_added_by_its_mac_and_model_and_its_page_opens(
        self, page: Page, account: Account
    ) -> None:
        page.goto("/devices")
        page.get_by_role("button", name="Add device").click()
        dialog = page.get_by_role("dialog", name="Add device")
        dialog.get_by_label("Name").fill("Night desk")
        dialog.get_by_label("MAC address", exact=True).fill("80-5E-C0-AB-CD-EF")
        dialog.get_by_label("Model").select_option("T46S")
        dialog.get_by_label("Location").select_option("Sydney")
        dialog.get_by_label("Extension of the first line").fill("4303")
        dialog.get_by_role("button", name="Add").click()
        expect(page.get_by_role("heading", name="Night desk")).to_be_visible()
        expect(page.get_by_role("status").get_by_text("The phone is added.")).to_be_visible()
        made = device(account, "805ec0abcdef")
        assert (made["vendor"], len(made["lines"])) == ("yealink", 1)

    def test_a_wrong_mac_stays_in_the_dialog_with_what_was_typed(
        self, page: Page, console: list[str]
    ) -> None:
        page.goto("/devices")
        page.get_by_role("button", name="Add device").click()
        dialog = page.get_by_role("dialog", name="Add device")
        dialog.get_by_label("MAC address", exact=True).fill("80:5e:c0:ab")
        dialog.get_by_label("Model").select_option("T46S")
        dialog.get_by_label("Extension of the first line").fill("4999")
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_text("must be a MAC address of 12 hex digits")).to_be_visible()
        expect(dialog.get_by_label("MAC address", exact=True)).to_have_value("80:5e:c0:ab")
        expect(dialog.get_by_label("MAC address", exact=True)).to_be_focused()
        dialog.get_by_label("MAC address", exact=True).fill("805ec0abcdef")
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_text("there is no such extension")).to_be_visible()
        assert len(console) == 2 and all("422" in text for text in console)
        console.clear()

    def test_a_csv_file_is_imported_or_each_wrong_line_is_named(
        self, page: Page, account: Account, console: list[str], tmp_path: Path
    ) -> None:
        file = tmp_path / "phones.csv"
        file.write_text("mac,model,lines\n805ec0ab0001,T46S,4201\n805ec0ab0002,T99,\nnone,T46S,\n")
        page.goto("/devices")
        page.get_by_role("button", name="Import CSV").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("CSV file").set_input_files(file)
        dialog.get_by_role("button", name="Import").click()
        expect(dialog.get_by_text("line 3: model")).to_be_visible()
        expect(dialog.get_by_text("line 4: mac")).to_be_visible()
        assert "422" in console.pop() and console == []
        file.write_text("mac,model,lines\n805ec0ab0001,T46S,4201\n")
        dialog.get_by_label("CSV file").set_input_files(file)
        dialog.get_by_role("button", name="Import").click()
        expect(page.get_by_text("1 phones added, 0 updated.")).to_be_visible()
        expect(page.get_by_role("heading", name="9 phones")).to_be_visible()
        with page.expect_download() as export:
            page.get_by_role("link", name="Export CSV").click()
        assert "805ec0ab0001" in export.value.path().read_text()


class TestOnePhone:
    def test_its_place_template_and_caller_id_save_themselves(self, page: Page, account: Account) -> None:
        opened(page, account)
        page.get_by_label("Location").select_option("Sydney")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.get_by_label("Caller ID").select_option("+12125550102 · Lab")
        expect(page.get_by_text("Calls show +12125550102.")).to_be_visible()
        page.get_by_label("Button template").select_option("Desk")
        expect(page.get_by_role("row", name="Voicemail").get_by_text("Messages")).to_be_visible()
        found = device(account)
        assert found["effective_outbound_number"] == "+12125550102"

    def test_it_is_renamed_in_a_dialog_and_somebody_elses_change_is_not_lost(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        found = opened(page, account)
        account.api("PATCH", f"/devices/{found['id']}", {"name": "Renamed meanwhile"})
        page.get_by_role("button", name="Edit", exact=True).first.click()
        dialog = page.get_by_role("dialog", name="The phone")
        expect(dialog.get_by_label("MAC address", exact=True)).to_have_value("80:5e:c0:10:20:01")
        dialog.get_by_label("Name").fill("Mine")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Somebody else has changed this meanwhile")).to_be_visible()
        expect(dialog.get_by_label("Name")).to_have_value("Mine")
        expect(page.get_by_role("heading", name="Renamed meanwhile", include_hidden=True)).to_be_attached()
        assert "412" in console.pop()
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Mine")).to_be_visible()

    def test_lines_are_added_moved_and_removed(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        opened(page, account)
        lines = page.get_by_role("list", name="Lines").get_by_role("listitem")
        page.get_by_label("Add an extension").fill("4999")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("there is no such extension")).to_be_visible()
        assert "422" in console.pop()
        page.get_by_label("Add an extension").fill("4206")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(lines).to_have_count(3)
        page.get_by_role("button", name="Move 4206 up").click()
        expect(lines.nth(1)).to_contain_text("4206")
        page.get_by_role("button", name="Remove 4201").click()
        expect(lines).to_have_count(2)
        expect(lines.first).to_contain_text("4206")
        assert len(device(account)["lines"]) == 2

    def test_a_key_is_overridden_silenced_and_given_back_to_the_template(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        opened(page, account, "001565102003")
        page.get_by_role("button", name="Override key 2").click()
        dialog = page.get_by_role("dialog", name="Set key 2")
        expect(dialog.get_by_label("Extension")).to_have_value("4201")
        dialog.get_by_label("Type").select_option("Multicast page")
        expect(dialog.get_by_label("Extension")).to_be_hidden()
        dialog.get_by_label("Multicast address").fill("999.1.1.1")
        dialog.get_by_label("Port").fill("5001")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_label("Multicast address")).to_have_attribute("aria-invalid", "true")
        assert "422" in console.pop()
        dialog.get_by_label("Type").select_option("Speed dial")
        dialog.get_by_role("textbox", name="Number").fill("+12075550142")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name="Speed dial").get_by_text("This phone")).to_be_visible()
        page.get_by_role("button", name="Silence key 2").click()
        expect(page.get_by_role("row", name="Kept empty").get_by_text("This phone")).to_be_visible()
        page.get_by_role("button", name="Remove the override of key 2").click()
        expect(page.get_by_role("button", name="Override key 2")).to_be_visible()
        assert device(account, "001565102003")["button_overrides"] == []

    def test_what_was_typed_stays_when_a_line_is_moved(self, page: Page, account: Account) -> None:
        opened(page, account)
        page.get_by_label("SIP port").fill("5080")
        page.get_by_role("button", name="Move 4202 up").click()
        lines = page.get_by_role("list", name="Lines").get_by_role("listitem")
        expect(lines.first).to_contain_text("4202")
        expect(page.get_by_label("SIP port")).to_have_value("5080")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert device(account)["options"] == {"sip_port": 5080}

    def test_a_key_is_set_although_somebody_else_changed_the_phone_meanwhile(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        found = opened(page, account)
        page.get_by_role("button", name="Override key 3").click()
        dialog = page.get_by_role("dialog", name="Set key 3")
        dialog.get_by_label("Type").select_option("Do not disturb")
        dialog.get_by_label("Label").fill("Quiet")
        account.api("PATCH", f"/devices/{found['id']}", {"name": "Renamed meanwhile"})
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Somebody else has changed this meanwhile")).to_be_visible()
        expect(dialog.get_by_label("Label")).to_have_value("Quiet")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name="Quiet").get_by_text("This phone")).to_be_visible()
        assert device(account)["name"] == "Renamed meanwhile"
        assert len(console) == 1 and "412" in console.pop()

    def test_a_type_of_key_that_the_model_lacks_is_replaced_by_one_that_it_has(
        self, page: Page, account: Account
    ) -> None:
        url = {"position": 9, "type": "url", "target": {"url": "https://example.com/"}}
        found = device(account, "64167f102005")
        account.api("PATCH", f"/devices/{found['id']}", {"button_overrides": [url]})
        opened(page, account, "64167f102005")
        page.get_by_role("button", name="Edit key 9").click()
        expect(page.get_by_role("dialog").get_by_label("Type")).to_have_value("line")

    def test_a_phone_without_line_keys_says_so(self, page: Page, account: Account) -> None:
        opened(page, account, "64167f102008")
        expect(page.get_by_text("Trio 8800 has no line keys.")).to_be_visible()

    def test_a_key_that_does_not_fit_says_why(self, page: Page, account: Account) -> None:
        found = device(account, "001565102003")
        button = {"position": 9, "type": "dnd"}
        account.api("PATCH", f"/devices/{found['id']}", {"button_overrides": [button]})
        opened(page, account, "001565102003")
        expect(page.get_by_text("Not on the phone: T23G has 3 line keys, this is key 9")).to_be_visible()

    def test_an_option_of_its_own_leaves_the_others_and_null_inherits_again(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        found = opened(page, account, "482567102006")
        page.get_by_label("Transport", exact=True).select_option("Inherited: udp (default)")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        page.get_by_label("SIP port").fill("5080")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Set here. Without it: 5060 (by the transport).")).to_be_visible()
        # What the phone's other forms change goes on to be what they read.
        page.get_by_label("Add an extension").fill("4206")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("list", name="Lines").get_by_role("listitem")).to_have_count(2)
        own = account.api("GET", f"/devices/{found['id']}")["options"]
        assert "sip_transport" not in own and (own["sip_port"], own["srtp"]) == (5080, "optional")
        expect(page.get_by_text("Inherited: Australia/Sydney (location)").first).to_be_attached()
        # Where the second save came before the page was refreshed, the form merged what it knew.
        assert [line for line in console if "412" not in line] == []
        console.clear()

    def test_the_boot_log_says_how_each_request_ended_and_why(self, page: Page, account: Account) -> None:
        opened(page, account)
        expect(page.get_by_text("The phone has asked for nothing yet.")).to_be_visible()
        for _ in range(25):
            account.site.fetch(f"{account.url}805ec0102001.cfg")
        account.site.fetch(f"{account.url}805ec0102001-no.cfg")
        # The last request is in the log, and so are those before it, within half a second.
        account.await_log("805ec0102001", 26)
        page.reload()
        boots = page.get_by_role("list", name="Boot log").locator("> li")
        expect(boots).to_have_count(10)
        newest = boots.first
        expect(newest.get_by_text("It came up: it was served all files of its own.")).to_be_visible()
        expect(newest.get_by_text("file unknown")).to_be_hidden()
        newest.get_by_text("2 requests").click()
        expect(newest.get_by_text("file unknown")).to_be_visible()
        expect(newest.get_by_text("a Yealink T54W has no file of this name here")).to_be_visible()
        for there in (10, 5):
            page.get_by_role("link", name="Older").click()
            expect(page.get_by_text("2 requests")).to_have_count(0)
            expect(boots).to_have_count(there)
        expect(page.get_by_role("link", name="Older")).to_have_count(0)
        page.get_by_role("link", name="Newest").click()
        expect(page.get_by_text("2 requests")).to_have_count(1)

    def test_its_files_are_masked_until_their_secrets_are_revealed(
        self, page: Page, account: Account
    ) -> None:
        opened(page, account)
        page.locator("summary", has_text="805ec0102001.cfg").click()
        file = page.get_by_role("region", name="805ec0102001.cfg", exact=True)
        expect(file).to_contain_text("account.1.password = ********")
        page.get_by_role("button", name="Reveal secrets").click()
        expect(file).to_contain_text("Kq7vTz2mWx94LpRd")
        page.get_by_role("button", name="Hide secrets").click()
        expect(file).not_to_contain_text("Kq7vTz2mWx94LpRd")
        assert "device.reveal" in [entry.event for entry in account.entries()]

    def test_it_is_deleted_after_a_question(self, page: Page, account: Account) -> None:
        opened(page, account)
        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("dialog", name="Delete this phone?").get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("heading", name="7 phones")).to_be_visible()
        assert account.site.fetch(f"{account.url}805ec0102001.cfg")[0] == 404

    def test_one_that_is_not_there_says_so(self, page: Page, console: list[str]) -> None:
        for id in ("nothing", "dev_" + "0" * 26):
            page.goto(f"/devices/{id}")
            expect(page.get_by_text("there is no such device")).to_be_visible()
        assert all("404" in text for text in console)
        console.clear()


class TestRoles:
    @pytest.mark.parametrize(("role", "edits"), [("viewer", False), ("technician", True)])
    def test_technicians_edit_and_viewers_read(
        self, context: BrowserContext, account: Account, console: list[str], role: str, edits: bool
    ) -> None:
        account.add_user(f"r-{account.email}", role)
        page = watched(context, console)
        log_in(page, f"r-{account.email}", "/devices")
        expect(page.get_by_role("button", name="Add device")).to_have_count(int(edits))
        opened(page, account)
        for name in ("Edit", "Delete", "Set a key", "Reveal secrets", "Move 4202 up"):
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(int(edits))
        expect(page.get_by_label("Location")).to_be_enabled(enabled=edits)
        expect(page.get_by_label("SIP port")).to_be_enabled(enabled=edits)
        assert console == []
