"""Button templates as people make them: the list, the picture of the phone, and the dialog of a key."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Account, log_in, watched
from tests.shell import Shell

MOVED = "Dropped."


@pytest.fixture
def template(account: Account) -> dict[str, Any]:
    """Keys at 1, 2, 4 and 6: there are gaps at 3 and 5."""
    made: dict[str, Any] = account.api(
        "POST",
        "/button-templates",
        {
            "name": "Gaps",
            "buttons": [
                {"position": 1, "type": "line", "target": {"line": 1}},
                {"position": 2, "type": "blf", "label": "Ann", "target": {"extension": "4201"}},
                {"position": 4, "type": "park", "label": "Park", "target": {"slot": "701"}},
                {"position": 6, "type": "dnd", "label": "Quiet"},
            ],
        },
    )
    return made


@pytest.fixture
def editor(page: Page, template: dict[str, Any]) -> Page:
    return opened(page, template)


def opened(page: Page, template: dict[str, Any], query: str = "?model=T54W") -> Page:
    page.goto(f"/button-templates/{template['id']}{query}")
    return page


def layout(account: Account, template: dict[str, Any]) -> dict[str, str]:
    """What stands where: `{"0/1": "line"}`."""
    found = account.api("GET", f"/button-templates/{template['id']}")
    return {f"{b['module']}/{b['position']}": b["label"] or b["type"] for b in found["buttons"]}


def key(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=re.compile(f"^{re.escape(name)}"))


def save_key(page: Page) -> None:
    page.get_by_role("button", name="Save key").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


class TestTheList:
    def test_it_shows_each_template_with_its_keys_and_phones(self, page: Page) -> None:
        page.goto("/devices")
        page.get_by_role("link", name="Button Templates").first.click()
        row = page.get_by_role("row", name=re.compile("^Desk"))
        assert row.get_by_role("cell").all_inner_texts()[:2] == ["3", "3"]
        expect(row).to_contain_text("Small phones")

    def test_without_a_template_it_says_what_templates_are_for(self, page: Page, account: Account) -> None:
        for device in account.api("GET", "/devices")["data"]:
            account.api("DELETE", f"/devices/{device['id']}")
        for template in account.api("GET", "/button-templates")["data"]:
            account.api("DELETE", f"/button-templates/{template['id']}")
        page.goto("/button-templates")
        expect(page.get_by_text("There is no button template yet.")).to_contain_text("what the keys")

    @pytest.mark.parametrize(
        ("starter", "keys"), [("No keys", 0), ("Front desk", 8), ("Sales", 6), ("Executive", 6), ("Ware", 4)]
    )
    def test_a_new_one_begins_empty_or_with_a_starter(
        self, page: Page, account: Account, starter: str, keys: int
    ) -> None:
        page.goto("/button-templates")
        page.get_by_role("button", name="New template").click()
        page.get_by_label("Name").fill("Lobby")
        page.get_by_label("Description").fill("The one at the door")
        choice = page.get_by_label("Begin with")
        choice.select_option(choice.get_by_role("option", name=re.compile(f"^{starter}")).inner_text())
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", name="Lobby")).to_be_visible()
        assert len(account.api("GET", f"/button-templates/{page.url.rpartition('/')[2]}")["buttons"]) == keys

    def test_a_name_that_is_taken_is_refused_at_its_field(self, page: Page, console: list[str]) -> None:
        page.goto("/button-templates")
        page.get_by_role("button", name="New template").click()
        page.get_by_label("Name").fill("Desk")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_label("Name")).to_have_accessible_description(
            "another button template has this name"
        )
        console.clear()

    def test_a_duplicate_has_the_same_keys_under_another_name(self, page: Page, account: Account) -> None:
        for heading in ("Desk copy", "Desk copy 2"):
            page.goto("/button-templates")
            page.get_by_role("button", name="Duplicate Desk", exact=True).click()
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        kept = {t["name"]: t["buttons"] for t in account.api("GET", "/button-templates")["data"]}
        assert kept["Desk copy 2"] == kept["Desk copy"] == kept["Desk"]

    def test_one_that_no_phone_uses_is_deleted_after_a_question(
        self, page: Page, template: dict[str, Any]
    ) -> None:
        page.goto("/button-templates")
        page.get_by_role("button", name="Delete Gaps").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("link", name="Gaps")).to_be_visible()
        page.get_by_role("button", name="Delete Gaps").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("link", name="Gaps")).to_have_count(0)
        expect(page.get_by_role("button", name="New template")).to_be_focused()

    def test_one_that_phones_use_is_kept_and_it_says_why(self, page: Page, console: list[str]) -> None:
        page.goto("/button-templates")
        page.get_by_role("button", name="Delete Desk").click()
        expect(page.get_by_role("dialog")).to_contain_text("3 phones use it")
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("status").first).to_have_text("a device uses this button template")
        expect(page.get_by_role("link", name="Desk")).to_be_visible()
        console.clear()


class TestThePicture:
    def test_keys_stand_where_they_are_and_gaps_are_drawn(self, editor: Page) -> None:
        first = editor.get_by_role("group", name="T54W, page 1")
        names = first.get_by_role("button").evaluate_all("all => all.map(key => key.ariaLabel)")
        assert names == [
            "Key 1: Line 1",
            "Key 2: BLF 4201, Ann",
            "Key 3: empty",
            "Key 4: Park 701, Park",
            "Key 5: empty",
            "Key 6: Do not disturb, Quiet",
            "Key 7: empty",
            "Key 8: empty",
            "Key 9: empty",
        ]
        left, right = (key(editor, name).bounding_box() for name in ("Key 1:", "Key 6:"))
        assert left["y"] == right["y"] and left["x"] < right["x"]

    def test_it_begins_with_the_model_that_most_of_its_phones_are(self, page: Page, account: Account) -> None:
        account.api("PATCH", f"/devices/{device(account, 'Lab, since 2012')}", {"model": "T23G"})
        page.goto("/button-templates")
        page.get_by_role("link", name="Desk").click()
        expect(page.get_by_label("Seen on")).to_have_value("T23G")

    def test_another_model_is_chosen_and_stays_in_the_address(self, editor: Page) -> None:
        editor.get_by_label("Seen on").select_option("VVX 450")
        expect(editor.get_by_role("heading", name="Keys on the VVX 450")).to_be_visible()
        expect(editor).to_have_url(re.compile(r"\?model=VVX\+450$"))
        expect(editor.get_by_label("Seen on")).to_be_focused()
        editor.go_back()
        expect(editor.get_by_role("heading", name="Keys on the T54W")).to_be_visible()

    def test_a_phone_with_other_modules_than_usual_is_a_choice_of_its_own(
        self, page: Page, account: Account
    ) -> None:
        button = {"module": 1, "position": 41, "type": "blf", "target": {"extension": "4201"}}
        made = account.api("POST", "/button-templates", {"name": "Wide", "buttons": [button]})
        change = {"model": "VVX 411", "expansion": "VVX Paper EM", "button_template_id": made["id"]}
        account.api("PATCH", f"/devices/{device(account, 'Conference room')}", change)
        page.goto(f"/button-templates/{made['id']}")
        expect(page.get_by_label("Seen on")).to_have_value("VVX 411 + VVX Paper EM")
        expect(page.get_by_text("VVX Paper EM has 40 keys, this is key 41")).to_be_visible()
        page.get_by_label("Seen on").select_option("VVX 411")
        expect(page.get_by_text("The key fits the VVX 411.")).to_be_visible()
        expect(page.get_by_text("VVX Color EM, 1 of 84 keys used")).to_be_visible()

    def test_a_phone_that_orders_its_keys_itself_is_said_to(self, page: Page, account: Account) -> None:
        buttons = [
            {"position": 1, "type": "speed_dial", "target": {"number": "5550100"}},
            {"position": 2, "type": "line", "target": {"line": 1}},
        ]
        made = account.api("POST", "/button-templates", {"name": "Own", "buttons": buttons})
        opened(page, made, "?model=SoundPoint+IP+600")
        expect(page.get_by_text("which orders its keys itself: 2 stand elsewhere there.")).to_be_visible()
        row = page.get_by_role("listitem").filter(has_text="Key 2: Line 1")
        expect(row.get_by_text("is key 1 there")).to_be_visible()

    def test_a_module_with_keys_is_open_and_others_are_closed(self, page: Page) -> None:
        page.goto("/button-templates")
        page.get_by_role("link", name="Reception").click()
        expect(key(page, "Module 1 key 4: Speed dial +12075550177, Taxi")).to_be_visible()
        expect(key(page, "Module 2 key 1: empty")).to_be_hidden()
        page.get_by_text("Module 2").click()
        expect(key(page, "Module 2 key 1: empty")).to_be_visible()

    def test_keys_that_a_small_model_lacks_are_listed_with_the_reason(
        self, page: Page, template: dict[str, Any]
    ) -> None:
        opened(page, template, "?model=T20P")
        expect(page.get_by_text("2 of 4 keys do not fit the T20P.")).to_be_visible()
        expect(key(page, "Key 4:")).to_have_accessible_description("T20P has 2 line keys, this is key 4")
        expect(page.get_by_text("T20P has 2 line keys, this is key 6")).to_be_visible()

    def test_a_key_that_a_vendor_has_not_is_marked_in_its_place(self, page: Page, account: Account) -> None:
        buttons = [{"position": 1, "type": "url", "target": {"url": "https://example.com/"}}]
        made = account.api("POST", "/button-templates", {"name": "Links", "buttons": buttons})
        opened(page, made, "?model=VVX+450")
        expect(key(page, "Key 1:")).to_contain_text("does not fit")
        expect(page.get_by_text("Polycom phones have no key that opens an address")).to_be_visible()
        key(page, "Key 1:").click()
        expect(page.get_by_role("dialog")).to_contain_text("Polycom phones have no key")

    def test_models_are_compared_side_by_side(self, editor: Page) -> None:
        for model in ("VVX 450", "T20P"):
            editor.get_by_role("combobox", name=re.compile("Compare the|Add a model")).select_option(model)
            editor.get_by_role("button", name="Compare").click()
            expect(editor.get_by_role("article", name=model)).to_be_visible()
        expect(editor).to_have_url(re.compile(r"compare=T54W&compare=VVX\+450&compare=T20P$"))
        expect(editor.get_by_role("article")).to_have_count(3)
        small = editor.get_by_role("article", name="T20P")
        expect(small).to_contain_text("T20P has 2 line keys, this is key 4")
        expect(small.get_by_role("button")).to_have_count(0)
        editor.get_by_role("link", name="Remove VVX 450").click()
        expect(editor.get_by_role("article")).to_have_count(2)

    def test_an_unknown_model_is_said_to_be_none(self, page: Page, template: dict[str, Any]) -> None:
        opened(page, template, "?model=T99&compare=T98")
        expect(page.get_by_text("There is no model “T99”.")).to_be_visible()


class TestTheKey:
    @pytest.mark.parametrize(
        ("type", "fields", "target"),
        [
            ("Line", {"Line number": "2"}, {"line": 2}),
            ("BLF", {"Extension": "4202"}, {"extension": "4202"}),
            ("Speed dial", {"Number": "+12075550177"}, {"number": "+12075550177"}),
            ("Park", {"Park slot": "702"}, {"slot": "702"}),
            ("Voicemail", {}, {}),
            ("Shared voicemail", {"Mailbox": "4200"}, {"mailbox": "4200"}),
            ("Do not disturb", {}, {}),
            ("Forward", {"Number": ""}, {"number": None}),
            ("Transfer", {"Number": "4202"}, {"number": "4202"}),
            ("Conference", {}, {}),
            ("Intercom", {"Extension": "4202"}, {"extension": "4202"}),
            (
                "Multicast page",
                {"Multicast address": "224.0.1.116", "Port": "5001"},
                {"address": "224.0.1.116", "port": 5001},
            ),
            ("Record", {}, {}),
            ("DTMF", {"Digits": "*1#"}, {"digits": "*1#"}),
            ("URL", {"Address": "https://example.com/door"}, {"url": "https://example.com/door"}),
            ("Kept empty", {}, {}),
        ],
    )
    def test_each_type_asks_for_its_own_target(
        self,
        editor: Page,
        account: Account,
        template: dict[str, Any],
        type: str,
        fields: dict[str, str],
        target: dict[str, Any],
    ) -> None:
        key(editor, "Key 3:").click()
        dialog = editor.get_by_role("dialog", name="Key 3")
        dialog.get_by_label("Type").select_option(label=type)
        asked = dialog.locator("input:visible").evaluate_all(
            "all => all.map(each => each.labels[0].innerText)"
        )
        assert [name.split(" (")[0] for name in asked] == [*fields, "Label"]
        for name, text in fields.items():
            dialog.get_by_role("combobox", name=name).or_(dialog.get_by_role("textbox", name=name)).fill(text)
        dialog.get_by_label("Label").fill("New one")
        save_key(editor)
        expect(key(editor, f"Key 3: {type}")).to_be_focused()
        found = account.api("GET", f"/button-templates/{template['id']}")["buttons"]
        assert [b["target"] for b in found if b["position"] == 3] == [target]
        assert layout(account, template)["0/3"] == "New one"

    def test_extensions_of_the_account_are_offered(self, editor: Page) -> None:
        offered = editor.locator("#known-extensions option").evaluate_all("all => all.map(one => one.value)")
        assert {"4201", "4207", "4303"} <= set(offered)

    def test_what_the_server_refuses_is_said_at_its_field(self, editor: Page, console: list[str]) -> None:
        key(editor, "Key 3:").click()
        editor.get_by_label("Type").select_option(label="Multicast page")
        editor.get_by_label("Multicast address").fill("10.0.0.1")
        editor.get_by_label("Port").fill("5001")
        editor.get_by_role("button", name="Save key").click()
        expect(editor.get_by_label("Multicast address")).to_have_accessible_description(
            re.compile("must be a multicast address")
        )
        expect(editor.get_by_label("Multicast address")).to_be_focused()
        console.clear()

    def test_removing_one_leaves_a_gap(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        key(editor, "Key 2:").focus()
        editor.keyboard.press("Enter")
        editor.get_by_role("button", name="Remove", exact=True).click()
        expect(key(editor, "Key 2: empty")).to_be_focused()
        assert layout(account, template) == {"0/1": "line", "0/4": "Park", "0/6": "Quiet"}

    def test_esc_changes_nothing_and_gives_the_focus_back(self, editor: Page) -> None:
        key(editor, "Key 2:").click()
        editor.get_by_label("Label").fill("Somebody")
        editor.keyboard.press("Escape")
        expect(key(editor, "Key 2: BLF 4201, Ann")).to_be_focused()

    def test_when_somebody_else_was_faster_what_was_typed_stays(
        self, editor: Page, account: Account, template: dict[str, Any], console: list[str]
    ) -> None:
        key(editor, "Key 2:").click()
        editor.get_by_label("Label").fill("Mine")
        theirs = [{"position": 2, "type": "dnd", "label": "Theirs"}, {"position": 9, "type": "record"}]
        account.api("PATCH", f"/button-templates/{template['id']}", {"buttons": theirs})
        editor.get_by_role("button", name="Save key").click()
        alert = editor.get_by_role("dialog").get_by_role("alert")
        expect(alert).to_contain_text("Somebody else has changed this template meanwhile")
        expect(alert).to_contain_text("Key 2: Do not disturb, Theirs")
        expect(editor.get_by_label("Label")).to_have_value("Mine")
        save_key(editor)
        assert layout(account, template) == {"0/2": "Mine", "0/9": "record"}
        console.clear()


class TestMoving:
    """The template has keys at 1, 2, 4 and 6; to move one to another shifts those between by one place."""

    def drag(self, page: Page, source: str, target: str) -> None:
        start, end = key(page, source).bounding_box(), key(page, target).bounding_box()
        page.mouse.move(start["x"] + 30, start["y"] + 15)
        page.mouse.down()
        page.mouse.move(end["x"] + 20, end["y"] + 10, steps=5)
        page.mouse.move(end["x"] + 30, end["y"] + 15)
        page.mouse.up()
        expect(page.get_by_text(MOVED)).to_be_attached()

    def test_a_key_dragged_to_another_shifts_those_between_and_gaps_stay(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        self.drag(editor, "Key 6:", "Key 2:")
        assert layout(account, template) == {"0/1": "line", "0/2": "Quiet", "0/4": "Ann", "0/6": "Park"}
        expect(editor.get_by_role("dialog")).to_have_count(0)
        expect(key(editor, "Key 2: Do not disturb, Quiet")).to_be_focused()

    def test_a_key_dragged_to_an_empty_slot_just_goes_there(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        self.drag(editor, "Key 2:", "Key 12:")
        assert layout(account, template) == {"0/1": "line", "0/4": "Park", "0/6": "Quiet", "0/12": "Ann"}

    def test_escape_ends_a_drag_and_the_key_stays(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        start = key(editor, "Key 6:").bounding_box()
        editor.mouse.move(start["x"] + 30, start["y"] + 15)
        editor.mouse.down()
        editor.mouse.move(start["x"] + 30, start["y"] + 60, steps=5)
        editor.keyboard.press("Escape")
        editor.mouse.move(start["x"] + 30, start["y"] + 90, steps=5)
        editor.mouse.up()
        expect(editor.locator(".ghost, .carried, .over")).to_have_count(0)
        assert layout(account, template)["0/6"] == "Quiet"

    def test_another_picture_ends_what_was_carried(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        key(editor, "Key 6:").focus()
        editor.keyboard.press("Space")
        editor.get_by_label("Seen on").select_option("VVX 450")
        expect(editor.get_by_role("heading", name="Keys on the VVX 450")).to_be_visible()
        key(editor, "Key 9:").click()
        expect(editor.get_by_role("dialog", name="Key 9")).to_be_visible()
        assert layout(account, template)["0/6"] == "Quiet"

    def test_the_keyboard_carries_a_key_into_a_module_that_was_closed(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        expect(key(editor, "Module 1 key 1: empty")).to_be_hidden()
        key(editor, "Key 27:").focus()
        editor.keyboard.press("ArrowDown")  # walks past what is closed
        expect(key(editor, "Key 27:")).to_be_focused()
        key(editor, "Key 6:").focus()
        editor.keyboard.press("Space")
        for _ in range(22):
            editor.keyboard.press("ArrowDown")
        expect(key(editor, "Module 1 key 1: empty")).to_be_focused()
        editor.keyboard.press("Space")
        expect(editor.get_by_text("Dropped. Module 1 key 1: Do not disturb, Quiet.")).to_be_attached()
        assert layout(account, template)["1/1"] == "Quiet"

    def test_the_keyboard_does_the_same(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        key(editor, "Key 1:").focus()
        editor.keyboard.press("Space")
        expect(editor.get_by_text("Picked up Key 1: Line 1.")).to_be_attached()
        for _ in range(3):
            editor.keyboard.press("ArrowDown")
        expect(editor.get_by_text("Over Key 4: Park 701, Park.")).to_be_attached()
        editor.keyboard.press("Space")
        expect(editor.get_by_text("Dropped. Key 4: Line 1.")).to_be_attached()
        assert layout(account, template) == {"0/1": "Ann", "0/2": "Park", "0/4": "line", "0/6": "Quiet"}
        expect(key(editor, "Key 4: Line 1")).to_be_focused()

    def test_left_and_right_cross_the_screen_and_an_empty_slot_takes_the_key(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        key(editor, "Key 2:").focus()
        editor.keyboard.press("Space")
        editor.keyboard.press("ArrowRight")
        expect(editor.get_by_text("Over Key 7: empty.")).to_be_attached()
        editor.keyboard.press("Space")
        expect(editor.get_by_text(MOVED)).to_be_attached()
        assert layout(account, template) == {"0/1": "line", "0/4": "Park", "0/6": "Quiet", "0/7": "Ann"}

    def test_esc_puts_it_back(self, editor: Page, account: Account, template: dict[str, Any]) -> None:
        before = layout(account, template)
        key(editor, "Key 1:").focus()
        for press in ("Space", "ArrowDown", "Escape"):
            editor.keyboard.press(press)
        expect(key(editor, "Key 1:")).to_be_focused()
        expect(editor.get_by_text("Key 1: Line 1 stays where it was.")).to_be_attached()
        assert layout(account, template) == before

    def test_without_dragging_move_and_a_press_on_the_slot_do_it(
        self, editor: Page, account: Account, template: dict[str, Any]
    ) -> None:
        key(editor, "Key 6:").click()
        editor.get_by_role("button", name="Move", exact=True).click()
        key(editor, "Key 5:").click()
        expect(editor.get_by_text(MOVED)).to_be_attached()
        assert layout(account, template)["0/5"] == "Quiet"

    def test_keys_of_the_phone_and_of_a_module_change_places(self, page: Page, account: Account) -> None:
        reception = next(
            t for t in account.api("GET", "/button-templates")["data"] if t["name"] == "Reception"
        )
        opened(page, reception)
        key(page, "Key 3:").click()
        page.get_by_role("button", name="Move", exact=True).click()
        key(page, "Module 1 key 1:").click()
        expect(page.get_by_text(MOVED)).to_be_attached()
        found = layout(account, reception)
        assert (found["0/3"], found["1/1"], found["0/4"]) == ("Hygiene 1", "Park 1", "Park 2")

    def test_a_key_without_a_slot_is_moved_to_one_that_there_is(
        self, page: Page, account: Account, template: dict[str, Any]
    ) -> None:
        opened(page, template, "?model=VVX+250")
        self.drag(page, "Key 6:", "Key 3:")
        assert layout(account, template) == {"0/1": "line", "0/2": "Ann", "0/3": "Quiet", "0/4": "Park"}
        expect(page.get_by_text("All 4 keys fit the VVX 250.")).to_be_visible()

    def test_when_somebody_else_was_faster_nothing_moves(
        self, editor: Page, account: Account, template: dict[str, Any], console: list[str]
    ) -> None:
        account.api("POST", f"/button-templates/{template['id']}/move", {"module": 0, "from": 6, "to": 1})
        now = layout(account, template)
        key(editor, "Key 1:").focus()
        for press in ("Space", "ArrowDown", "Space"):
            editor.keyboard.press(press)
        expect(editor.get_by_text("Somebody else has changed this template meanwhile.")).to_be_visible()
        expect(key(editor, "Key 1: Do not disturb, Quiet")).to_be_visible()
        assert layout(account, template) == now
        console.clear()


class TestTheName:
    def test_it_is_saved_with_the_description_and_keys_changed_meanwhile_do_no_harm(
        self, editor: Page, account: Account, template: dict[str, Any], console: list[str]
    ) -> None:
        editor.get_by_label("Name").fill("No gaps")
        key(editor, "Key 3:").click()
        editor.get_by_label("Type").select_option(label="Record")
        save_key(editor)
        expect(editor.get_by_label("Name")).to_have_value("No gaps")
        editor.get_by_role("button", name="Save", exact=True).click()
        expect(editor.get_by_role("heading", name="No gaps")).to_be_visible()
        found = account.api("GET", f"/button-templates/{template['id']}")
        assert (found["name"], len(found["buttons"])) == ("No gaps", 5)
        console.clear()


class TestWhoMayNot:
    @pytest.fixture
    def viewer(self, context: BrowserContext, account: Account, console: list[str]) -> Iterator[Page]:
        email = f"viewer.{account.email}"
        account.add_user(email, "viewer")
        page = watched(context, console)
        log_in(page, email, "/button-templates")
        yield page
        assert console == []

    def test_a_viewer_reads_and_changes_nothing(self, viewer: Page) -> None:
        expect(viewer.get_by_role("button", name=re.compile("New|Duplicate|Delete"))).to_have_count(0)
        viewer.get_by_role("link", name="Desk").click()
        expect(viewer.get_by_role("region", name="Keys on the").get_by_text("BLF 4201")).to_be_visible()
        expect(viewer.get_by_label("Name")).to_be_disabled()
        expect(viewer.locator("button.key")).to_have_count(0)

    def test_without_script_the_keys_can_be_read_on_any_model(
        self, browser: Browser, account: Account, site: Shell, template: dict[str, Any]
    ) -> None:
        context = browser.new_context(base_url=site.url, java_script_enabled=False)
        page = context.new_page()
        log_in(page, account.email, f"/button-templates/{template['id']}")
        page.get_by_label("Seen on").select_option("T20P")
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("T20P has 2 line keys, this is key 4")).to_be_visible()
        page.get_by_text("The keys as a table").click()
        expect(page.get_by_role("row", name="Phone 4 Park Park 701")).to_be_visible()
        context.close()


def device(account: Account, name: str) -> str:
    return next(str(d["id"]) for d in account.api("GET", "/devices")["data"] if d["name"] == name)
