"""Account Settings as its guide describes it: what the user sees and presses."""

import json
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, Request, Route, expect

from tests.browser.conftest import PASSWORD, Account, log_in, watched
from tests.shell import Shell

TABS = ["General", "Telephony", "Locations", "Devices", "Activity"]


def buttons(page: Page, name: str) -> int:
    return page.get_by_role("button", name=name, exact=True).count()


@pytest.fixture
def page(page: Page) -> Page:
    page.goto("/settings")
    return page


class TestThePage:
    def test_settings_is_in_the_sidebar(self, page: Page) -> None:
        page.goto("/settings?tab=activity")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Settings").click()
        expect(page.get_by_role("heading", name="Account Settings")).to_be_visible()

    def test_five_tabs_stand_across_the_top_in_this_order(self, page: Page) -> None:
        assert page.get_by_role("tab").all_inner_texts() == TABS
        expect(page.get_by_role("tab", name="General")).to_have_attribute("aria-selected", "true")

    @pytest.mark.parametrize("name", TABS)
    def test_a_link_with_a_tab_opens_it_directly(self, page: Page, name: str) -> None:
        page.goto(f"/settings?tab={name.lower()}")
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel", name=name)).to_be_visible()

    def test_switching_tabs_updates_the_address_without_loading_the_page(
        self, page: Page, site: Shell
    ) -> None:
        page.evaluate("window.kept = true")
        asked: list[str] = []

        def note(request: Request) -> None:
            if not request.url.endswith(".svg"):  # the icon, which Chromium asks for with each new address
                asked.append(request.url.removeprefix(site.url))

        page.on("request", note)
        for name in TABS[1:]:
            page.get_by_role("tab", name=name).click()
            expect(page).to_have_url(re.compile(rf"\?tab={name.lower()}$"))
            expect(page.get_by_role("tabpanel", name=name)).to_be_visible()
            expect(page).to_have_title(re.compile(f"^{name} · Settings"))
        assert page.evaluate("window.kept") is True
        assert asked == [f"/settings?tab={name.lower()}" for name in TABS[1:]]

    def test_back_and_forward_walk_the_tabs(self, page: Page) -> None:
        for name in ("Telephony", "Devices"):
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tabpanel", name=name)).to_be_visible()
        page.go_back()
        expect(page.get_by_role("switch", name="Recording")).to_be_visible()
        expect(page.get_by_role("tab", name="Telephony")).to_have_attribute("aria-selected", "true")
        page.go_back()
        expect(page.get_by_label("Name", exact=True)).to_be_visible()
        page.go_forward()
        expect(page.get_by_role("switch", name="Recording")).to_be_visible()

    def test_arrow_keys_walk_the_tabs(self, page: Page) -> None:
        page.get_by_role("tab", name="General").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Telephony")).to_be_focused()
        expect(page.get_by_role("switch", name="Recording")).to_be_visible()
        page.keyboard.press("End")
        expect(page.get_by_role("tab", name="Activity")).to_be_focused()

    def test_an_unknown_tab_opens_general(self, page: Page) -> None:
        page.goto("/settings?tab=nonsense")
        expect(page.get_by_role("tabpanel", name="General")).to_be_visible()

    def test_a_deep_link_survives_the_login_in_between(
        self, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        page = watched(context, console)
        log_in(page, account.email, "/settings?tab=activity&outcome=denied")
        expect(page).to_have_url(re.compile(r"/settings\?tab=activity&outcome=denied$"))
        expect(page.get_by_label("Outcome")).to_have_value("denied")

    def test_a_login_leads_to_no_other_site(
        self, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        page = watched(context, console)
        log_in(page, account.email, "/login?next=//evil.example/")
        expect(page).to_have_url(re.compile(r"127\.0\.0\.1:\d+/settings$"))

    def test_a_wrong_password_says_so_and_keeps_the_email(
        self, context: BrowserContext, account: Account
    ) -> None:
        page = context.new_page()
        page.goto("/login")
        page.get_by_label("Email").fill(account.email)
        page.get_by_label("Password").fill("something else")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("The email or the password is wrong.")
        expect(page.get_by_label("Email")).to_have_value(account.email)

    def test_after_logging_out_the_pages_ask_for_a_login(self, page: Page) -> None:
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        page.goto("/settings")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()

    def test_each_tab_can_be_read_without_script(
        self, browser: Browser, account: Account, site: Shell
    ) -> None:
        context = browser.new_context(base_url=site.url, java_script_enabled=False)
        page = context.new_page()
        log_in(page, account.email)
        for name, text in zip(
            TABS,
            ["12 Harbour Lane", "Hold Music", "safety@harbourlane.example", "Reception", "127.0.0.1"],
            strict=True,
        ):
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tabpanel", name=name).get_by_text(text).first).to_be_visible()
        page.get_by_label("Outcome").select_option("denied")
        page.get_by_role("button", name="Apply filters").click()
        expect(page.get_by_text("No entry matches these filters.")).to_be_visible()
        page.goto("/settings")
        page.get_by_label("Name", exact=True).press("Enter")
        expect(page).to_have_url(re.compile("/settings$"))
        context.close()


class TestTexts:
    def test_save_and_cancel_appear_with_a_change_and_saving_stores_it(
        self, page: Page, account: Account
    ) -> None:
        assert buttons(page, "Save") == buttons(page, "Cancel") == 0
        page.get_by_label("Name", exact=True).fill("Harbour Dental")
        expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert buttons(page, "Save") == buttons(page, "Cancel") == 0
        assert account.api("GET", "/account")["name"] == "Harbour Dental"
        changed = next(entry for entry in account.entries() if entry.event == "account.update")
        assert changed.detail == {
            "changed": {"name": {"old": "Harbour Lane Dental", "new": "Harbour Dental"}}
        }

    def test_cancel_restores_and_typing_the_stored_value_back_hides_the_buttons(self, page: Page) -> None:
        name = page.get_by_label("Name", exact=True)
        name.fill("Other")
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(name).to_have_value("Harbour Lane Dental")
        assert buttons(page, "Save") == 0
        name.fill("Other")
        assert buttons(page, "Save") == 1
        name.fill("Harbour Lane Dental")
        assert buttons(page, "Save") == 0

    def test_refused_input_names_the_field_and_keeps_what_was_typed(
        self, page: Page, console: list[str]
    ) -> None:
        email = page.get_by_label("Email")
        email.fill("office@nowhere")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("must be an email address, such as ann@example.com")).to_be_visible()
        expect(email).to_be_focused()
        expect(email).to_have_value("office@nowhere")
        expect(email).to_have_attribute("aria-invalid", "true")
        assert buttons(page, "Save") == buttons(page, "Cancel") == 1
        assert len(console) == 1 and "422" in console.pop()

    def test_leaving_with_unsaved_text_warns(self, page: Page) -> None:
        page.get_by_label("Name", exact=True).fill("Other")
        asked: list[str] = []

        def stay(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        def leave(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.accept()

        page.once("dialog", stay)
        page.get_by_role("tab", name="Telephony").click()
        assert asked == ["What you changed is not saved. Leave without saving?"]
        expect(page.get_by_label("Name", exact=True)).to_have_value("Other")
        page.once("dialog", leave)
        page.goto("/settings?tab=devices")
        assert asked[1] == "beforeunload"

    def test_what_another_admin_changed_meanwhile_is_not_lost(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.get_by_label("Name", exact=True).fill("Mine")
        account.api("PATCH", "/account", {"name": "Theirs"})
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Somebody else has changed this to “Theirs” meanwhile.")).to_be_visible()
        assert account.api("GET", "/account")["name"] == "Theirs"
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert account.api("GET", "/account")["name"] == "Mine"
        assert len(console) == 1 and "412" in console.pop()

    def test_changes_of_different_fields_by_two_admins_both_hold(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.get_by_label("Name", exact=True).fill("Mine")
        account.api("PATCH", "/account", {"email": "theirs@harbourlane.example"})
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        expect(page.get_by_label("Email")).to_have_value("theirs@harbourlane.example")
        told = account.api("GET", "/account")
        assert (told["name"], told["email"]) == ("Mine", "theirs@harbourlane.example")
        assert len(console) == 1 and "412" in console.pop()

    def test_a_session_that_ends_in_the_middle_loses_nothing(
        self, page: Page, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        page.get_by_label("Name", exact=True).fill("Typed before the session ended")
        context.clear_cookies()
        page.get_by_role("button", name="Save", exact=True).click()
        again = page.get_by_role("dialog", name="Log in again")
        again.get_by_label("Password").fill("wrong")
        again.get_by_role("button", name="Log in").click()
        expect(again.get_by_role("alert")).to_have_text("the email or the password is wrong")
        again.get_by_label("Password").fill(PASSWORD)
        again.get_by_label("Password").press("Enter")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert account.api("GET", "/account")["name"] == "Typed before the session ended"
        assert all("401" in line for line in console)
        console.clear()


class TestWhatSavesItself:
    def test_a_toggle_and_a_dropdown_save_at_once(self, page: Page, account: Account) -> None:
        page.get_by_role("tab", name="Telephony").click()
        page.get_by_role("switch", name="Recording").click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        page.get_by_label("Extension Length").select_option("5 digits")
        expect(page.get_by_text("Saved", exact=True)).to_have_count(2)
        told = account.api("GET", "/account/telephony")
        assert (told["recording_enabled"], told["extension_length"]) == (False, 5)
        assert buttons(page, "Save") == 0

    def test_the_timezone_is_a_dropdown_that_saves_itself(self, page: Page, account: Account) -> None:
        page.get_by_label("Timezone").select_option("Europe/Berlin")
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert account.api("GET", "/account")["timezone"] == "Europe/Berlin"

    def test_a_network_that_drops_is_a_failed_save_and_puts_the_control_back(
        self, page: Page, console: list[str]
    ) -> None:
        page.get_by_role("tab", name="Telephony").click()
        page.route("**/api/v1/account/telephony", lambda route: route.abort())
        recording = page.get_by_role("switch", name="Recording")
        recording.click()
        expect(
            page.get_by_text("The server could not be reached: it may not have been saved.")
        ).to_be_visible()
        expect(recording).to_be_checked()
        assert len(console) == 1 and "Failed to load" in console.pop()

    def test_a_refused_save_says_why_and_puts_the_control_back(self, page: Page, console: list[str]) -> None:
        def refuse(route: Route) -> None:
            route.fulfill(status=503, json={"detail": "the database does not answer; nothing was changed"})

        page.route("**/api/v1/account", refuse)
        page.get_by_label("Timezone").select_option("Europe/Berlin")
        expect(page.get_by_text("Not saved. the database does not answer")).to_be_visible()
        expect(page.get_by_label("Timezone")).to_have_value("America/New_York")
        assert len(console) == 1 and "503" in console.pop()


class TestTheBillingAddress:
    def test_add_address_opens_a_dialog_and_escape_changes_nothing(
        self, page: Page, account: Account
    ) -> None:
        account.api("PATCH", "/account", {"billing_address": None})
        page.reload()
        add = page.get_by_role("button", name="Add Address")
        add.click()
        dialog = page.get_by_role("dialog", name="Billing address")
        dialog.get_by_label("Street").fill("1 Elsewhere")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(add).to_be_focused()
        assert account.api("GET", "/account")["billing_address"] is None

    def test_an_address_that_somebody_else_stored_meanwhile_is_not_overwritten_unasked(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.get_by_role("button", name="Edit", exact=True).click()
        dialog = page.get_by_role("dialog", name="Billing address")
        dialog.get_by_label("City").fill("Mine")
        account.api("PATCH", "/account", {"name": "Theirs"})
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_text("Somebody else has changed this meanwhile.")).to_be_visible()
        expect(dialog.get_by_label("City")).to_have_value("Mine")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Mine, ME")).to_be_visible()
        assert len(console) == 1 and "412" in console.pop()

    def test_edit_checks_the_required_parts_and_saves(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.get_by_role("button", name="Edit").click()
        dialog = page.get_by_role("dialog", name="Billing address")
        expect(dialog.get_by_label("City")).to_have_value("Portland")
        dialog.get_by_label("City").fill("")
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_label("City")).to_be_focused()
        expect(dialog.get_by_label("City")).to_have_attribute("aria-invalid", "true")
        dialog.get_by_label("City").fill("Bath")
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Bath, ME 04101")).to_be_visible()
        expect(page.get_by_text("Billing address saved")).to_be_visible()
        assert account.api("GET", "/account")["billing_address"]["city"] == "Bath"
        assert len(console) == 1 and "422" in console.pop()


class TestTelephony:
    def test_limits_are_texts_and_empty_is_no_limit(self, page: Page, account: Account) -> None:
        page.get_by_role("tab", name="Telephony").click()
        expect(page.get_by_label("Parking Timeout")).to_have_value("5")
        page.get_by_label("Inbound Fax Limit").fill("20")
        page.get_by_label("Parking Timeout").fill("10")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        told = account.api("GET", "/account/telephony")
        limits = (told["parking_timeout_minutes"], told["inbound_fax_limit"], told["outbound_fax_limit"])
        assert limits == (10, 20, None)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        page.get_by_label("Inbound Fax Limit").fill("")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert account.api("GET", "/account/telephony")["inbound_fax_limit"] is None

    def test_with_no_clip_hold_music_says_so_and_links_there(self, page: Page) -> None:
        page.get_by_role("tab", name="Telephony").click()
        expect(page.get_by_role("link", name="upload one under Audio Clips")).to_be_visible()
        expect(page.get_by_role("link", name="Phone Numbers").last).to_be_visible()


class TestLocations:
    def test_a_recipient_is_added_and_removed(self, page: Page, account: Account) -> None:
        page.get_by_role("tab", name="Locations").click()
        expect(page.get_by_role("heading", name="Emergency call notification recipients")).to_be_visible()
        page.get_by_label("Add a recipient").fill("night@harbourlane.example")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("button", name="Remove night@harbourlane.example")).to_be_visible()
        told = account.api("GET", "/account/emergency-recipients")["emails"]
        assert told == ["safety@harbourlane.example", "night@harbourlane.example"]
        for email in told:
            page.get_by_role("button", name=f"Remove {email}").click()
            page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
            expect(page.get_by_role("button", name=f"Remove {email}")).to_have_count(0)
        expect(page.get_by_text("No recipient is set for the whole account")).to_be_visible()

    def test_a_recipient_is_added_to_what_somebody_else_has_added_meanwhile(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.goto("/settings?tab=locations")
        page.get_by_label("Add a recipient").fill("night@harbourlane.example")
        account.api("PUT", "/account/emergency-recipients", {"emails": ["theirs@harbourlane.example"]})
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("button", name="Remove night@harbourlane.example")).to_be_visible()
        told = account.api("GET", "/account/emergency-recipients")["emails"]
        assert told == ["theirs@harbourlane.example", "night@harbourlane.example"]
        assert len(console) == 1 and "412" in console.pop()

    def test_a_recipient_that_is_no_address_is_refused_beside_the_field(
        self, page: Page, console: list[str]
    ) -> None:
        page.get_by_role("tab", name="Locations").click()
        page.get_by_label("Add a recipient").fill("nobody")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("must be an email address")).to_be_visible()
        expect(page.get_by_label("Add a recipient")).to_have_value("nobody")
        assert len(console) == 1 and "422" in console.pop()

    def test_an_emergency_call_is_shown_with_what_became_of_its_mails(
        self, page: Page, account: Account
    ) -> None:
        call = {"call_id": "1", "dialed": "911", "sip_username": "4201"}
        account.api("POST", "/switch/emergency-calls", call)
        page.goto("/settings?tab=locations")
        row = page.get_by_role("row", name="Front Desk (4201)")
        expect(row.get_by_text("safety@harbourlane.example: not delivered yet")).to_be_visible()
        expect(page.get_by_text("No mail relay is set (PROVISIONING_SMTP_URL)").first).to_be_visible()

    def test_each_location_is_shown_with_its_address(self, page: Page) -> None:
        page.get_by_role("tab", name="Locations").click()
        row = page.get_by_role("row", name="Portland")
        expect(row.get_by_text("12 Harbour Lane, Floor 2, Portland, ME 04101")).to_be_visible()


class TestProvisioning:
    @pytest.mark.parametrize("plain", [False, True], ids=["clipboard", "plain http"])
    def test_copy_gives_exactly_the_value_without_revealing_it(
        self, page: Page, context: BrowserContext, account: Account, plain: bool
    ) -> None:
        if plain:
            context.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        else:
            context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/settings?tab=devices")
        told = account.api("GET", "/account/provisioning")
        for what, name in (
            ("Provisioning token", "token"),
            ("Provisioning URL", "provisioning_url"),
            ("Phone admin password", "admin_password"),
        ):
            page.evaluate("document.getElementById('toasts').replaceChildren()")
            row = page.locator(".secret", has_text=what)
            row.get_by_role("button", name="Copy").click()
            expect(page.get_by_text("Copied")).to_be_visible()
            assert pasted(page) == told[name]
            assert told[name] not in page.content()

    def test_reveal_shows_the_value_and_hides_it_again(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        row = page.locator(".secret", has_text="Provisioning URL")
        row.get_by_role("button", name="Reveal").click()
        expect(row.get_by_text(account.url, exact=True)).to_be_visible()
        row.get_by_role("button", name="Hide").click()
        expect(row.get_by_text(account.url, exact=True)).to_have_count(0)

    def test_rotate_says_what_it_does_and_its_safe_button_has_the_focus(
        self, page: Page, account: Account
    ) -> None:
        page.goto("/settings?tab=devices")
        assert buttons(page, "Generate") == 0
        page.get_by_role("button", name="Rotate", exact=True).click()
        dialog = page.get_by_role("dialog", name="Rotate the provisioning token?")
        expect(dialog.get_by_text("0 phones hold the present URL.")).to_be_visible()
        expect(dialog.get_by_role("button", name="Keep the present URL")).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        assert account.api("GET", "/account/provisioning")["provisioning_url"] == account.url

    def test_enter_in_the_reason_rotates_nothing(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_role("button", name="Rotate", exact=True).click()
        page.get_by_label("Reason").fill("a technician left")
        page.get_by_label("Reason").press("Enter")
        expect(page.get_by_role("dialog", name="Rotate the provisioning token?")).to_be_visible()
        assert account.api("GET", "/account/provisioning")["generation"] == 1

    def test_a_rotation_that_somebody_else_was_faster_with_is_said_and_may_be_done_again(
        self, page: Page, account: Account, console: list[str]
    ) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_role("button", name="Rotate", exact=True).click()
        page.get_by_label("Reason").fill("a technician left")
        account.api("POST", "/account/provisioning/rotate", {})
        dialog = page.get_by_role("dialog", name="Rotate the provisioning token?")
        dialog.get_by_role("button", name="Rotate", exact=True).click()
        expect(dialog.get_by_text("Somebody else has changed this meanwhile.")).to_be_visible()
        expect(page.get_by_label("Reason")).to_have_value("a technician left")
        dialog.get_by_role("button", name="Rotate", exact=True).click()
        expect(page.get_by_role("dialog", name="The new provisioning URL")).to_be_visible()
        assert account.api("GET", "/account/provisioning")["generation"] == 3
        assert len(console) == 1 and "412" in console.pop()

    def test_a_double_click_rotates_once_and_the_new_url_is_there_to_copy(
        self, page: Page, context: BrowserContext, account: Account
    ) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/settings?tab=devices")
        page.get_by_role("button", name="Rotate", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill("a technician left")
        dialog.get_by_label("Make a new phone admin password, too").check()
        dialog.get_by_role("button", name="Rotate", exact=True).dblclick()
        shown = page.get_by_role("dialog", name="The new provisioning URL")
        expect(shown).to_be_visible()
        told = account.api("GET", "/account/provisioning")
        assert told["generation"] == 2 and told["admin_password"] != "739204816355"
        expect(shown.get_by_text(told["provisioning_url"])).to_be_visible()
        shown.get_by_role("button", name="Done").click()
        expect(page.get_by_role("heading", name="Provisioning", exact=True)).to_be_focused()
        page.locator(".secret", has_text="Provisioning URL").get_by_role("button", name="Copy").click()
        expect(page.get_by_text("Copied")).to_be_visible()
        assert pasted(page) == told["provisioning_url"]
        assert account.site.fetch(f"{account.url}805ec0102001.cfg")[0] == 404
        assert account.site.fetch(f"{told['provisioning_url']}805ec0102001.cfg")[0] == 200

    def test_without_a_token_there_is_generate_and_no_rotate(
        self, context: BrowserContext, site: Shell, console: list[str]
    ) -> None:
        site.run("account", "add", "--name", "Acme", "--email", "gen@acme.example", "--password", PASSWORD)
        page = watched(context, console)
        log_in(page, "gen@acme.example", "/settings?tab=devices")
        assert buttons(page, "Rotate") == 0
        page.get_by_role("button", name="Generate").click()
        page.get_by_role("dialog", name="The provisioning URL").get_by_role("button", name="Done").click()
        expect(page.get_by_role("button", name="Rotate")).to_be_visible()
        assert buttons(page, "Generate") == 0
        assert console == []


class TestDeviceOptions:
    def test_an_option_shows_where_its_value_comes_from_and_goes_back_to_it(
        self, page: Page, account: Account
    ) -> None:
        page.goto("/settings?tab=devices")
        transport = page.get_by_label("Transport")
        expect(transport).to_have_value("")
        transport.select_option("tls")
        expect(page.get_by_text("Set here. Without it: udp (default).")).to_be_visible()
        assert account.api("GET", "/account/device-options")["sip_transport"] == "tls"
        transport.select_option("Inherited: udp (default)")
        expect(page.get_by_text("Set here. Without it: udp (default).")).to_have_count(0)
        assert account.api("GET", "/account/device-options")["sip_transport"] is None

    def test_a_text_option_is_saved_and_emptying_it_inherits(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_label("SIP port").fill("5080")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved", exact=True)).to_be_visible()
        assert account.api("GET", "/account/device-options")["sip_port"] == 5080
        page.get_by_label("SIP port").fill("")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        assert account.api("GET", "/account/device-options")["sip_port"] is None

    def test_who_saves_again_while_the_page_is_refreshed_is_heard(self, page: Page, account: Account) -> None:
        page.goto("/settings?tab=devices")
        held: list[Route] = []
        page.route("**/settings?tab=devices", lambda route: held.append(route))
        page.get_by_label("SIP port").fill("5080")
        with page.expect_request("**/settings?tab=devices"):
            page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_label("SIP port").fill("5090")
        page.get_by_role("button", name="Save", exact=True).click()
        held[0].continue_()
        expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        expect(page.get_by_label("SIP port")).to_have_value("5090")
        assert account.api("GET", "/account/device-options")["sip_port"] == 5090

    def test_a_wrong_option_is_refused_beside_its_field(self, page: Page, console: list[str]) -> None:
        page.goto("/settings?tab=devices")
        page.get_by_label("SIP port").fill("seventy")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_label("SIP port")).to_have_attribute("aria-invalid", "true")
        assert len(console) == 1 and "422" in console.pop()


class TestActivity:
    def test_each_row_says_who_did_what_when_from_where_and_how_it_ended(
        self, page: Page, account: Account
    ) -> None:
        page.goto("/settings?tab=activity")
        heads = ["Time", "Event", "Resource", "Actor", "Outcome", "IP Address", "Copy"]
        assert page.get_by_role("columnheader").all_inner_texts() == heads
        row = page.get_by_role("row", name="account.read").first
        expect(row.get_by_text(f"user/{account.email}")).to_be_visible()
        expect(row.get_by_text("success")).to_be_visible()
        expect(row.get_by_text("127.0.0.1")).to_be_visible()

    def test_filters_narrow_add_up_and_live_in_the_address(self, page: Page) -> None:
        page.goto("/settings?tab=activity")
        page.get_by_label("Actor begins with").fill("system")
        expect(page.get_by_role("row", name="account.read")).to_have_count(0)
        expect(page).to_have_url(re.compile("actor=system"))
        page.get_by_label("Resource begins with").fill("account/")
        expect(page.get_by_role("row", name="token.generate")).to_have_count(0)
        expect(page.get_by_role("row", name="account.load")).to_have_count(1)
        page.reload()
        expect(page.get_by_label("Actor begins with")).to_have_value("system")
        expect(page.get_by_role("row", name="token.generate")).to_have_count(0)
        page.get_by_role("link", name="Clear Filters").click()
        expect(page.get_by_role("row", name="token.generate")).to_have_count(1)
        expect(page).to_have_url(re.compile(r"\?tab=activity$"))

    def test_writes_picks_all_writes_at_once(self, page: Page) -> None:
        page.goto("/settings?tab=activity")
        page.get_by_text("All events").click()
        page.get_by_role("button", name="Writes").click()
        expect(page.get_by_label("token.rotate")).to_be_checked()
        expect(page.get_by_label("account.read")).not_to_be_checked()
        page.keyboard.press("Escape")
        expect(page.get_by_role("row", name="account.read")).to_have_count(0)
        expect(page.get_by_role("row", name="account.load")).to_have_count(1)

    def test_the_dates_are_both_included_in_the_accounts_zone(self, page: Page) -> None:
        page.goto("/settings?tab=activity")
        day = page.locator("tbody time").first.get_attribute("datetime")
        assert day
        local = datetime.fromisoformat(day).astimezone(ZoneInfo("America/New_York")).date().isoformat()
        page.goto(f"/settings?tab=activity&from={local}&to={local}")
        expect(page.get_by_role("row", name="token.generate")).to_have_count(1)
        page.goto("/settings?tab=activity&to=2020-01-01")
        expect(page.get_by_text("No entry matches these filters.")).to_be_visible()

    def test_an_entry_is_copied_as_json_by_keyboard_too(
        self, page: Page, context: BrowserContext, account: Account
    ) -> None:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto("/settings?tab=activity&event=token.generate")
        page.get_by_role("button", name="Copy the entry as JSON").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Copied")).to_be_visible()
        entry = next(e for e in account.entries() if e.event == "token.generate")
        told = account.api("GET", "/activity?event=token.generate")["data"]
        assert json.loads(pasted(page)) == told[0] and told[0]["id"] == entry.id

    def test_a_date_is_typed_without_being_applied_half_way(self, page: Page) -> None:
        page.goto("/settings?tab=activity")
        page.get_by_label("From, this day included").focus()
        for digit in "11242026":
            page.keyboard.press(digit)
            page.wait_for_timeout(350)  # as slow as people are, and longer than the page waits
        expect(page).to_have_url(re.compile("from=2026-11-24"))

    def test_a_last_day_before_the_first_is_said_to_be(self, page: Page) -> None:
        page.goto("/settings?tab=activity&from=2026-11-24&to=2026-11-23")
        expect(page.get_by_text("is before the first day")).to_be_visible()
        expect(page.get_by_role("row", name="account.read")).to_have_count(0)

    def test_older_entries_are_a_page_further(self, page: Page, account: Account) -> None:
        for _ in range(60):
            account.api("GET", "/account")
        page.goto("/settings?tab=activity")
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_role("row", name="account.load")).to_have_count(1)
        page.get_by_role("link", name="Newest").click()
        expect(page.get_by_role("row", name="account.load")).to_have_count(0)

    def test_an_entry_expands_to_what_changed(self, page: Page, account: Account) -> None:
        account.api("PATCH", "/account", {"name": "Renamed"})
        page.goto("/settings?tab=activity&event=account.update")
        page.locator("tbody").get_by_text("account.update").click()
        expect(page.get_by_text('"Renamed"')).to_be_visible()


class TestRoles:
    def test_a_viewer_reads_and_changes_nothing(
        self, context: BrowserContext, account: Account, console: list[str]
    ) -> None:
        account.add_user(f"v-{account.email}", "viewer")
        page = watched(context, console)
        log_in(page, f"v-{account.email}")
        expect(page.get_by_label("Name", exact=True)).to_be_disabled()
        assert page.get_by_role("link", name="Users").count() == 0
        page.goto("/settings?tab=devices")
        assert buttons(page, "Copy") == buttons(page, "Reveal") == buttons(page, "Rotate") == 0
        assert console == []


def pasted(page: Page) -> str:
    """What the clipboard holds, as a user finds out: by pasting it."""
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<textarea id=paste aria-label=Paste>')")
    page.locator("#paste").focus()
    page.keyboard.press("Control+V")
    text = page.locator("#paste").input_value()
    page.evaluate("document.getElementById('paste').remove()")
    return text
