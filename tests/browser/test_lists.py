"""Locations, phone numbers, audio clips, users and API keys, as people keep them."""

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import PASSWORD, Account, log_in, watched

WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\0\0\0\0"


class TestLocations:
    def test_a_location_is_added_changed_and_deleted(self, page: Page, account: Account) -> None:
        page.goto("/locations")
        page.get_by_role("button", name="Add location").click()
        dialog = page.get_by_role("dialog", name="Add a location")
        expect(dialog.get_by_label("Country")).to_have_value("US")
        dialog.get_by_label("Name").fill("Boston")
        dialog.get_by_label("Further recipients").fill("a@harbourlane.example\nb@harbourlane.example")
        dialog.get_by_role("button", name="Save").click()
        section = page.get_by_role("region", name="Boston")
        expect(section.get_by_text("a@harbourlane.example, b@harbourlane.example")).to_be_visible()
        expect(section.get_by_text("None: whoever is told of a 911 call")).to_be_visible()
        section.get_by_role("button", name="Edit").click()
        dialog = page.get_by_role("dialog", name="Edit Boston")
        for label, text in (("Street", "1 Quay"), ("City", "Boston"), ("State", "MA"), ("Postal", "02110")):
            dialog.get_by_label(label).fill(text)
        dialog.get_by_label("Country").fill("us")
        dialog.get_by_role("button", name="Save").click()
        expect(section.get_by_text("1 Quay, Boston, MA 02110, US")).to_be_visible()
        section.get_by_role("button", name="Delete").click()
        sure = page.get_by_role("dialog", name="Delete the location Boston?")
        expect(sure.get_by_role("button", name="Cancel")).to_be_focused()
        sure.get_by_role("button", name="Delete").click()
        expect(section).to_have_count(0)
        names = [row["name"] for row in account.api("GET", "/locations")["data"]]
        assert sorted(names) == ["Portland", "Sydney"]

    def test_what_is_said_of_a_location_stands_beside_its_name(self, page: Page) -> None:
        page.goto("/locations")
        section = page.get_by_role("region", name="Portland")
        for name, text in (("Callback number", "+12075550100"), ("Time zone", "The account's")):
            term, said = section.get_by_text(name).bounding_box(), section.get_by_text(text).bounding_box()
            assert term and said
            assert said["y"] == term["y"] and said["x"] > term["x"] + term["width"]

    def test_a_half_filled_address_is_refused_by_field_and_nothing_is_lost(
        self, page: Page, console: list[str]
    ) -> None:
        page.goto("/locations")
        page.get_by_role("button", name="Add location").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("Half")
        dialog.get_by_label("Street").fill("1 Quay")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_label("City")).to_have_attribute("aria-invalid", "true")
        expect(dialog.get_by_label("Street")).to_have_value("1 Quay")
        assert len(console) == 1 and "422" in console.pop()

    def test_a_location_with_phones_is_kept_and_the_page_says_why(
        self, page: Page, console: list[str]
    ) -> None:
        page.goto("/locations")
        page.get_by_role("region", name="Sydney").get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("a device is at this location")).to_be_visible()
        assert len(console) == 1 and "409" in console.pop()

    def test_the_last_test_call_says_whom_it_reached(self, page: Page, account: Account) -> None:
        call = {"call_id": "drill-1", "dialed": "933", "device_mac": "805ec0102001"}
        account.api("POST", "/switch/emergency-calls", call)
        page.goto("/locations")
        section = page.get_by_role("region", name="Portland")
        for recipient in ("safety", "frontdesk"):
            told = section.get_by_text(f"{recipient}@harbourlane.example: not delivered yet")
            expect(told).to_be_visible()


class TestNumbers:
    def test_a_number_is_added_and_its_page_has_the_fax_settings(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.goto("/phone-numbers")
        page.get_by_role("button", name="Add number").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Number").fill("+1 (212) 555-0177")
        dialog.get_by_role("button", name="Save").click()
        page.get_by_role("link", name="+12125550177").click()
        page.get_by_role("switch", name="Receive faxes on this number").click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.get_by_label("Notification recipients").fill("fax@harbourlane.example")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("form", name="Fax").get_by_text("Saved", exact=True)).to_be_visible()
        (made,) = [n for n in account.api("GET", "/phone-numbers")["data"] if n["number"] == "+12125550177"]
        assert (made["fax_enabled"], made["fax_recipients"]) == (True, ["fax@harbourlane.example"])
        # The toggle was another change of the number, which the form found out and took over.
        assert len(console) == 1 and "412" in console.pop()

    def test_a_number_in_use_is_kept(self, page: Page, console: list[str]) -> None:
        page.goto("/phone-numbers")
        page.get_by_role("link", name="+12125550100").click()
        page.get_by_role("button", name="Delete number").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator("#toasts p")).to_be_visible()
        expect(page.get_by_role("heading", name="+12125550100")).to_be_visible()
        assert len(console) == 1 and "409" in console.pop()


class TestClips:
    def test_a_clip_is_uploaded_chosen_as_hold_music_and_kept_while_it_is(
        self, page: Page, account: Account, console: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "music.wav").write_bytes(WAV)
        page.goto("/audio-clips")
        page.get_by_label("Name").fill("Waltz")
        page.get_by_label("File").set_input_files(tmp_path / "music.wav")
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_text("Waltz is uploaded.")).to_be_visible()
        page.goto("/settings?tab=telephony")
        page.get_by_label("Hold Music").select_option("Waltz")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.goto("/audio-clips")
        page.get_by_role("button", name="Delete Waltz").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("this clip is the account's hold music")).to_be_visible()
        assert len(console) == 1 and "409" in console.pop()
        assert account.api("GET", "/audio-clips")["data"][0]["name"] == "Waltz"

    def test_a_file_that_is_no_audio_is_refused_beside_the_field(
        self, page: Page, console: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "music.wav").write_text("no music")
        page.goto("/audio-clips")
        page.get_by_label("Name").fill("Noise")
        page.get_by_label("File").set_input_files(tmp_path / "music.wav")
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_text("must be a WAV, MP3, OGG or WebM file")).to_be_visible()
        expect(page.get_by_label("Name")).to_have_value("Noise")
        assert len(console) == 1 and "422" in console.pop()


class TestUsers:
    def test_a_user_is_added_can_log_in_and_is_removed(
        self, page: Page, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        email = f"tom-{account.email}"
        page.goto("/users")
        page.get_by_role("button", name="Add user").click()
        dialog = page.get_by_role("dialog", name="Add a user")
        dialog.get_by_label("Name").fill("Tom")
        dialog.get_by_label("Email").fill(email)
        dialog.get_by_label("Role").select_option("technician")
        dialog.get_by_label("Password").fill(PASSWORD)
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("row", name=re.compile(email))).to_be_visible()
        browser = context.browser
        assert browser
        his = browser.new_context(base_url=account.site.url)
        tom = watched(his, console)
        log_in(tom, email, "/users")
        expect(tom.get_by_role("heading", name="Not for your role")).to_be_visible()
        assert len(console) == 1 and "403" in console.pop()
        page.get_by_role("button", name="Delete Tom").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("button", name="Delete Tom")).to_have_count(0)
        tom.goto("/settings")
        expect(tom.get_by_role("heading", name="Log in")).to_be_visible()
        his.close()

    def test_the_last_admin_stays(self, page: Page, console: list[str]) -> None:
        page.goto("/users")
        page.get_by_role("button", name="Delete Harbour Lane Dental").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("an account keeps at least one admin")).to_be_visible()
        assert len(console) == 1 and "409" in console.pop()

    def test_an_api_key_is_shown_once_and_works(self, page: Page, account: Account) -> None:
        page.goto("/users")
        page.get_by_role("button", name="Add API key").click()
        dialog = page.get_by_role("dialog", name="Add an API key")
        dialog.get_by_label("Name").fill("pbx")
        dialog.get_by_role("button", name="Save").click()
        shown = page.get_by_role("dialog", name="The new key")
        key = shown.locator("code").inner_text()
        answer = account.ask(key, "/switch/call-settings")
        assert answer == 200
        shown.get_by_role("button", name="Done").click()
        expect(page.get_by_role("row", name=re.compile("pbx"))).to_be_visible()
        assert key not in page.content()
        page.get_by_role("button", name="Delete the key pbx").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("row", name=re.compile("pbx"))).to_have_count(0)
        assert account.ask(key, "/switch/call-settings") == 401
