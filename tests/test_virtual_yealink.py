"""A virtual Yealink: its boot files, what it keeps and forgets, and what it would misread."""

from datetime import UTC, datetime

import pytest
from pytest_aiohttp import AiohttpServer

from provisioning.phones.phone import Expansion
from provisioning.virtual_phone import Boot, HeldKey, VirtualPhone
from tests.virtual_phones import MAC, Folder, serve, yealink

FIRST = "#!version:1.0.0.1\n"
HIDES = "answered, but includes nothing for this phone, which looks no further"
GOOD = f"""{FIRST}# made by hand
static.auto_provision.server.url = {{url}}
static.security.user_password = user:11111111
static.security.user_password = admin:428100
account.1.enable = 1
account.1.label = Ann
account.1.display_name = Ann & <Co>
account.1.user_name = 4201
account.1.auth_name = auth4201
account.1.password = p%#$&<"w
account.1.sip_server.1.address = pbx.example.com
account.1.sip_server.1.port = 5061
account.1.sip_server.1.transport_type = 2
account.1.sip_server.2.address = backup.example.com
account.1.srtp_encryption = 1
local_time.time_zone = -5
local_time.summer_time = 1
local_time.dst_time_type = 1
local_time.start_time = 3/2/7/2
local_time.end_time = 11/1/7/2
local_time.offset_time = 60
dialplan.digitmap.enable = 1
dialplan.digitmap.string = 911|933|[1-9]xxxT
linekey.1.type = 15
linekey.1.line = 1
linekey.2.type = 16
linekey.2.line = 1
linekey.2.value = 4202
linekey.2.label = Bob
expansion_module.2.key.40.type = 13
expansion_module.2.key.40.value = 5551234
"""


def boot_file(*names: str, overwrite: int = 1) -> str:
    includes = "".join(f'include:config "{name}"\n' for name in names)
    return f"{FIRST}{includes}overwrite_mode = {overwrite}\n"


async def boots(phone: VirtualPhone, folder: Folder, **files: str) -> Boot:
    """Boots with the folder's MAC file replaced."""
    folder.files |= {f"{MAC}.{suffix}": content for suffix, content in files.items()}
    return await phone.boot(folder.url)


async def booted(aiohttp_server: AiohttpServer, cfg: str, phone: VirtualPhone | None = None) -> Boot:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file(f"{MAC}.cfg"), f"{MAC}.cfg": cfg})
    return await (phone or yealink()).boot(folder.url)


async def test_it_holds_what_its_file_says(aiohttp_server: AiohttpServer) -> None:
    phone = yealink()
    boot = await booted(aiohttp_server, GOOD, phone)
    assert (boot.problems, boot.came_up) == ((), True)
    (line,) = phone.lines()
    assert (line.index, line.label, line.display_name) == (1, "Ann", "Ann & <Co>")
    assert (line.user, line.auth_user, line.password) == ("4201", "auth4201", 'p%#$&<"w')
    assert line.servers == (("pbx.example.com", 5061), ("backup.example.com", 5060))
    assert (line.transport, line.srtp) == ("tls", "optional")
    assert phone.keys() == {
        (0, 1): HeldKey("line", "", "", 1),
        (0, 2): HeldKey("blf", "Bob", "4202", 1),
        (2, 40): HeldKey("speed_dial", "", "5551234", 1),
    }
    assert phone.admin_password() == "428100"
    assert ("static.security.user_password", "user:11111111") in phone.settings
    assert phone.dials("911") == phone.dials("933") == "at once"
    assert phone.dials("4201") == "after timeout"


async def test_out_of_the_box_the_first_keys_are_those_of_the_lines(aiohttp_server: AiohttpServer) -> None:
    phone = yealink()
    keyless = "\n".join(line for line in GOOD.splitlines() if "key." not in line)
    await booted(aiohttp_server, keyless, phone)
    assert phone.keys() == {(0, 1): HeldKey("line", "", "", 1)}
    assert phone.admin_password() == "428100"
    assert yealink().admin_password() == "admin"


async def test_only_what_the_boot_file_includes_for_its_model_is_fetched(
    aiohttp_server: AiohttpServer,
) -> None:
    boot = (
        f'{FIRST}include:config "all.cfg"\n[T46S,T23G]include:config "t4x.cfg"\n'
        f'[T23G]include:config "t23.cfg"\ninclude:config <{{url}}{MAC}.cfg>\noverwrite_mode = 0\n'
    )
    files = {f"{MAC}.boot": boot, f"{MAC}.cfg": GOOD, "all.cfg": FIRST, "t4x.cfg": FIRST}
    folder = await serve(aiohttp_server, files)
    assert (await yealink().boot(folder.url)).problems == ()
    assert folder.asked == [f"GET {name}" for name in (f"{MAC}.boot", "all.cfg", "t4x.cfg", f"{MAC}.cfg")]


async def test_the_excluded_mode_leaves_only_the_includes_of_the_model(aiohttp_server: AiohttpServer) -> None:
    boot = (
        f'{FIRST}include:config "all.cfg"\n[T46S]include:config "{MAC}.cfg"\n'
        "specific_model.excluded_mode = 1\n"
    )
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot, f"{MAC}.cfg": GOOD})
    assert (await yealink().boot(folder.url)).problems == ()
    assert folder.asked == [f"GET {MAC}.boot", f"GET {MAC}.cfg"]


async def test_of_two_files_the_later_wins(aiohttp_server: AiohttpServer) -> None:
    common = FIRST + "account.1.label = Common\naccount.1.expires = 600\n"
    folder = await serve(aiohttp_server, {"y000000000066.cfg": common, f"{MAC}.cfg": GOOD})
    phone = yealink()
    boot = await phone.boot(folder.url)
    assert (boot.problems, boot.came_up) == ((), True)
    assert phone.lines()[0].label == "Ann"
    assert dict(phone.settings)["account.1.expires"] == "600"


async def test_an_unchanged_file_is_skipped(aiohttp_server: AiohttpServer) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file(f"{MAC}.cfg"), f"{MAC}.cfg": GOOD})
    phone = yealink()
    assert (await phone.boot(folder.url)).applied == (f"{MAC}.boot", f"{MAC}.cfg")
    again = await phone.boot(folder.url)
    assert (again.applied, again.came_up) == ((), True)
    changed = await boots(phone, folder, cfg=GOOD.replace("Bob", "Eve"))
    assert changed.applied == (f"{MAC}.cfg",)
    assert phone.keys()[0, 2].label == "Eve"


async def test_with_overwrite_mode_what_is_no_longer_sent_is_forgotten_but_static(
    aiohttp_server: AiohttpServer,
) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file(f"{MAC}.cfg"), f"{MAC}.cfg": GOOD})
    phone = yealink()
    await phone.boot(folder.url)
    await boots(phone, folder, cfg=FIRST + "account.1.label = Eve\n")
    assert [name for name, _ in phone.settings if not name.startswith("static.")] == ["account.1.label"]
    assert phone.admin_password() == "428100"
    assert phone.provisioning_url() == folder.url


async def test_without_overwrite_mode_settings_stay_until_they_are_cleared(
    aiohttp_server: AiohttpServer,
) -> None:
    files = {f"{MAC}.boot": boot_file(f"{MAC}.cfg", overwrite=0), f"{MAC}.cfg": GOOD}
    folder = await serve(aiohttp_server, files)
    phone = yealink()
    await phone.boot(folder.url)
    await boots(phone, folder, cfg=FIRST + "account.1.label =\n")
    assert (phone.lines()[0].label, phone.keys()[0, 2].label) == ("Ann", "Bob")
    await boots(phone, folder, cfg=FIRST + "account.1.label = %NULL%\nlinekey.2.type = 0\n")
    assert phone.lines()[0].label == ""
    assert set(phone.keys()) == {(0, 1), (2, 40)}
    assert phone.lines()[0].user == "4201"


async def test_a_blank_value_clears_where_overwrite_mode_or_old_firmware_says_so(
    aiohttp_server: AiohttpServer,
) -> None:
    phone, old = yealink(), yealink("T28P", firmware="2.73.0.50")
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file(f"{MAC}.cfg"), f"{MAC}.cfg": GOOD})
    for each in (phone, old):
        await each.boot(folder.url)
        assert each.lines()[0].label == "Ann"
    folder.files[f"{MAC}.cfg"] = GOOD.replace("account.1.label = Ann", "account.1.label =")
    for each in (phone, old):
        await each.boot(folder.url)
        assert each.lines()[0].label == ""


async def test_a_file_that_cannot_be_had_leaves_everything_as_it_was(aiohttp_server: AiohttpServer) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file(f"{MAC}.cfg"), f"{MAC}.cfg": GOOD})
    phone = yealink()
    await phone.boot(folder.url)
    held = phone.settings
    del folder.files[f"{MAC}.cfg"]
    folder.asked.clear()
    boot = await phone.boot(folder.url)
    assert not boot.came_up
    assert boot.problems == (f"{MAC}.boot: includes {MAC}.cfg, which cannot be had",)
    assert folder.asked == [f"GET {MAC}.boot"] + [f"GET {MAC}.cfg"] * 3
    assert phone.settings == held


async def test_firmware_before_v81_knows_bare_names_and_no_digit_map(aiohttp_server: AiohttpServer) -> None:
    rules = "dialplan.dialnow.rule.1 = 911\ndialplan.dialnow.rule.2 = 933\n"
    bare = GOOD.replace("static.", "") + rules + "static.auto_provision.server.url = https://x.example.com/\n"
    phone = yealink("T28P", firmware="2.73.0.50")
    boot = await booted(aiohttp_server, bare, phone)
    assert (boot.problems, boot.came_up) == ((), True)
    assert phone.admin_password() == "428100"
    assert (phone.dials("911"), phone.dials("4201")) == ("at once", "after timeout")


async def test_v70_registers_by_the_old_names_alone(aiohttp_server: AiohttpServer) -> None:
    phone = yealink("T28P", firmware="2.70.0.140")
    assert not (await booted(aiohttp_server, GOOD, phone)).came_up
    old = "account.1.sip_server_host = pbx.example.com\naccount.1.transport = 1\n"
    assert (await booted(aiohttp_server, GOOD.replace("static.", "") + old, phone)).came_up
    assert (phone.lines()[0].servers, phone.lines()[0].transport) == ((("pbx.example.com", 5060),), "tcp")


async def test_its_own_changes_win_where_it_may_keep_them(aiohttp_server: AiohttpServer) -> None:
    protect = "static.auto_provision.custom.protect = 1\nstatic.auto_provision.custom.sync = 1\n"
    local = FIRST + "account.1.label = Changed\nstatic.auto_provision.server.url = https://x.example.com/\n"
    files = {
        f"{MAC}.boot": boot_file(f"{MAC}.cfg"),
        f"{MAC}.cfg": GOOD + protect,
        f"{MAC}-local.cfg": local,
    }
    folder = await serve(aiohttp_server, files)
    phone = yealink()
    assert (await phone.boot(folder.url)).came_up
    assert phone.lines()[0].label == "Changed"
    assert folder.asked[-2:] == [f"GET {MAC}-local.cfg", f"PUT {MAC}-local.cfg"]


@pytest.mark.parametrize(
    ("firmware", "delay", "number", "expected"),
    [
        ("2.73.0.50", "1", "911", "at once"),
        ("2.73.0.50", "1", "4201", "at once"),
        ("2.73.0.50", "1", "2125551234", "after timeout"),
        ("2.73.0.50", "0", "2125551234", "no match"),
        ("2.73.0.50", "5", "911", "after timeout"),
    ],
)
async def test_without_a_digit_map_the_dial_now_rules_count(
    aiohttp_server: AiohttpServer, firmware: str, delay: str, number: str, expected: str
) -> None:
    rules = ["911", "933", "xxxx"]
    said = "".join(f"dialplan.dialnow.rule.{n} = {rule}\n" for n, rule in enumerate(rules, 1))
    phone = yealink("T28P", firmware=firmware)
    await booted(aiohttp_server, f"{FIRST}phone_setting.dialnow_delay = {delay}\n{said}", phone)
    assert phone.dials(number) == expected


@pytest.mark.parametrize(
    ("lines", "winter", "summer"),
    [
        (["-5", "1", "1", "3/2/7/2", "11/1/7/2", "60"], -18000, -14400),
        (["+10:30", "1", "1", "10/1/7/2", "4/1/7/2", "30"], 39600, 37800),
        (["+5:30", "0", "0", "", "", "60"], 19800, 19800),
        (["-3:30", "1", "0", "3/8/2", "11/1/2", "60"], -12600, -9000),
        (["+12:45", "0", "0", "", "", "60"], 45900, 45900),
        (["0", "1", "1", "3/5/7/1", "10/5/7/2", "60"], 0, 3600),
    ],
)
async def test_its_clock_follows_what_it_was_told(
    aiohttp_server: AiohttpServer, lines: list[str], winter: int, summer: int
) -> None:
    names = ("time_zone", "summer_time", "dst_time_type", "start_time", "end_time", "offset_time")
    said = "".join(f"local_time.{name} = {value}\n" for name, value in zip(names, lines, strict=True))
    phone = yealink()
    await booted(aiohttp_server, FIRST + said, phone)
    assert phone.utc_offset(datetime(2026, 1, 10, 12, tzinfo=UTC)) == winter
    assert phone.utc_offset(datetime(2026, 7, 10, 12, tzinfo=UTC)) == summer


async def test_daylight_time_begins_and_ends_on_the_second(aiohttp_server: AiohttpServer) -> None:
    phone = yealink()
    await booted(aiohttp_server, GOOD, phone)
    assert phone.utc_offset(datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC)) == -18000
    assert phone.utc_offset(datetime(2026, 3, 8, 7, tzinfo=UTC)) == -14400
    assert phone.utc_offset(datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC)) == -14400
    assert phone.utc_offset(datetime(2026, 11, 1, 6, tzinfo=UTC)) == -18000


@pytest.mark.parametrize("name", ["T38G", "T32G"])
async def test_two_models_count_the_line_of_a_blf_key_from_0(
    aiohttp_server: AiohttpServer, name: str
) -> None:
    phone = yealink(name)
    blf = "linekey.2.type = 16\nlinekey.2.value = 4202\nlinekey.2.line = 0\n"
    speed_dial = "linekey.3.type = 13\nlinekey.3.value = 4202\nlinekey.3.line = 1\n"
    await booted(aiohttp_server, FIRST + blf + speed_dial, phone)
    assert (phone.keys()[0, 2].line, phone.keys()[0, 3].line) == (1, 1)


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("what is this", f"{MAC}.cfg: line 33 cannot be read"),
        ("account.2.label = A\x00B", f"{MAC}.cfg: line 33 holds a control character"),
        ("account.2.label = A\u2028B", f"{MAC}.cfg: line 33 holds a control character"),
        ("account.1.password = other", f"{MAC}.cfg: account.1.password is set twice, to different values"),
        (
            "static.security.user_name.admin = admin",
            f"{MAC}.cfg: static.security.user_name.admin comes after user_password, which names its user",
        ),
        ("linekey.7.type = 0", "linekey.7: the T46S has 6 line keys"),
        ("expansion_module.7.key.1.type = 0", "expansion_module.7.key.1: the T46S takes 6 modules"),
        ("expansion_module.1.key.41.type = 0", "expansion_module.1.key.41: the EXP20 has 40 keys"),
        (
            "expansion_module.1.key.21.type = 0",
            "expansion_module.1.key.21: the EXP20 keeps this key for itself",
        ),
        ("linekey.3.type = 999", "linekey.3: there is no type 999 for such a key"),
        ("linekey.3.type = 28", "linekey.3: there is no type 28 for such a key"),
        ("linekey.3.type = 16", "linekey.3: type 16 without a value"),
        (
            "linekey.3.type = 15\nlinekey.3.line = 2",
            "linekey.3: works on a line that the phone does not have",
        ),
        ("programablekey.11.type = 5", "programablekey.11: the T46S has no such key"),
        ("programablekey.1.type = 16", "programablekey.1: there is no type 16 for such a key"),
        ("account.5.enable = 0", "account.5: the T46S has 4 lines"),
        ("account.2.enable = 1", "account.2: is on, but lacks a user, a password or a server"),
        (
            "account.2.sip_server.1.transport_type = UDP",
            "account.2.sip_server.1.transport_type: no value that the phone knows",
        ),
        ("account.2.srtp_encryption = 3", "account.2.srtp_encryption: no value that the phone knows"),
        ("dialplan.dialnow.rule.1 = (x", "dialplan.dialnow.rule.1: an alternative cannot be read"),
    ],
)
async def test_a_line_that_it_would_misread_is_named(
    aiohttp_server: AiohttpServer, added: str, problem: str
) -> None:
    phone = yealink(programmable_keys="1-10,12-14")
    boot = await booted(aiohttp_server, f"{GOOD}{added}\n", phone)
    assert boot.problems == (problem,)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("time_zone = -5", "time_zone = EST", "local_time.time_zone: no offset such as -5 or +5:30"),
        (
            "summer_time = 1",
            "summer_time = 2",
            "local_time.summer_time: neither off nor by rules, so the firmware decides",
        ),
        (
            "dst_time_type = 1",
            "dst_time_type = 0",
            "local_time.start_time: not of the form that dst_time_type asks for",
        ),
        ("3/2/7/2", "3/2/0/2", "local_time.start_time: not of the form that dst_time_type asks for"),
        ("offset_time = 60", "offset_time = %NULL%", "local_time.offset_time: no number of minutes"),
        ("911|933|", "911|", "933 is not dialled at once"),
        ("911|933|", "911|933|(x)|", "dialplan.digitmap.string: an alternative cannot be read"),
    ],
)
async def test_a_setting_of_the_wrong_form_is_named(
    aiohttp_server: AiohttpServer, old: str, new: str, problem: str
) -> None:
    assert problem in (await booted(aiohttp_server, GOOD.replace(old, new))).problems


@pytest.mark.parametrize(
    ("cfg", "problem"),
    [
        (GOOD.replace(FIRST, ""), f"{MAC}.cfg: the first line is not #!version:1.0.0.1"),
        ("\n" + GOOD, f"{MAC}.cfg: the first line is not #!version:1.0.0.1"),
        ("\ufeff" + GOOD, f"{MAC}.cfg: begins with a byte order mark"),
        ("<html>Not found</html>", f"{MAC}.cfg: an HTML page with status 200"),
    ],
)
async def test_a_file_that_does_not_begin_as_it_must_is_no_configuration(
    aiohttp_server: AiohttpServer, cfg: str, problem: str
) -> None:
    phone = yealink()
    boot = await booted(aiohttp_server, cfg, phone)
    assert problem in boot.problems
    assert (boot.came_up, phone.settings) == (False, ())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (FIRST, HIDES),
        (f'{FIRST}[T23G]include:config "{MAC}.cfg"\n', HIDES),
        ("<html></html>", "the first line is not #!version:1.0.0.1"),
        (f"{FIRST}include:config {MAC}.cfg\n", "line 2 cannot be read"),
        (f'{FIRST}include:config "{MAC}.txt"\n', "line 2 includes a file that does not end in .cfg"),
        (f"{FIRST}overwrite_mode = 2\n", "line 2 cannot be read"),
    ],
)
async def test_a_boot_file_that_hides_the_configuration_is_named(
    aiohttp_server: AiohttpServer, content: str, problem: str
) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": content, f"{MAC}.cfg": GOOD})
    boot = await yealink().boot(folder.url)
    assert f"{MAC}.boot: {problem}" in boot.problems
    assert not boot.came_up
    assert f"GET {MAC}.cfg" not in folder.asked


async def test_a_phone_without_modules_has_no_module_keys(aiohttp_server: AiohttpServer) -> None:
    boot = await booted(aiohttp_server, GOOD, yealink(expansions=()))
    assert boot.problems == ("expansion_module.2.key.40: the T46S takes no expansion module",)


async def test_crlf_is_read_as_lf(aiohttp_server: AiohttpServer) -> None:
    assert (await booted(aiohttp_server, GOOD.replace("\n", "\r\n"))).problems == ()


async def test_the_type_of_module_that_is_attached_counts(aiohttp_server: AiohttpServer) -> None:
    both = (Expansion("EXP40", 40, 6), Expansion("EXP20", 20, 6))
    assert (await booted(aiohttp_server, GOOD, yealink(expansions=both))).problems == ()
