"""The board after a rotation: which phones are back, and at which of them somebody was."""

import asyncio
import hashlib
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

import tokens
from provisioning import board, board_csv, devices, ticks
from provisioning.api.operation import READER, TECHNICIAN, Answer, Call, operation
from provisioning.board import Board, Filters, State
from provisioning.errors import Conflict
from provisioning.fields import Input, one_line


class BoardFilters(Input):
    """`q` is as that of the devices; `location_id` may be `none`."""

    model_config = ConfigDict(strict=False)
    q: Annotated[str, Field(max_length=100), AfterValidator(one_line)] = ""
    state: State | None = None
    location_id: str = Field(default="", pattern=r"^(loc_[0-9a-z]{26}|none)?$")

    def filters(self) -> Filters:
        return Filters(self.q, self.state, self.location_id)


class BoardQuery(BoardFilters):
    """At most `limit` phones; 0 for the counts alone."""

    limit: int | None = Field(default=None, ge=0, le=100_000)


class BoardCounts(Answer):
    total: int
    back: int
    knocking: int
    silent: int
    ticked: int
    told: int


class BoardDevice(Answer):
    """`back` has fetched a file with the present token. `knocking` has not, and was refused with an old one
    since the rotation, or somebody who claims to be it. `silent` is neither. While a rotation is staged,
    `told` is whether the phone knows the next URL."""

    device_id: str
    mac: str
    name: str
    vendor: str
    model: str
    lines: list[str]
    state: State
    last_fetch_at: datetime | None
    last_fetch_ip: str | None
    refused_at: datetime | None
    refused_ip: str | None
    refused_generation: int | None
    note: str
    told: bool
    ticked_at: datetime | None
    ticked_by: str | None


class BoardLocation(Answer):
    """`id` and `name` are null for the phones without a location; `counts` are of all phones there."""

    id: str | None
    name: str | None
    counts: BoardCounts
    devices: list[BoardDevice]


class BoardAnswer(Answer):
    """`rotated_at` and `rotated_by` are null while the token is the first one, `staged_generation` is null
    while no rotation is staged. `found` phones meet the
    filters; `counts` and `last_knock_at` are of all."""

    generation: int
    staged_generation: int | None
    rotated_at: datetime | None
    rotated_by: str | None
    counts: BoardCounts
    last_knock_at: datetime | None
    found: int
    locations: list[BoardLocation]

    @classmethod
    async def of(cls, found: Board) -> "BoardAnswer":
        places = []
        for place in found.locations:
            places.append(BoardLocation.model_validate(place))
            await asyncio.sleep(0)  # thousands of phones at once would hold up all else
        return cls(
            generation=found.generation,
            staged_generation=found.staged_generation,
            rotated_at=found.rotation.at if found.rotation else None,
            rotated_by=found.rotation.by if found.rotation else None,
            counts=BoardCounts.model_validate(found.counts),
            last_knock_at=found.last_knock_at,
            found=found.found,
            locations=places,
        )

    def etag(self) -> str:
        """Of the bytes as they are, which takes a fifth of the usual way."""
        return f'"{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:32]}"'


class TickAnswer(Answer):
    """`ticked_at` and `ticked_by` are null while nobody was there since the last rotation."""

    device_id: str
    generation: int
    ticked_at: datetime | None
    ticked_by: str | None


@operation(
    "GET",
    "/account/provisioning/board",
    "provisioning.board",
    roles=READER,
    answer=BoardAnswer,
    query=BoardQuery,
)
async def read(call: Call, query: BoardQuery) -> BoardAnswer:
    """Each phone as back, knocking or silent since the last rotation, by location."""
    found = await board.read(call.session, call.account_id, query.filters(), limit=query.limit)
    return await BoardAnswer.of(found)


@operation(
    "GET",
    "/account/provisioning/board.csv",
    "provisioning.board",
    roles=READER,
    query=BoardFilters,
    produces="text/csv",
)
async def export(call: Call, query: BoardFilters) -> str:
    """The phones of the board as a CSV file, for the walk."""
    return await board_csv.export(await board.read(call.session, call.account_id, query.filters()))


@operation(
    "PUT",
    "/account/provisioning/board/{id}/tick",
    "provisioning.tick",
    roles=TECHNICIAN,
    answer=TickAnswer,
    resource="device/{id}",
)
async def tick(call: Call) -> TickAnswer:
    """Note that somebody was at this phone; the next rotation starts anew. Who came first stays."""
    before = await _tick(call)
    call.expect(before)
    if before.generation == 0:
        raise Conflict("the account has no provisioning token yet; generate one")
    made = await ticks.put(call.session, call.id, before.generation, by=call.caller.actor)
    after = _answer(made)
    call.changed(before, after)
    return after


@operation(
    "DELETE",
    "/account/provisioning/board/{id}/tick",
    "provisioning.untick",
    roles=TECHNICIAN,
    resource="device/{id}",
)
async def untick(call: Call) -> None:
    """Take the note back that somebody was at this phone."""
    before = await _tick(call)
    call.expect(before)
    await ticks.remove(call.session, call.id)
    call.changed(before, await _tick(call))


async def _tick(call: Call) -> TickAnswer:
    device = await devices.get(call.session, call.account_id, call.id)
    generation = await tokens.generation(call.session, call.account_id)
    return _answer(await ticks.of(call.session, device.id, generation))


def _answer(tick: ticks.Tick) -> TickAnswer:
    return TickAnswer(
        device_id=tick.device_id, generation=tick.generation, ticked_at=tick.at, ticked_by=tick.by
    )
