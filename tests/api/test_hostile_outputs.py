"""What was stored comes out everywhere as it was: in pages, answers, exports, files, and no more of it.

All is read twice, once with marks in the place of every free text and once with hostile texts there. The
second must be the first with each mark replaced: no element, attribute, row or setting may come or go.
"""

import csv
import io
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote, unquote

import pytest
from aiohttp import web

from provisioning.spreadsheet import unguarded
from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.polycom_files import read_xml
from provisioning.virtual_phone.yealink_files import read_settings
from provisioning.web.routes import add_routes
from provisioning.web.settings import TABS
from tests.api.conftest import Account, form
from tests.api.places import Place, places, refused
from tests.api.test_every_operation import resources
from tests.hostile import FAMILIES, text

Texts = Mapping[str, str]
Read = Sequence[tuple[str, ...]]
# What is another with each change, and no text of anybody's.
_ALWAYS_OTHERS: Final = re.compile(
    r'"[0-9a-f]{32}"|\d{4}-\d\d-\d\dT[\d:.]+Z|\d\d:\d\d:\d\d|act_[0-9a-z]{26}|cursor=[\w-]+|\d+ characters'
)


class Elements(HTMLParser):
    """A page as what a browser would make of it: elements with their attributes, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((f"<{tag}>", *(name for name, _ in attrs)))
        self.found += [(f"<{tag} {name}>", *_flat(value or "")) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"</{tag}>",))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "text":  # it comes in pieces
            data = self.found.pop()[1] + data
        self.found.append(("text", data))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", decl))


def _flat(value: str) -> list[str]:
    """An attribute's value, of one that is JSON all that is in it."""
    if not value.startswith(("{", "[")):
        return [value]
    try:
        return [part for pair in _leaves(json.loads(value), "") for part in pair]
    except ValueError:
        return [value]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{path}[{index}]")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


async def free(account: Account, ids: Mapping[str, str]) -> list[Place]:
    """The places of changes that take any words, and not the name of something."""
    found = []
    for place in places():
        is_change = place.where == "body" and place.operation.method in {"PATCH", "PUT"}
        if is_change and all(refused(place, words) is None for words in ("mark0001", "<b> & (é)")):
            body = place.with_text("mark0001")
            if (await account.admin(place.operation.method, _path(place, ids), body)).status == 200:
                found.append(place)
    return found


def _path(place: Place, ids: Mapping[str, str]) -> str:
    return place.operation.path.replace("{id}", ids.get(place.operation.event.split(".")[0], ""))


def hostile(place: Place, chance: random.Random) -> str:
    """A hostile text that may stand there."""
    while True:
        first = chance.choice(["", chance.choice(FAMILIES["formulas"]), chance.choice(FAMILIES["headers"])])
        made = (first + text(chance))[: chance.choice([100, 40, 18])]
        made = "".join(char for char in made if char.isprintable() or ord(char) > 0x2000).strip()
        if made and "mark" not in made and refused(place, made) is None:
            return made


async def fill(account: Account, ids: Mapping[str, str], texts: Iterable[tuple[Place, str]]) -> None:
    """Writes each text to its place, those of one operation together."""
    bodies: dict[tuple[str, str], Any] = {}
    for place, words in texts:
        key = place.operation.method, _path(place, ids)
        bodies[key] = place.with_text(words, _merged(place.body, bodies.get(key)))
    for (method, path), body in bodies.items():
        answer = await account.admin(method, path, body)
        assert answer.status == 200, (path, body, answer.text)


def _merged(body: Any, over: Any) -> Any:
    """What both have, `over` first."""
    if isinstance(body, dict) and isinstance(over, dict):
        return {name: _merged(body.get(name), over.get(name)) for name in (body | over)}
    if isinstance(body, list) and isinstance(over, list):
        return [_merged(body[0], over[0])]
    return body if over is None else over


async def log_in(account: Account) -> Mapping[str, str]:
    user = {"email": "reader@example.com", "name": "R", "role": "admin", "password": "a long password"}
    await account.admin.post("/users", user)
    answer = await account.nobody.post("/session", {n: user[n] for n in ("email", "password")})
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], "Accept-Encoding": "identity"}


def pages(ids: Mapping[str, str]) -> list[str]:
    """The address of every page."""
    router = web.UrlDispatcher()
    add_routes(router)
    paths = {r.resource.canonical for r in router.routes() if r.method == "GET" and r.resource}
    kinds = {name.replace("_", "-") + "s": id for name, id in ids.items()}
    paths = {
        path.replace("{id}", kinds.get(path.split("/")[1], "")) for path in paths if "static" not in path
    }
    return sorted(paths | {f"/settings?tab={tab}" for tab in TABS if tab != "activity"})


async def everything(account: Account, ids: Mapping[str, str], cookie: Mapping[str, str]) -> dict[str, Read]:
    """All that is told of the account, each as its reader reads it."""
    house, found = account.house, dict[str, Read]()
    for path in pages(ids):
        async with house.http.get(house.url + path, headers=cookie) as answer:
            page = await answer.text()
            assert answer.status == 200, (path, answer.status)
            found[path] = Elements(page).found
            assert "\x00" not in page and "\x1b" not in page
    async with house.http.get(f"{house.url}/settings?tab=activity", headers=cookie) as answer:
        # What was done before is another thing each time, its elements are not.
        rows = Elements(await answer.text()).found
        found["activity"] = sorted({row for row in rows if row[0].startswith("<") and " " not in row[0]})
    for path in ("/account", "/locations", "/extensions", "/phone-numbers", "/button-templates", "/devices"):
        found[path + " json"] = [*_leaves((await account.admin.get(path)).json, "")]
    for path in ("/devices/export", "/account/provisioning/board.csv"):
        cells = csv.reader(io.StringIO((await account.admin.get(path)).text, newline=""), strict=True)
        found[path] = [tuple(map(_cell, row)) for row in cells]
    for device in (await account.admin.get("/devices")).json["data"]:
        files = (await account.admin.get(f"/devices/{device['id']}/files?reveal=true")).json["data"]
        for file in files:
            found[f"{device['model']} {file['name']}"] = _settings(file["content"])
    async with house.http.get(house.url + "/metrics") as answer:
        found["/metrics"] = [
            (re.sub(r" [\d.e+-]+$", "", line),) for line in (await answer.text()).splitlines()
        ]
    return found


def _cell(cell: str) -> str:
    """What stands in it, of one that no spreadsheet runs."""
    assert cell[:1] not in {*"=-@\t\r＝＋－＠"} and re.fullmatch(r"(\+\d*)?|[^+].*", cell), cell
    return unguarded(cell)


def _settings(content: str) -> Read:
    """A phone's file as the vendor's firmware reads it."""
    problems = Problems()
    if "include:config" in content:
        return [(line,) for line in content.splitlines()]
    if content.startswith("#!version"):
        read: Read = read_settings("file", content.encode(), problems) or []
    else:
        root = read_xml("file", content.encode(), problems)
        read = (
            []
            if root is None
            else [(e.tag, *(part for item in e.items() for part in item), e.text or "") for e in root.iter()]
        )
    assert not problems.all(), content
    return read


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_all_that_was_stored_comes_out_as_it_was_and_no_more_of_it(account: Account) -> None:
    ids = await resources(account)
    cookie = await log_in(account)
    wanted = await free(account, ids)
    assert len(wanted) > 15
    marks = [f"mark{index:04}" for index, _ in enumerate(wanted)]
    await fill(account, ids, zip(wanted, marks, strict=True))
    before = await everything(account, ids, cookie)
    told = {
        mark
        for read in before.values()
        for row in read
        for part in row
        for mark in re.findall(r"mark\d{4}", part)
    }
    assert set(marks) - told == set()
    for seed in range(2):
        chance = random.Random(seed)
        texts = {mark: hostile(place, chance) for place, mark in zip(wanted, marks, strict=True)}
        await fill(account, ids, zip(wanted, texts.values(), strict=True))
        after = await everything(account, ids, cookie)
        wrong = {name: _difference(read, after[name], texts) for name, read in before.items()}
        assert {name: row for name, row in wrong.items() if row} == {}


def _difference(before: Read, after: Read, texts: Texts) -> object:
    """The first thing that is not what it should be."""
    expected = [
        tuple(_plain(re.sub(r"mark\d{4}", lambda m: texts[m[0]], part)) for part in row) for row in before
    ]
    found = [tuple(map(_plain, row)) for row in after]
    for want, got in zip(expected, found, strict=False):
        if want != got:
            return want, got
    return None if len(expected) == len(found) else (len(expected), len(found))


def _plain(part: str) -> str:
    return _ALWAYS_OTHERS.sub("…", part)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_name_in_a_header_is_one_value_of_it(account: Account) -> None:
    """The file name of a recording; addresses to which a browser is sent hold what a URL holds."""
    chance = random.Random(0)
    place = next(p for p in places() if p.operation.event == "location.create" and p.field == "name")
    for _ in range(30):
        name = hostile(place, chance)
        made = await account.admin.post("/audio-clips", form(name=name, file=b"OggS"))
        assert made.status == 201, made.text
        answer = await account.admin.get(f"/audio-clips/{made.json['id']}/content")
        await account.admin.delete(f"/audio-clips/{made.json['id']}")
        told = answer.headers["Content-Disposition"]
        found = re.fullmatch(r"inline; filename=\"[\w .-]+\"; filename\*=UTF-8''([\w.~%-]+)", told, re.ASCII)
        assert found and unquote(found[1]) == f"{name}.ogg"
        async with account.house.http.get(
            f"{account.house.url}/settings?tab={quote(name)}", allow_redirects=False
        ) as sent:
            assert re.fullmatch(r"/login\?next=[\w/%.~-]+", sent.headers["Location"], re.ASCII)
