"""Every text of every operation's input, as the API's own document has them, is sent each family of payloads:
it is taken as it is, or refused by its name, and nothing in between."""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import pytest
import yarl

from provisioning.api.operation import Operation
from tests.api.conftest import Account, Answer, form
from tests.api.places import Place, places, query_of, refused
from tests.api.test_every_operation import resources
from tests.hostile import FAMILIES, LONG

# What is written otherwise than it came, on purpose.
_OTHERWISE: Final = {"mac", "number", "country", "email"}
# What a switch is told that finds nobody, and a search.
_NOBODY: Final = {"switch.caller_id": 404, "device.resync_many": 409}
# Texts that are sent for each place of the kind, of those that its form does not refuse.
_MOST: Final = {"body": 3, "query": 3, "form": 6, "text": 30, "path": 2, "header": 1}
# What a failure leaves: its entry, and that the key was used; and what goes on by itself meanwhile.
_ALWAYS_WRITTEN: Final = {"activity", "activity_values", "activity_heads", "api_keys"} | {
    "resyncs",
    "resync_phones",
}


@dataclass
class Sender:
    """Sends texts, and keeps what came of it that should not."""

    account: Account
    ids: Mapping[str, str]
    counter: sqlite3.Connection
    wrong: list[str] = field(default_factory=list)
    sent: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[Operation, str]] = field(default_factory=set)

    async def send(self, place: Place, text: str) -> None:
        self.sent += 1
        before = self.changes()
        try:
            answer = await self._answer(place, text)
        except (OSError, ValueError) as error:
            self.wrong.append(f"{place} {text[:40]!a}: {type(error).__name__} {error}")
            return
        if answer.status < 300:
            self.taken[str(place)] += 1
            why = _difference(place, answer, text)
            if place.operation.method == "POST" and "id" in (made := json.loads(answer.text or "{}")):
                await self.account.admin.delete(
                    f"{place.operation.path}/{made['id']}"
                )  # the next has its name
        else:
            why = "something was changed" if self.changes() != before else _fault(place, answer)
        if why:
            self.wrong.append(f"{place} {text[:40]!a}: {answer.status} {why}: {answer.text[:200]}")

    def expect(self, place: Place, text: str, named: set[str]) -> None:
        # A switch's text that is blank is none, and then it is not said who called.
        if named != {place.field} and (text.strip() or named != {""}):
            self.wrong.append(f"{place} {text[:40]!a}: the form names {sorted(named)}")

    def changes(self) -> int:
        """How many rows were written so far, of all but the activity log."""
        return int(self.counter.execute("SELECT n FROM changes").fetchone()[0])

    async def _answer(self, place: Place, text: str) -> Answer:
        operation, given = place.operation, {str(place.path[0]) if place.path else "": text}
        names = {"id": self.ids.get(operation.event.partition(".")[0], ""), "sip_username": "4201"}
        names |= {"file": "805ec0aabb00.cfg"} | (given if place.where == "path" else {})
        path = operation.path
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", _quoted(value))
        query = query_of(operation) | (given if place.where == "query" else {})
        path += "".join(f"{'&' if i else '?'}{name}={_quoted(query[name])}" for i, name in enumerate(query))
        headers = {"Authorization": f"Bearer {self.account.admin.key}"}
        headers |= given if place.where == "header" else {}
        headers |= {"Content-Type": "application/json"} if operation.body and not operation.file_limit else {}
        headers |= {"Content-Type": operation.accepts} if operation.accepts else {}
        url = yarl.URL(f"{self.account.house.url}/api/v1{path}", encoded=True)
        data = _data(operation, place.with_text(text))
        http = self.account.house.http
        async with http.request(operation.method, url, data=data, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.text())


def _data(operation: Operation, body: Any) -> Any:
    if body is None:
        return None
    if operation.file_limit is not None:
        return form(**{name: _bytes(part) for name, part in body.items()})
    return json.dumps(body) if operation.accepts is None else _bytes(body)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _quoted(text: str) -> str:
    return quote(_bytes(text), safe="")


def _fault(place: Place, answer: Answer) -> str | None:
    """What is wrong with a refusal."""
    if not answer.headers["Content-Type"].startswith("application/problem+json"):
        return "is no problem"
    if place.where == "header":
        return None if answer.status in {304, 404, 409, 412, 416} else "is no answer to a header"
    if place.where == "path":
        return None if answer.status == 404 else "is no answer to a path"
    if answer.status == 413 and answer.json["detail"].startswith(place.field):
        return None
    if answer.status == _NOBODY.get(place.operation.event):
        return None
    if answer.status != 422:
        return "is no answer to a field"
    named = set(answer.fields)
    good = {place.field}
    if place.where == "text":  # or it is not UTF-8 at all
        good = {name for name in named if name.startswith("line ")} or {""}
    return None if named and named == good else f"names {sorted(named)}"


def _difference(place: Place, answer: Answer, text: str) -> str | None:
    """What came back otherwise than it was sent."""
    if place.where not in {"body", "form"} or place.operation.event == "config.preview":
        return None
    found: Any = answer.json
    for step in place.path:
        if isinstance(found, dict) and step not in found:
            return None  # it is not told: a password
        found = found[step]
    same = found in {text, text.strip()} or place.path[-1] in _OTHERWISE
    return None if same else f"has {found!a}"


def _texts(place: Place) -> Iterator[str]:
    """Of each family one by itself and one within a good text; the worst of them, and a long one, always."""
    chance = random.Random(str(place))
    worst = [f"{place.good}\n", f"{place.good}\x00", f"{place.good}\ud800"]
    yield from chance.sample(worst, 3)
    yield LONG[:3_000] if place.where in {"path", "query", "header"} else LONG
    for family in chance.sample(list(FAMILIES.values()), len(FAMILIES)):
        text, other = chance.sample(family, 2)
        yield text
        at = chance.randint(0, len(place.good))
        yield place.good[:at] + other + place.good[at:]


def _can_be_sent(place: Place, text: str) -> bool:
    """A path has no place for what ends it, a header none for what no line holds."""
    if place.where == "path":
        return text not in {".", ".."}
    return place.where != "header" or (text.isascii() and text.isprintable())


@pytest.fixture
def counter(database_url: str) -> Iterator[sqlite3.Connection]:
    """Counts what is written, so that nothing is half done."""
    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
    named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    connection.execute("CREATE TABLE changes (n INTEGER)")
    connection.execute("INSERT INTO changes VALUES (0)")
    for (table,) in named:
        for event in ("INSERT", "UPDATE", "DELETE"):
            if table not in _ALWAYS_WRITTEN:
                connection.execute(
                    f"CREATE TRIGGER count_{table}_{event} AFTER {event} ON {table}"
                    " BEGIN UPDATE changes SET n = n + 1; END"
                )
    connection.commit()
    yield connection
    connection.close()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_every_text_is_taken_as_it_is_or_refused_by_its_name(
    account: Account, counter: sqlite3.Connection
) -> None:
    sender = Sender(account, await resources(account), counter)
    for place in (place.of(sender.ids) for place in places()):
        sent = 0
        for text in _texts(place):
            named = refused(place, text)
            if named is not None and (place.operation, place.where) in sender.seen:
                sender.expect(place, text, named)
            elif sent < _MOST[place.where] and _can_be_sent(place, text):
                await sender.send(place, text)
                sent += 1
                if named is not None:
                    sender.seen.add((place.operation, place.where))
    assert sender.wrong == []
