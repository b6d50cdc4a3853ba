"""Loading an account file: whole or not at all, and each fault with its line."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

import tokens
from provisioning import accounts, activity, clips, devices, extensions, gathering, locations, numbers
from provisioning.clips import ClipForm
from provisioning.errors import Invalid
from tests.conftest import House

ACCOUNT = """\
[account]
name = "Acme"
email = "ann@acme.example"

[options]
sip_server = "sip.acme.example"

[[extensions]]
number = "4201"
display_name = "Ann"

[[button_templates]]
name = "Desk"
buttons = [
    { position = 1, type = "line", target = { line = 1 } },
    { position = 2, type = "blf", label = "Bob", target = { extension = "4202" } },
]

[[devices]]
mac = "80:5e:c0:aa:bb:cc"
model = "T54W"
lines = ["4201"]
button_template = "Desk"
"""


async def count(house: House, *tables: type) -> list[int]:
    async with house.database.read() as session:
        return [await session.scalar(sa.select(sa.func.count()).select_from(t)) or 0 for t in tables]


async def faults(house: House, text: str) -> Sequence[str]:
    with pytest.raises(Invalid) as refused:
        await house.load(text)
    tables = (accounts.Row, numbers.Row, locations.Row, extensions.Row, devices.Row, activity.Row)
    assert await count(house, *tables) == [0] * 6
    return [str(error) for error in refused.value.errors]


async def test_it_works(house: House) -> None:
    loaded = await house.load(ACCOUNT)
    assert loaded.email == "ann@acme.example"
    assert loaded.password and loaded.api_key
    assert loaded.provisioning_url and loaded.provisioning_url.startswith(f"{house.url}/p/ppt")
    assert loaded.warnings == ()


async def test_the_sample_account_loads_whole(house: House, sample: str) -> None:
    await house.load(sample)
    rows = (accounts.Row, numbers.Row, locations.Row, extensions.Row, devices.Row)
    assert await count(house, *rows) == [1, 3, 2, 10, 8]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("80:5e:c0:aa:bb:cc", "80:5e:c0:aa:bb:c", "line 20: devices[0].mac: must be a MAC address"),
        ('number = "4201"', 'number = "42011"', "line 9: extensions[0].number: must have 4 digits"),
        ('number = "4201"', 'number = "9114"', "line 9: extensions[0].number: must not begin with"),
        ('number = "4201"', 'number = "9334"', "line 9: extensions[0].number: must not begin with"),
        ('number = "4201"', 'number = "42a1"', "line 9: extensions[0].number: "),
        (
            "[options]",
            "timezone = 'Mars/Olympus'\n[options]",
            "line 5: account.timezone: must be an IANA time zone",
        ),
        (
            '"Bob"',
            '"Bob\\nBuilder"',
            "line 14: button_templates[0].buttons[1].label: must not contain the character U+000A",
        ),
        (
            '"Bob"',
            '"Bob \\"B\\""',
            'line 14: button_templates[0].buttons[1].label: must not contain the character "',
        ),
        ('"Bob"', f'"{"x" * 200}"', "line 14: button_templates[0].buttons[1].label: "),
        (
            "position = 2",
            "position = 28",
            "line 23: devices[0].button_template: module 0 position 28: T54W has 27 line keys, this",
        ),
        (
            "position = 2",
            "position = 61, module = 1",
            "line 23: devices[0].button_template: module 1 position 61: EXP50 has 60 keys, this is key 61",
        ),
        ("T54W", "T99", "line 21: devices[0].model: is not among the models of Yealink"),
        ('lines = ["4201"]', 'lines = ["4209"]', "line 22: devices[0].lines[0]: there is no extension"),
        (
            'button_template = "Desk"',
            'button_template = "Den"',
            "line 23: devices[0].button_template: there is no",
        ),
        (
            'model = "T54W"',
            'model = "T54W"\nlocation = "Moon"',
            "line 22: devices[0].location: there is no location",
        ),
        (
            'sip_server = "sip.acme.example"',
            "",
            "line 19: devices[0]: the phone option sip_server is set neither",
        ),
        (
            "[options]",
            '[options]\ntransport_trust = "custom"',
            "line 20: devices[0]: the phone option transport_trust is custom, and transport_ca is not set",
        ),
        ("Bob", "%null%", "line 14: button_templates[0].buttons[1].label: must not contain %NULL%"),
        ('sip_server = "sip', 'sip_port = 0\nsip_server = "sip', "line 6: options.sip_port: "),
        ("model = ", "modell = ", "line 19: devices[0].model: is needed"),
        ('name = "Acme"', "name = Acme", "Invalid value (at line 2, column 8)"),
        (
            "[options]",
            '[telephony]\ndefault_outbound_number = "+12125550100"\n[options]',
            "line 6: telephony.default_outbound_number: the account has no such phone number",
        ),
        (
            'display_name = "Ann"',
            'display_name = "Ann"\noutbound_number = "+12125550100"',
            "line 11: extensions[0].outbound_number: the account has no such phone number",
        ),
        (
            'model = "T54W"',
            'model = "T54W"\noutbound_number = "+12125550100"',
            "line 22: devices[0].outbound_number: the account has no such phone number",
        ),
        (
            'model = "T54W"',
            'model = "T54W"\noutbound_number = "2125550100"',
            "line 22: devices[0].outbound_number: must be + and the country code",
        ),
        (
            "[options]",
            '[[phone_numbers]]\nlabel = "Main"\nnumber = "+1 212"\n[options]',
            "line 7: phone_numbers[0].number: has too few or too many digits",
        ),
        (
            "[options]",
            '[[phone_numbers]]\nnumber = "+12125550100"\nfax_recipients = ["x"]\n[options]',
            "line 7: phone_numbers[0].fax_recipients[0]: must be an email address",
        ),
        (
            "[options]",
            '[[phone_numbers]]\nnumber = "+12125550100"\n'
            '[[phone_numbers]]\nnumber = "+1 212-555-0100"\n[options]',
            "line 8: phone_numbers[1].number: is that of phone_numbers[0] already",
        ),
    ],
)
async def test_a_fault_is_named_with_its_line_and_nothing_is_loaded(
    house: House, old: str, new: str, fault: str
) -> None:
    found = await faults(house, ACCOUNT.replace(old, new, 1))
    assert any(fault_.startswith(fault) for fault_ in found), found


async def test_a_mac_that_stands_twice_is_named(house: House) -> None:
    twice = ACCOUNT + '\n[[devices]]\nmac = "80-5E-C0-AA-BB-CC"\nmodel = "T46S"\n'
    assert await faults(house, twice) == ["line 26: devices[1].mac: is that of devices[0] already"]


async def test_all_faults_are_named_at_once(house: House) -> None:
    text = ACCOUNT.replace("80:5e", "xx:5e").replace('"4201"', '"4"').replace('"Bob"', '"B\\u0000"')
    found = await faults(house, text)
    assert len(found) == 2  # of form; the extension's length is looked at when the form is right


async def test_an_sip_user_name_of_another_extension_is_refused(house: House) -> None:
    extra = '\n[[extensions]]\nnumber = "4202"\ndisplay_name = "Bob"\nsip_username = "4201"\n'
    assert await faults(house, ACCOUNT + extra) == [
        "line 28: extensions[1].sip_username: extension 4201 has this SIP user name"
    ]


async def test_a_fault_never_repeats_a_password(house: House) -> None:
    text = ACCOUNT.replace('display_name = "Ann"', 'display_name = "Ann"\nsip_password = "hunter2 ü"')
    assert "hunter2" not in "".join(await faults(house, text))


async def test_loading_again_changes_nothing_that_phones_see(house: House, sample: str) -> None:
    first = await house.load(sample)
    before = await files(house, first.account_id)
    again = await house.load(sample)
    assert again.account_id == first.account_id
    assert (again.password, again.api_key, again.provisioning_url) == (None, None, first.provisioning_url)
    assert await files(house, first.account_id) == before


async def test_a_generated_sip_password_stays_when_the_file_is_loaded_again(house: House) -> None:
    loaded = await house.load(ACCOUNT)
    before = await files(house, loaded.account_id)
    await house.load(ACCOUNT)
    assert await files(house, loaded.account_id) == before


async def test_a_changed_file_updates(house: House) -> None:
    loaded = await house.load(ACCOUNT)
    await house.load(ACCOUNT.replace('"Ann"', '"Anna"').replace('"Bob"', '"Robert"'))
    text = b"".join((await files(house, loaded.account_id)).values()).decode()
    assert "Anna" in text and "Robert" in text and "Bob" not in text
    assert await count(house, accounts.Row, extensions.Row, devices.Row) == [1, 1, 1]


async def test_a_button_type_that_the_phone_lacks_is_a_warning(house: House) -> None:
    text = ACCOUNT.replace("80:5e:c0", "64:16:7f").replace("T54W", "VVX 450")
    text = text.replace('type = "blf"', 'type = "url"').replace(
        '{ extension = "4202" }', '{ url = "http://a.b" }'
    )
    loaded = await house.load(text)
    assert len(loaded.warnings) == 1
    assert loaded.warnings[0].startswith("64167faabbcc (VVX 450): key 0/2 (url): ")


async def test_a_phone_that_orders_its_keys_itself_is_a_warning_for_each_key_that_moves(house: House) -> None:
    text = ACCOUNT.replace("80:5e:c0", "00:04:f2").replace("T54W", "SoundPoint IP 600")
    buttons = """
    { position = 3, type = "speed_dial", label = "Taxi", target = { number = "5551234" } },
    { position = 5, type = "blf", label = "Cid", target = { extension = "4203" } },
"""
    loaded = await house.load(text.replace("{ position = 1", buttons + "{ position = 1"))
    assert loaded.warnings == (
        "0004f2aabbcc (SoundPoint IP 600): key 0/5 (blf): SoundPoint IP 600 orders its keys itself,"
        " there it is key 3",
        "0004f2aabbcc (SoundPoint IP 600): key 0/3 (speed_dial): SoundPoint IP 600 orders its keys itself,"
        " there it is key 4",
    )


async def test_a_type_that_the_model_lacks_is_a_warning(house: House) -> None:
    text = ACCOUNT.replace("80:5e:c0", "00:04:f2").replace("T54W", "SoundPoint IP 300")
    text = text.replace('type = "blf"', 'type = "dnd"').replace(', target = { extension = "4202" }', "")
    loaded = await house.load(text)
    assert loaded.warnings == (
        "0004f2aabbcc (SoundPoint IP 300): key 0/2 (dnd): its software knows no macros",
    )


async def test_a_zone_that_phones_cannot_be_told_is_a_warning(house: House) -> None:
    loaded = await house.load(ACCOUNT.replace("[options]", '[options]\ntimezone = "Asia/Jerusalem"'))
    assert len(loaded.warnings) == 1
    assert "Asia/Jerusalem" in loaded.warnings[0]


async def test_a_load_is_entered_in_the_activity_log(house: House) -> None:
    loaded = await house.load(ACCOUNT)
    async with house.database.read() as session:
        rows = (await session.scalars(sa.select(activity.Row).order_by(activity.Row.id))).all()
    assert [(r.account_id, r.event, r.actor, r.outcome) for r in rows] == [
        (loaded.account_id, "account.create", "system", "success"),
        (loaded.account_id, "token.generate", "system", "success"),
        (loaded.account_id, "account.load", "system", "success"),
    ]


async def files(house: House, account_id: str) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    async with house.database.read() as session:
        token = await tokens.current(session, house.vault, account_id)
        assert token
        for device in await devices.list_all(session, account_id):
            phone = await gathering.gather(session, house.vault, house.rendering, device, token.text)
            made |= await gathering.files(session, house.rendering, device, phone)
    return made


@pytest.mark.parametrize("key", ['"a["', '"a."', '"\\u001b[2J"', '"a\\nerror: all is well"'])
async def test_a_key_of_any_spelling_is_refused_on_one_line(house: House, key: str) -> None:
    found = await faults(house, ACCOUNT.replace("[options]", f"[options]\n{key} = 1"))
    assert len(found) == 1
    assert "\n" not in found[0] and "\x1b" not in found[0]


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
async def test_toml_beyond_all_measure_is_refused(house: House, text: str) -> None:
    assert len(await faults(house, text)) == 1


async def test_a_section_that_the_file_lacks_stays_as_it_was(house: House, sample: str) -> None:
    loaded = await house.load(sample.replace("parking_timeout_minutes = 5", "parking_timeout_minutes = 9"))
    await house.load('[account]\nname = "Other"\nemail = "office@harbourlane.example"\n')
    async with house.database.read() as session:
        account = await accounts.get(session, loaded.account_id)
    assert account.general.name == "Other"
    assert account.telephony.parking_timeout_minutes == 9
    assert account.options.sip_server == "sip.harbourlane.example"
    assert account.emergency_recipients.emails == ["safety@harbourlane.example"]


async def test_numbers_are_made_updated_and_referred_to_as_they_are_written(house: House) -> None:
    text = (
        ACCOUNT.replace("[options]", '[telephony]\ndefault_outbound_number = "+1 212-555-0100"\n[options]')
        .replace('display_name = "Ann"', 'display_name = "Ann"\noutbound_number = "+1 (212) 555-0101"')
        .replace('model = "T54W"', 'model = "T54W"\noutbound_number = "+12125550100"')
    ) + "".join(f'[[phone_numbers]]\nnumber = "+1212555010{n}"\n' for n in (0, 1))
    loaded = await house.load(text)
    again = text + 'label = "Fax"\nfax_enabled = true\nfax_recipients = ["fax@acme.example"]\n'
    assert (await house.load(again)).account_id == loaded.account_id
    async with house.database.read() as session:
        main = await numbers.find(session, loaded.account_id, "+12125550100")
        fax = await numbers.find(session, loaded.account_id, "+12125550101")
        account = await accounts.get(session, loaded.account_id)
        extension = await extensions.find(session, loaded.account_id, "4201")
        device = await devices.find(session, loaded.account_id, "805ec0aabbcc")
    assert main and fax and extension and device
    assert (fax.form.label, fax.form.fax_enabled, fax.form.fax_recipients) == (
        "Fax",
        True,
        ["fax@acme.example"],
    )
    assert account.telephony.default_outbound_number_id == main.id
    assert extension.outbound_number_id == fax.id
    assert device.outbound_number_id == main.id


async def test_hold_music_stays_since_no_file_can_hold_it(house: House, sample: str) -> None:
    loaded = await house.load(sample)
    async with house.database.write() as session:
        clip = await clips.add(session, loaded.account_id, ClipForm(name="Music"), b"OggS")
        telephony = (await accounts.get(session, loaded.account_id)).telephony
        chosen = telephony.model_copy(update={"hold_music_clip_id": clip.id})
        await accounts.set_telephony(session, loaded.account_id, chosen)
    await house.load(sample.replace("parking_timeout_minutes = 5", "parking_timeout_minutes = 9"))
    async with house.database.read() as session:
        telephony = (await accounts.get(session, loaded.account_id)).telephony
    assert (telephony.hold_music_clip_id, telephony.parking_timeout_minutes) == (clip.id, 9)


async def test_an_extension_of_another_length_than_the_dial_plan_is_for_is_a_warning(house: House) -> None:
    await house.load(ACCOUNT)
    loaded = await house.load(
        '[account]\nname = "Acme"\nemail = "ann@acme.example"\n[telephony]\nextension_length = 5\n'
    )
    assert loaded.warnings == ("extension 4201 has 4 digits, the account's extension length is 5",)
