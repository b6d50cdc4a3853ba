"""Before a change its preview, after one that saved itself a note with Undo; who holds the newest files."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Account
from tests.shell import Shell

DESK = "805ec0102001"


@pytest.fixture
def dialog_title() -> str:
    return "Preview: Extension Length"


def of(page: Page, id: str) -> Locator:
    """The Preview button beside a list."""
    return page.locator(f"[data-preview={id}]")


def form_preview(page: Page) -> Locator:
    """That of a form in which something is typed."""
    return page.locator("[data-actions]:visible").get_by_role("button", name="Preview")


def length(account: Account) -> int:
    return int(account.api("GET", "/account/telephony")["extension_length"])


class TestBefore:
    def test_the_extension_length_is_previewed_before_it_is_saved(
        self, page: Page, account: Account, dialog_title: str
    ) -> None:
        page.goto("/settings?tab=telephony")
        of(page, "extension-length").click()
        dialog = page.get_by_role("dialog", name=dialog_title)
        expect(dialog).to_contain_text("8 of 8 phones would get other files")
        dialog.get_by_label("With").select_option("6 digits")
        expect(dialog).to_contain_text("xxxxxT")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.get_by_label("Extension Length", exact=True)).to_have_value("4")
        assert length(account) == 4
        expect(of(page, "extension-length")).to_be_focused()

    def test_what_was_looked_at_is_saved_from_there(
        self, page: Page, account: Account, dialog_title: str
    ) -> None:
        page.goto("/settings?tab=telephony")
        of(page, "extension-length").click()
        dialog = page.get_by_role("dialog", name=dialog_title)
        dialog.get_by_label("With").select_option("5 digits")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_text("8 phones will get other files.")).to_be_visible()
        assert length(account) == 5

    def test_texts_are_previewed_before_they_are_saved(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_label("SIP server", exact=True).fill("sip.another.example")
        form_preview(page).click()
        dialog = page.get_by_role("dialog", name="Preview: SIP server")
        expect(dialog).to_contain_text("8 of 8 phones would get other files")
        expect(dialog).to_contain_text("+account.1.sip_server.1.address = sip.another.example")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved").first).to_be_visible()
        assert account.api("GET", "/account/device-options")["sip_server"] == "sip.another.example"

    def test_what_would_be_refused_is_told_and_cannot_be_saved_from_there(self, page: Page) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_label("SIP server", exact=True).fill("")
        form_preview(page).click()
        dialog = page.get_by_role("dialog", name="Preview: SIP server")
        expect(dialog).to_contain_text("The files of 8 phones could not be made any more")
        expect(dialog).to_contain_text("This cannot be saved")
        expect(dialog.get_by_role("button", name="Save")).to_have_count(0)

    def test_a_fault_of_what_was_typed_is_told_in_the_dialog(self, page: Page, console: list[str]) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_label("SIP port").fill("0")
        form_preview(page).click()
        expect(page.get_by_role("dialog")).to_contain_text("must be at least 1")
        assert [text for text in console if "422" in text]
        console.clear()

    def test_an_option_of_one_phone_is_told_of_that_phone(self, page: Page, account: Account) -> None:
        (desk,) = account.api("GET", f"/devices?q={DESK}")["data"]
        page.goto(f"/devices/{desk['id']}")
        page.get_by_text("Time and language").click()
        of(page, "option-language").click()
        dialog = page.get_by_role("dialog", name="Preview: Language")
        dialog.get_by_label("With").select_option("fr")
        expect(dialog).to_contain_text("1 of 8 phones would get other files")
        expect(dialog).to_contain_text(f"{DESK}.cfg")
        expect(dialog).to_contain_text("+static.lang.gui = French")

    def test_a_key_of_a_template_is_previewed_before_it_is_saved(self, page: Page, account: Account) -> None:
        listed = account.api("GET", "/button-templates")["data"]
        (reception,) = [each for each in listed if each["name"] == "Reception"]
        page.goto(f"/button-templates/{reception['id']}?model=T54W")
        page.locator("#key-0-3").click()
        key = page.locator("dialog#key")
        key.get_by_label("Label").fill("Parked here")
        key.get_by_role("button", name="Preview").click()
        dialog = page.locator("dialog#preview")
        expect(dialog).to_contain_text("2 of 8 phones would get other files")
        expect(dialog).to_contain_text("+linekey.3.label = Parked here")
        dialog.get_by_role("button", name="Close").click()
        expect(key.get_by_label("Label")).to_have_value("Parked here")
        assert account.api("GET", f"/button-templates/{reception['id']}") == reception


class TestAfter:
    def change(self, page: Page) -> None:
        page.goto("/settings?tab=telephony")
        page.get_by_label("Extension Length", exact=True).select_option("5 digits")
        expect(page.get_by_text("8 phones will get other files.")).to_be_visible()

    def test_what_saved_itself_is_undone(self, page: Page, account: Account) -> None:
        self.change(page)
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("It is as it was before.")).to_be_visible()
        expect(page.get_by_label("Extension Length", exact=True)).to_have_value("4")
        expect(page.get_by_label("Extension Length", exact=True)).to_be_focused()
        assert length(account) == 4

    def test_what_it_did_is_shown(self, page: Page) -> None:
        self.change(page)
        page.get_by_role("button", name="Show", exact=True).click()
        dialog = page.get_by_role("dialog", name="Extension Length")
        expect(dialog).to_contain_text("8 of 8 phones get other files")
        expect(dialog).to_contain_text("+dialplan.digitmap.string = 911|933|[0-8]xxxxT")
        expect(dialog.get_by_role("button", name="Save")).to_have_count(0)

    def test_what_somebody_else_changed_meanwhile_is_not_undone(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        self.change(page)
        account.api("PATCH", "/account/telephony", {"extension_length": 6})
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("Not undone: somebody has changed something here meanwhile.")).to_be_visible()
        expect(page.get_by_label("Extension Length", exact=True)).to_have_value("6")
        assert length(account) == 6
        assert [text for text in console if "412" in text]
        console.clear()

    def test_what_no_phone_hears_of_leaves_no_note(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=telephony")
        with page.expect_response(re.compile("/api/v1/previews")):
            page.get_by_role("switch", name="Recording").click()
        expect(page.get_by_text("Saved")).to_be_visible()
        expect(page.locator(".note")).to_have_count(0)

    def test_a_choice_that_makes_the_page_anew_is_undone_too(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_text("Time and language").click()
        page.get_by_label("Language").select_option("fr")
        expect(page.get_by_text("8 phones will get other files.")).to_be_visible()
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("It is as it was before.")).to_be_visible()
        assert account.api("GET", "/account/device-options")["language"] is None


class TestNewest:
    def fetch(self, site: Shell, account: Account) -> None:
        assert site.fetch(f"{account.url}{DESK}.cfg")[0] == 200

    def test_the_list_says_who_holds_the_newest_files_and_counts_them(
        self, page: Page, site: Shell, account: Account
    ) -> None:
        page.goto("/devices")
        expect(page.get_by_text("0 of 8 phones hold the newest files.")).to_be_visible()
        self.fetch(site, account)
        account.await_log(DESK, 1)
        page.goto("/devices")
        row = page.get_by_role("row", name="Front desk, Portland")
        expect(row).to_contain_text("Holds the newest")
        expect(page.get_by_text("1 of 8 phones hold the newest files.")).to_be_visible()
        account.api("PATCH", "/account/telephony", {"extension_length": 5})
        page.get_by_role("search").get_by_label("Vendor").select_option("Yealink")
        expect(row).to_contain_text("Changed since its last fetch")
        expect(page.get_by_text("0 of 8 phones hold the newest files.")).to_be_visible()

    def test_the_page_of_a_phone_says_it(self, page: Page, site: Shell, account: Account) -> None:
        (desk,) = account.api("GET", f"/devices?q={DESK}")["data"]
        page.goto(f"/devices/{desk['id']}")
        expect(page.get_by_text("Not known before its next fetch")).to_be_visible()
        self.fetch(site, account)
        account.await_log(DESK, 1)
        page.reload()
        expect(page.get_by_text("Holds the newest files")).to_be_visible()
        account.api("PATCH", f"/devices/{desk['id']}/options", {"language": "fr"})
        page.reload()
        expect(page.get_by_text("Changed since its last fetch")).to_be_visible()
