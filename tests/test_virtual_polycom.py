"""A virtual Polycom: its master file, what it keeps and forgets, and what it would misread."""

from datetime import UTC, datetime

import pytest
from pytest_aiohttp import AiohttpServer

from provisioning.virtual_phone import Boot, HeldKey, VirtualPhone
from tests.virtual_phones import MAC, Folder, polycom, serve

MASTER = '<?xml version="1.0"?>\n<APPLICATION CONFIG_FILES="all.cfg"/>'
GOOD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- made
by hand -->
<all><device device.set="1" device.prov.serverName="{url}" device.prov.serverName.set="1"
  device.auth.localAdminPassword="428100" device.auth.localAdminPassword.set="1"/>
<reg reg.1.address="4201" reg.1.auth.userId="auth4201" reg.1.auth.password="p%#$&amp;&lt;&quot;w"
  reg.1.label="Ann" reg.1.displayName="Ann &amp; &lt;Co&gt;" reg.1.lineKeys="2"
  reg.1.server.1.address="pbx.example.com"
  reg.1.server.1.port="5061" reg.1.server.1.transport="TLS" reg.1.server.2.address="backup.example.com"/>
<srtp sec.srtp.enable="1" sec.srtp.offer="1" sec.srtp.require="0"/>
<mwi msg.mwi.1.callBack="*97"/>
<dial dialplan.digitmap="911|933|[1-9]xxxT" dialplan.digitmap.timeOut="0|0|3"/>
<keys lineKey.reassignment.enabled="1"
  lineKey.1.category="Line" lineKey.1.index="1" lineKey.2.category="BLF" lineKey.2.index="0"
  lineKey.3.category="Unassigned" lineKey.4.category="SpeedDial" lineKey.4.index="4"
  lineKey.5.category="BLF" lineKey.5.index="0" lineKey.6.category="Line" lineKey.6.index="1"
  lineKey.7.category="SpeedDial" lineKey.7.index="7" lineKey.8.category="SpeedDial" lineKey.8.index="8"
  lineKey.91.category="SpeedDial" lineKey.91.index="91"/>
<blf attendant.reg="1" attendant.resourceList.1.address="4202" attendant.resourceList.1.label="Bob"
  attendant.resourceList.2.address="sip:701@pbx.example.com" attendant.resourceList.2.type="automata"/>
<efk feature.enhancedFeatureKeys.enabled="1" efk.version="2"
  efk.efklist.1.mname="open" efk.efklist.1.status="1" efk.efklist.1.action.string="12#$Tdtmf$"
  efk.efklist.2.mname="pass" efk.efklist.2.action.string="4202$Trefer$"/>
<time tcpIpApp.sntp.gmtOffset="-18000" tcpIpApp.sntp.daylightSavings.enable="1"
  tcpIpApp.sntp.daylightSavings.start.month="3" tcpIpApp.sntp.daylightSavings.start.date="8"
  tcpIpApp.sntp.daylightSavings.start.dayOfWeek="1" tcpIpApp.sntp.daylightSavings.start.time="2"
  tcpIpApp.sntp.daylightSavings.stop.month="11" tcpIpApp.sntp.daylightSavings.stop.date="1"
  tcpIpApp.sntp.daylightSavings.stop.dayOfWeek="1" tcpIpApp.sntp.daylightSavings.stop.time="2"/></all>
"""


def directory(*items: str) -> str:
    listed = "".join(f"<item>{item}</item>" for item in items)
    return f"<directory><item_list>{listed}</item_list></directory>"


DIRECTORY = directory(
    "<fn>Taxi</fn><ln>Now</ln><ct>5551234</ct><sd>4</sd>",
    "<lb>Voicemail</lb><ct>*97</ct><sd>7</sd>",
    "<lb>Door</lb><ct>!open</ct><sd>8</sd>",
    "<lb>Pass</lb><ct>!pass</ct><sd>91</sd>",
)
FILES = {f"{MAC}.cfg": MASTER, "all.cfg": GOOD, f"{MAC}-directory.xml": DIRECTORY}


async def booted(
    aiohttp_server: AiohttpServer, phone: VirtualPhone | None = None, **changed: str
) -> tuple[Boot, Folder]:
    """`changed` are new contents of the `master`, the `cfg` and the `directory`."""
    names = {"master": f"{MAC}.cfg", "cfg": "all.cfg", "directory": f"{MAC}-directory.xml"}
    folder = await serve(aiohttp_server, FILES | {names[key]: text for key, text in changed.items()})
    return await (phone or polycom()).boot(folder.url), folder


async def problems(aiohttp_server: AiohttpServer, **changed: str) -> tuple[str, ...]:
    boot, _ = await booted(aiohttp_server, None, **changed)
    return boot.problems


async def test_it_holds_what_its_files_say(aiohttp_server: AiohttpServer) -> None:
    phone = polycom()
    boot, folder = await booted(aiohttp_server, phone)
    assert (boot.problems, boot.came_up) == ((), True)
    (line,) = phone.lines()
    assert (line.index, line.label, line.display_name) == (1, "Ann", "Ann & <Co>")
    assert (line.user, line.auth_user, line.password) == ("4201", "auth4201", 'p%#$&<"w')
    assert line.servers == (("pbx.example.com", 5061), ("backup.example.com", 5060))
    assert (line.transport, line.srtp) == ("tls", "optional")
    assert phone.keys() == {
        (0, 1): HeldKey("line", "Ann", "", 1),
        (0, 2): HeldKey("blf", "Bob", "4202", 1),
        (0, 4): HeldKey("speed_dial", "Taxi Now", "5551234", 1),
        (0, 5): HeldKey("park", "", "701", 1),
        (0, 6): HeldKey("line", "Ann", "", 1),
        (1, 1): HeldKey("voicemail", "Voicemail", "*97", 1),
        (1, 2): HeldKey("dtmf", "Door", "12#", 1),
        (2, 1): HeldKey("transfer", "Pass", "4202", 1),
    }
    assert (phone.admin_password(), phone.provisioning_url()) == ("428100", folder.url)
    assert phone.dials("911") == phone.dials("933") == "at once"
    assert phone.dials("4201") == "after timeout"
    assert (polycom().admin_password(), polycom().dials("933")) == ("456", "no match")


async def test_without_reassignment_lines_come_first_then_what_is_watched_then_favourites(
    aiohttp_server: AiohttpServer,
) -> None:
    phone = polycom()
    boot, _ = await booted(
        aiohttp_server, phone, cfg=GOOD.replace('reassignment.enabled="1"', 'reassignment.enabled="0"')
    )
    assert boot.problems == ("lineKey: without lineKey.reassignment.enabled the keys stay as they are",)
    kinds = ["line", "line", "blf", "park", "speed_dial", "voicemail", "dtmf", "transfer"]
    assert [key.type for key in phone.keys().values()] == kinds


async def test_the_leftmost_file_wins_and_overrides_beat_them_all(aiohttp_server: AiohttpServer) -> None:
    files = FILES | {
        f"{MAC}.cfg": MASTER.replace("all.cfg", "left.cfg, all.cfg"),
        "left.cfg": '<a reg.1.label="Left" reg.1.displayName="Left" reg.1.server.1.port="5071"/>',
        f"{MAC}-web.cfg": '<a reg.1.label="Web" reg.1.displayName="Web"/>',
        f"{MAC}-phone.cfg": '<a reg.1.label="Phone"/>',
    }
    folder = await serve(aiohttp_server, files)
    phone = polycom()
    assert (await phone.boot(folder.url)).problems == ()
    line = phone.lines()[0]
    assert (line.label, line.display_name, line.servers[0][1]) == ("Phone", "Web", 5071)


async def test_parameters_are_forgotten_and_device_parameters_are_kept(aiohttp_server: AiohttpServer) -> None:
    phone = polycom()
    _, folder = await booted(aiohttp_server, phone)
    folder.files["all.cfg"] = '<a reg.1.address="4209"/>'
    boot = await phone.boot(folder.url)
    assert (phone.lines()[0].user, phone.lines()[0].password) == ("4209", "")
    assert (phone.admin_password(), phone.provisioning_url()) == ("428100", folder.url)
    assert not boot.came_up
    assert set(boot.applied) >= {"all.cfg"}
    assert (await phone.boot(folder.url)).applied == ()


async def test_a_phone_that_finds_no_server_runs_on_what_it_has(aiohttp_server: AiohttpServer) -> None:
    phone = polycom()
    _, folder = await booted(aiohttp_server, phone)
    held = phone.settings
    folder.files.clear()
    assert not (await phone.boot(folder.url)).came_up
    assert (phone.settings, len(phone.keys())) == (held, 8)


async def test_a_phone_without_a_master_of_its_own_takes_the_shared_one(
    aiohttp_server: AiohttpServer,
) -> None:
    shared = '<APPLICATION CONFIG_FILES="[PHONE_MAC_ADDRESS]-[PHONE_MODEL].cfg"/>'
    files = {"000000000000.cfg": shared, f"{MAC}-VVX500.cfg": GOOD, f"{MAC}-directory.xml": DIRECTORY}
    folder = await serve(aiohttp_server, files)
    assert (await polycom().boot(folder.url)).came_up
    assert folder.asked[1:4] == [f"GET {MAC}.cfg", "GET 000000000000.cfg", f"GET {MAC}-VVX500.cfg"]


async def test_an_address_that_ends_in_a_file_s_name_is_the_master(aiohttp_server: AiohttpServer) -> None:
    folder = await serve(aiohttp_server, {"main.cfg": MASTER, "all.cfg": GOOD})
    await polycom().boot(folder.url + "main.cfg")
    assert folder.asked[:3] == [f"PUT {MAC}-boot.log", "GET main.cfg", "GET all.cfg"]


@pytest.mark.parametrize(
    "master",
    [
        '<APPLICATION CONFIG_FILES="other.cfg" CONFIG_FILES_VVX500="all.cfg"/>',
        '<APPLICATION CONFIG_FILES="other.cfg"><APPLICATION_VVX500 CONFIG_FILES_VVX500="all.cfg"/>'
        '<APPLICATION_VVX600 CONFIG_FILES_VVX600="600.cfg"/></APPLICATION>',
    ],
)
async def test_the_attributes_of_its_model_go_before_the_plain_ones(
    aiohttp_server: AiohttpServer, master: str
) -> None:
    boot, _ = await booted(aiohttp_server, polycom(), master=master)
    assert (boot.problems, boot.came_up) == ((), True)


async def test_firmware_that_is_not_there_is_asked_for_under_both_names(
    aiohttp_server: AiohttpServer,
) -> None:
    master = MASTER.replace("<APPLICATION", '<APPLICATION APP_FILE_PATH="[PHONE_PART_NUMBER].sip.ld"')
    boot, folder = await booted(aiohttp_server, polycom(part_number="3111-44500-001"), master=master)
    assert boot.came_up
    assert [request for request in folder.asked if request.endswith(".ld")] == [
        "GET 3111-44500-001.3111-44500-001.sip.ld",
        "GET 3111-44500-001.sip.ld",
    ]


async def test_the_shared_directory_is_for_a_phone_without_one(aiohttp_server: AiohttpServer) -> None:
    phone = polycom()
    folder = await serve(aiohttp_server, {f"{MAC}.cfg": MASTER, "000000000000-directory.xml": DIRECTORY})
    await phone.boot(folder.url)
    assert "GET 000000000000-directory.xml" in folder.asked
    folder.asked.clear()
    await phone.boot(folder.url)
    assert "GET 000000000000-directory.xml" not in folder.asked


async def test_logs_are_not_uploaded_where_the_files_say_so(aiohttp_server: AiohttpServer) -> None:
    _, folder = await booted(
        aiohttp_server, polycom(), cfg=GOOD.replace("<srtp", '<srtp feature.logUpload.enabled="0"')
    )
    assert folder.asked[-1] == f"GET {MAC}-directory.xml"


async def test_a_name_without_a_scheme_is_read_with_the_server_s_type(aiohttp_server: AiohttpServer) -> None:
    phone = polycom()
    kind = '<device device.prov.serverType="HTTP" device.prov.serverType.set="1"'
    folder = await serve(aiohttp_server, FILES)
    bare = folder.url.removeprefix("http://")
    folder.files["all.cfg"] = GOOD.replace("<device", kind).replace("{url}", bare)
    assert (await phone.boot(folder.url)).came_up
    assert phone.provisioning_url() == folder.url


@pytest.mark.parametrize(
    ("said", "winter", "summer"),
    [
        ({"gmtOffset": "-18000"}, -18000, -14400),
        ({"gmtOffset": "-25200", "daylightSavings.enable": "0"}, -25200, -25200),
        (
            {
                "gmtOffset": "3600",
                "daylightSavings.enable": "1",
                "daylightSavings.start.dayOfWeek.lastInMonth": "1",
                "daylightSavings.stop.month": "10",
                "daylightSavings.stop.dayOfWeek.lastInMonth": "1",
                "daylightSavings.stop.time": "3",
            },
            3600,
            7200,
        ),
        (
            {
                "gmtOffset": "36000",
                "daylightSavings.start.month": "10",
                "daylightSavings.start.date": "1",
                "daylightSavings.stop.month": "4",
                "daylightSavings.stop.time": "3",
            },
            39600,
            36000,
        ),
        (
            {
                "gmtOffset": "0",
                "daylightSavings.fixedDayEnable": "1",
                "daylightSavings.start.date": "29",
                "daylightSavings.stop.month": "10",
                "daylightSavings.stop.date": "25",
            },
            0,
            3600,
        ),
    ],
)
async def test_its_clock_follows_what_it_was_told(
    aiohttp_server: AiohttpServer, said: dict[str, str], winter: int, summer: int
) -> None:
    attributes = " ".join(f'tcpIpApp.sntp.{name}="{value}"' for name, value in said.items())
    phone = polycom()
    await booted(aiohttp_server, phone, cfg=f"<a {attributes}/>")
    assert phone.utc_offset(datetime(2026, 1, 10, 12, tzinfo=UTC)) == winter
    assert phone.utc_offset(datetime(2026, 7, 10, 12, tzinfo=UTC)) == summer


async def test_daylight_time_begins_and_ends_on_the_second_of_its_sunday(
    aiohttp_server: AiohttpServer,
) -> None:
    phone = polycom()
    await booted(aiohttp_server, phone)
    assert phone.utc_offset(datetime(2026, 3, 8, 6, 59, 59, tzinfo=UTC)) == -18000
    assert phone.utc_offset(datetime(2026, 3, 8, 7, tzinfo=UTC)) == -14400
    assert phone.utc_offset(datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC)) == -14400
    assert phone.utc_offset(datetime(2026, 11, 1, 6, tzinfo=UTC)) == -18000


SNTP = "tcpIpApp.sntp.daylightSavings"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'device.auth.localAdminPassword.set="1"',
            "",
            "device.auth.localAdminPassword: without device.auth.localAdminPassword.set it is not taken",
        ),
        (
            'device.set="1" ',
            "",
            "device.set is not 1, so that no device parameter is taken",
        ),
        (
            '"{url}"',
            '"https://old.example.com/"',
            "the address that the phone was told is not the one that it booted from",
        ),
        ('index="0"', 'index="1"', "lineKey.2.index: not 0, as it must be for BLF"),
        (
            'lineKey.4.index="4"',
            'lineKey.4.index="5"',
            "lineKey.4.index: no entry of the directory has this favourite number",
        ),
        (
            'lineKey.6.index="1"',
            'lineKey.6.index="2"',
            "lineKey.6.index: a line that the phone does not have",
        ),
        ('"Unassigned"', '"None"', "lineKey.3.category: no category that the phone knows"),
        ("lineKey.91.", "lineKey.259.", "lineKey.259: the VVX 500 has 258 keys"),
        ('reg.1.lineKeys="2"', 'reg.1.lineKeys="1"', "reg.1.lineKeys: not the number of this line's keys"),
        (
            'attendant.resourceList.1.address="4202"',
            "",
            "attendant.resourceList: not as many entries as there are BLF keys",
        ),
        ("resourceList.2.", "resourceList.3.", "attendant.resourceList: not numbered through from 1"),
        ('attendant.reg="1"', "", "attendant.reg: left out, so that nothing is watched"),
        (
            'attendant.reg="1"',
            'attendant.reg="1" attendant.uri="x"',
            "attendant.uri: puts attendant.resourceList out of force",
        ),
        ('"automata"', '"park"', "attendant.resourceList.2.type: neither normal nor automata"),
        ('"0|0|3"', '"0|3"', "dialplan.digitmap.timeOut: not one for each alternative of the digit map"),
        ("911|933|", "911|[(|", "dialplan.digitmap: an alternative cannot be read"),
        ("911|933|", "911|000|", "933 is not dialled at once"),
        ('"TLS"', '"3"', "reg.1.server.1.transport: no transport's word, so it is ignored"),
        (
            'reg.1.auth.password="p%#$&amp;&lt;&quot;w"',
            "",
            "reg.1: has an address, but lacks a password or a server",
        ),
        ("<mwi", '<mwi reg.5.label="x"', "reg.5: the VVX 500 has 4 lines"),
        ("<mwi", '<mwi reg.1.label="x"', "all.cfg: reg.1.label is set twice, to different values"),
        (f'{SNTP}.enable="1"', "", f"{SNTP}.enable: left out, so the clock is that of the vendor's default"),
        ("-18000", "-54000", "tcpIpApp.sntp.gmtOffset: out of -43200 to 50400"),
        ('start.dayOfWeek="1"', 'start.dayOfWeek="0"', f"{SNTP}.start.dayOfWeek: out of 1 to 7"),
        ('stop.time="2"', 'stop.time="24"', f"{SNTP}.stop.time: out of 0 to 23"),
        (
            'start.date="8"',
            'start.date="9"',
            f"{SNTP}.start.date: 1, 8, 15 or 22 say which such weekday of the month it is",
        ),
        (
            'efk.version="2"',
            "",
            "efk.efklist: without feature.enhancedFeatureKeys.enabled and efk.version 2 it is ignored",
        ),
        ('mname="open"', 'mname="pass"', "efk.efklist: of two macros with one name only the first counts"),
        ('mname="open"', 'mname="shut"', "directory: an entry names a macro that is not there"),
        ("12#$", f"{'1' * 100}$", "efk.efklist: a macro of more than 100 characters"),
        ("</all>", "", "all.cfg: is not well-formed XML in UTF-8"),
        ("Ann &amp;", "Ann &", "all.cfg: is not well-formed XML in UTF-8"),
        ('label="Ann"', 'label="Ann" reg.1.label="Ann"', "all.cfg: is not well-formed XML in UTF-8"),
        ("<!-- made", "<!DOCTYPE all><!-- made", "all.cfg: is not well-formed XML in UTF-8"),
        ("<?xml", "\ufeff<?xml", "all.cfg: begins with a byte order mark"),
        ('"Ann"', '"Ann\nBob"', "all.cfg: a raw line break or tab in an attribute, which reads as a space"),
    ],
)
async def test_a_parameter_that_it_would_misread_is_named(
    aiohttp_server: AiohttpServer, old: str, new: str, problem: str
) -> None:
    assert old in GOOD
    assert problem in await problems(aiohttp_server, cfg=GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ("<ct>5551234</ct>", "entry 5 has the ct of another one"),
        ("<fn>Ann</fn>", "entry 5 has no ct"),
        ("<ct>1</ct><sd>4</sd>", "entry 5 has a favourite number that is taken or out of 1 to 9999"),
        ("<ct>1</ct><sd>10000</sd>", "entry 5 has a favourite number that is taken or out of 1 to 9999"),
        ("<ct>1</ct><lb>" + "ä" * 21 + "</lb>", "entry 5 has a label of more than 40 bytes"),
    ],
)
async def test_a_directory_entry_that_it_would_refuse_is_named(
    aiohttp_server: AiohttpServer, item: str, problem: str
) -> None:
    longer = DIRECTORY.replace("</item_list>", f"<item>{item}</item></item_list>")
    assert await problems(aiohttp_server, directory=longer) == (f"{MAC}-directory.xml: {problem}",)


@pytest.mark.parametrize(
    ("master", "problem"),
    [
        (GOOD, f"{MAC}.cfg: is no master file, the phone starts with its defaults"),
        ("<html></html>", f"{MAC}.cfg: an HTML page with status 200"),
        ("<APPLICATION/>", "the master file names no CONFIG_FILES, the phone starts with its defaults"),
        (MASTER.replace("all", "none"), "CONFIG_FILES names none.cfg, which cannot be had"),
        (
            MASTER.replace("all", "a%20ll"),
            "master: CONFIG_FILES holds a space or an escape, which no address may",
        ),
        (MASTER.replace("all", "a" * 256), "master: CONFIG_FILES is longer than the phone reads"),
    ],
)
async def test_a_master_that_leads_nowhere_is_named(
    aiohttp_server: AiohttpServer, master: str, problem: str
) -> None:
    boot, _ = await booted(aiohttp_server, None, master=master)
    assert problem in boot.problems
    assert not boot.came_up


async def test_edge_phones_need_their_pages_switched_on(aiohttp_server: AiohttpServer) -> None:
    boot, _ = await booted(aiohttp_server, polycom("Edge E450", pagination=True))
    assert boot.problems == ("up.Pagination.enabled: not 1, so that only the keys of one page are there",)
