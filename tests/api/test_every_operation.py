"""Every operation, however it ends, is entered once in the activity log: none is forgotten."""

import asyncio
import io
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from provisioning import activity, api_keys
from provisioning.api.operation import OPERATIONS, Operation
from provisioning.db import new_id
from tests.api.conftest import Account, Answer, Client, form, stocked
from tests.conftest import House, Stock, open_house

BODIES: Final[Mapping[str, Any]] = {
    "account.update": {"name": "New"},
    "telephony.update": {"parking_timeout_minutes": 9},
    "device_options.update": {"language": "fr"},
    "emergency_recipients.update": {"emails": ["a@b.example"]},
    "provisioning.update": {"bind_phones": True},
    "token.rotate": {},
    "token.stage": {"reason": "scheduled"},
    "admin_password.update": {},
    "location.create": {"name": "New"},
    "location.update": {"name": "Newer"},
    "extension.create": {"number": "4299", "display_name": "New"},
    "extension.update": {"display_name": "Newer"},
    "phone_number.create": {"number": "+1 212 555 0199"},
    "phone_number.update": {"label": "Newer"},
    "audio_clip.create": {"name": "New", "file": b"RIFF\x04\0\0\0WAVE"},
    "button_template.create": {"name": "New"},
    "button_template.update": {"name": "Newer"},
    "button_template.move": {"module": 0, "from": 1, "to": 2},
    "device.create": {"mac": "805ec0aabbcc", "model": "T46S"},
    "device.update": {"name": "Newer"},
    "device.set_options": {"language": "fr"},
    "config.preview": {"telephony": {"extension_length": 5}},
    "device.import": "mac,model\n249ad8000001,T46S\n",
    "user.create": {"email": "new@b.example", "name": "N", "role": "viewer", "password": "a long password"},
    "user.update": {"name": "Newer"},
    "api_key.create": {"name": "new", "role": "viewer"},
    "fax.admit": {"direction": "inbound", "fax_id": "fax-1"},
    "device.resync": {},
    "device.resync_many": {"which": "all", "over_seconds": 3600},
    "emergency_call.report": {"call_id": "c1", "dialed": "933", "sip_username": "4201"},
}
QUERIES: Final = {"switch.caller_id": "?sip_username=4298"}
INVALID: Final = {"no_such_field": 1}
named = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.method} {o.path}")
sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


async def resources(account: Account) -> dict[str, str]:
    """For each kind of resource the id of one that can be read, changed and removed."""
    made: dict[str, str] = {}
    for kind, path in (
        ("location", "/locations"),
        ("extension", "/extensions"),
        ("user", "/users"),
        ("api_key", "/api-keys"),
        ("device", "/devices"),
    ):
        body = BODIES[f"{kind}.create"]
        body = {
            k: v.replace("4299", "4298").replace("new@", "old@") if isinstance(v, str) else v
            for k, v in body.items()
        }
        if kind == "device":
            body["mac"] = "805ec0aabb00"
        if kind == "location":
            body["name"] = "Old"
        if kind == "device":  # no phone is asked over any network: this machine is out of reach
            body["options"], body["lines"] = {"sip_server": "127.0.0.1"}, ["4201"]
        made[kind] = (await account.admin.post(path, body)).json["id"]
    buttons = [{"position": 1, "type": "dnd"}, {"position": 2, "type": "conference"}]
    template = await account.admin.post("/button-templates", {"name": "Old", "buttons": buttons})
    number = await account.admin.post("/phone-numbers", {"number": "+12125550198"})
    clip = await account.admin.post("/audio-clips", form(name="Old", file=b"RIFF\x04\0\0\0WAVE"))
    music = await account.admin.post("/audio-clips", form(name="Music", file=b"RIFF\x04\0\0\0WAVE"))
    await account.admin.patch("/account/telephony", {"hold_music_clip_id": music.json["id"]})
    run = await account.admin.post(f"/devices/{made['device']}/resync", {})
    await account.house.resyncs.settled()
    return made | {
        "provisioning": made["device"],
        "resync": run.json["id"],
        "switch": music.json["id"],
        "button_template": template.json["id"],
        "phone_number": number.json["id"],
        "audio_clip": clip.json["id"],
    }


@pytest.fixture(scope="session")
def _furnished(_stock_sqlite: Stock, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database of which each test has a copy, and the resources in it."""
    file = tmp_path_factory.mktemp("furnished") / "provisioning.db"
    shutil.copy(_stock_sqlite.url.removeprefix("sqlite:///"), file)

    async def run() -> dict[str, str]:
        async with open_house(f"sqlite:///{file}", _stock_sqlite.key_file) as house:
            return await resources(stocked(house, _stock_sqlite))

    return file, asyncio.run(run())


@pytest.fixture
def ids(_furnished: tuple[Path, dict[str, str]]) -> Mapping[str, str]:
    return _furnished[1]


@pytest.fixture
async def account(
    _furnished: tuple[Path, dict[str, str]], _stock_sqlite: Stock, tmp_path: Path
) -> AsyncIterator[Account]:
    """The account with the resources of `ids`."""
    file = shutil.copy(_furnished[0], tmp_path)
    async with open_house(f"sqlite:///{file}", _stock_sqlite.key_file) as house:
        yield stocked(house, _stock_sqlite)


async def call(client: Client, operation: Operation, ids: Mapping[str, str], **changes: Any) -> Answer:
    """Calls the operation so that it succeeds, but for the changes."""
    kind = operation.event.split(".")[0]
    path = operation.path.replace("{id}", changes.get("id") or ids.get(kind, ""))
    path = path.replace("{file}", "805ec0aabb00.cfg").replace("{sip_username}", "4298")
    body = changes.get("body", BODIES.get(operation.event))
    headers = dict(changes.get("headers") or {})
    if operation.file_limit is not None and isinstance(body, Mapping):
        body = form(**body)
    if operation.accepts:
        headers["Content-Type"] = operation.accepts
    return await client(
        operation.method, path + changes.get("query", QUERIES.get(operation.event, "")), body, headers
    )


async def entered(account: Account, since: int, account_id: str | None = None) -> list[tuple[str, str]]:
    return [(entry.event, entry.outcome) for entry in (await account.entries(account_id))[since:]]


@named
async def test_each_end_of_an_operation_is_entered_once(
    account: Account, ids: Mapping[str, str], operation: Operation
) -> None:
    if operation.event == "token.generate":
        async with account.house.database.write() as session:
            await session.execute(sa.text("DELETE FROM provisioning_tokens"))
    if operation.event in {"token.commit", "token.cancel"}:
        await account.admin.post("/account/provisioning/stage")

    async def ends(outcome: str, *statuses: int, client: Client = account.admin, **changes: Any) -> None:
        since = len(await account.entries())
        answer = await call(client, operation, ids, **changes)
        assert answer.status in statuses, answer.text
        assert await entered(account, since) == [(operation.event, outcome)]

    allowed = operation.roles
    if wrong := next(
        (c for r, c in (("switch", account.switch), ("viewer", account.viewer)) if r not in allowed), None
    ):
        await ends("denied", 403, client=wrong)
    if "{id}" in operation.path:
        await ends("failure", 404, id=new_id("loc"))
        await ends("failure", 404, id="junk")
    if operation.body is not None:
        await ends("failure", 415, body="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})
    if operation.body is not None and operation.file_limit is None:
        await ends("failure", 422, body=INVALID)
        await ends("failure", 422, body="{not json", headers={"Content-Type": "application/json"})
        await ends(
            "failure",
            413,
            body=io.BytesIO(b"x" * (3 * 1024 * 1024)),
            headers={"Content-Type": "application/json"},
        )
    if operation.file_limit is not None:
        for bad in ({}, {"name": "New"}, {"no_such_field": "1"}, {"name": "New", "file": b"no audio"}):
            await ends("failure", 422, body=bad)
        await ends("failure", 422, body="not a form", headers={"Content-Type": "multipart/form-data"})
        too_large = b"RIFF\x04\0\0\0WAVE" + bytes(operation.file_limit)
        await ends("failure", 413, body={"name": "New", "file": too_large})
    if operation.streams:
        await ends("failure", 416, headers={"Range": "bytes=99-"})
    if operation.accepts is not None:
        await ends("failure", 422, body="no,such,columns\n")
    if operation.query is not None:
        await ends("failure", 422, query="?no_such_field=1")
    if operation.method in {"PATCH", "PUT", "DELETE"} and operation.event != "admin_password.update":
        await ends("failure", 412, headers={"If-Match": '"of another version"'})
    await ends("success", operation.succeeds)

    everybody = len(await account.entries(""))
    for key in (None, "ppk_" + "x" * 43):
        answer = await call(Client(account.house, key), operation, ids)
        assert answer.status == 401
    assert await entered(account, everybody, "") == [(operation.event, "denied")] * 2


@named
async def test_without_its_entry_an_operation_does_not_happen(
    account: Account, ids: Mapping[str, str], operation: Operation
) -> None:
    if operation.event == "token.generate":
        async with account.house.database.write() as session:
            await session.execute(sa.text("DELETE FROM provisioning_tokens"))
    before = await dump(account)
    async with account.house.database.write() as session:
        await session.execute(
            sa.text(
                "CREATE TRIGGER full BEFORE INSERT ON activity BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        )
    answer = await call(account.admin, operation, ids)
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert await dump(account) == before


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.writes and o.body], ids=lambda o: f"{o.method} {o.path}"
)
async def test_a_client_that_goes_away_leaves_one_entry(
    account: Account, ids: Mapping[str, str], operation: Operation
) -> None:
    """It has sent everything, or half of its body, and does not wait for the answer."""
    kind = operation.event.split(".")[0]
    path = operation.path.replace("{id}", ids.get(kind, ""))
    body = BODIES.get(operation.event)
    text, content_type = json.dumps(body, default=repr).encode(), "application/json"
    if operation.file_limit is not None:
        payload = form(**BODIES[operation.event])()
        text, content_type = await payload.as_bytes(), payload.content_type
    for length, outcomes in ((len(text), {"success", "failure"}), (len(text) + 10, {"failure"})):
        since = len(await account.entries())
        port = int(account.house.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"{operation.method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            f"Authorization: Bearer {account.admin.key}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        writer.write(head.encode())
        await reader.readline()  # "100 Continue": the server is at it
        writer.write(text)
        await writer.drain()
        writer.close()
        for _ in range(200):
            found = await entered(account, since)
            if found:
                break
            await asyncio.sleep(0.02)  # nobody is left to tell us that the server is done
        assert [event for event, _ in found] == [operation.event]
        assert {outcome for _, outcome in found} <= outcomes


async def dump(account: Account) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for what notes that a key was used."""
    async with account.house.database.read() as session:
        names = list(await session.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")))
        rows = {
            name: list(map(tuple, await session.execute(sa.text(f"SELECT * FROM {name}")))) for name in names
        }
        keys = await session.execute(sa.select(api_keys.Row.id, api_keys.Row.digest))
        return rows | {"api_keys": list(map(tuple, keys))}


@sqlite
async def test_each_conflict_is_entered_once_as_a_failure(house: House, stock: Stock) -> None:
    account = stocked(house, stock)

    async def first(path: str) -> str:
        return f"{path}/{(await account.admin.get(path)).json['data'][-1]['id']}"

    file = form(name="Hold music", file=b"OggS")
    clip = (await account.admin.post("/audio-clips", file)).json["id"]
    await account.admin.patch("/account/telephony", {"hold_music_clip_id": clip})
    for method, path, event in (
        ("POST", "/account/provisioning/generate", "token.generate"),
        ("DELETE", await first("/locations"), "location.delete"),
        ("DELETE", await first("/extensions"), "extension.delete"),
        ("DELETE", await first("/phone-numbers"), "phone_number.delete"),
        ("DELETE", f"/audio-clips/{clip}", "audio_clip.delete"),
        ("DELETE", await first("/button-templates"), "button_template.delete"),
        ("DELETE", await first("/users"), "user.delete"),
        ("PATCH", await first("/users"), "user.update"),
    ):
        since = len(await account.entries())
        answer = await account.admin(method, path, {"role": "viewer"} if method == "PATCH" else None)
        assert answer.status == 409, answer.text
        assert await entered(account, since) == [(event, "failure")]


def test_every_operation_has_an_event_of_the_closed_list() -> None:
    assert {operation.event for operation in OPERATIONS} <= set(activity.EVENTS)


def test_no_operation_is_declared_twice() -> None:
    ways = [(operation.method, re.sub(r"\{\w+\}", "{}", operation.path)) for operation in OPERATIONS]
    assert len(ways) == len(set(ways)) > 40
