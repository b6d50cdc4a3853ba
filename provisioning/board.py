"""The board after a rotation: which phones are back, which ask with an old URL, and which do not ask."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

import tokens
from provisioning import boot_log, device_search, devices, extensions, locations, sightings, ticks
from provisioning.boot_log import Verdict
from tokens import Rotation

State = Literal["back", "knocking", "silent"]
NOWHERE: Final = "none"  # stands for the location of phones that have none
_SLICE: Final = 500  # rows; thousands at once would hold up all else


@dataclass(frozen=True, slots=True)
class Filters:
    """They add up; `text` is as that of `device_search.Filters`."""

    text: str = ""
    state: State | None = None
    location_id: str = ""


@dataclass(frozen=True, slots=True)
class Phone:
    """`refused_…` is what came in its name with a rotated token, since the rotation and its last fetch.
    `told` is whether it knows the next URL, where a rotation is staged."""

    device_id: str
    mac: str
    name: str
    vendor: str
    model: str
    lines: tuple[str, ...]
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


@dataclass(frozen=True, slots=True)
class Counts:
    total: int = 0
    back: int = 0
    knocking: int = 0
    silent: int = 0
    ticked: int = 0
    told: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.total + other.total,
            self.back + other.back,
            self.knocking + other.knocking,
            self.silent + other.silent,
            self.ticked + other.ticked,
            self.told + other.told,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A location that has phones, or None for those without one; `counts` are of all, `devices` are found."""

    id: str | None
    name: str | None
    counts: Counts
    devices: list[Phone] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Board:
    """`found` phones meet the filters; `counts` and `last_knock_at` are of all."""

    generation: int
    staged_generation: int | None
    rotation: Rotation | None
    counts: Counts
    last_knock_at: datetime | None
    found: int
    locations: list[Place]


async def read(
    session: AsyncSession, account_id: str, filters: Filters, *, limit: int | None = None
) -> Board:
    """The phones by location, those without one last; at most `limit` of those that meet the filters."""
    generation = await tokens.generation(session, account_id)
    rotation = await tokens.last_rotation(session, account_id) if generation else None
    staged = await tokens.staged_generation(session, account_id)
    look = _Look(account_id, generation, staged, rotation, filters, limit)
    places, last_knock_at = await look.places(session)
    if limit != 0:
        by_id = {place.id: place for place in places}
        lines, notes = await look.lines(session), await look.notes(session)
        async for rows in _slices(session, look.phones()):
            for row in rows:
                phone = _phone(row, lines.get(row.id, ()), notes.get(row.mac, ""))
                by_id[row.location_id].devices.append(phone)
    return Board(
        generation=generation,
        staged_generation=staged,
        rotation=rotation,
        counts=sum((place.counts for place in places), Counts()),
        last_knock_at=last_knock_at,
        found=await session.scalar(look.matching(sa.func.count())) or 0,
        locations=places,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """One reading of the board; all its statements see the same snapshot."""

    account_id: str
    generation: int
    staged: int | None
    rotation: Rotation | None
    filters: Filters
    limit: int | None

    @property
    def _back(self) -> sa.ColumnElement[bool]:
        return sightings.Row.generation == self.generation

    @property
    def _refused(self) -> sa.ColumnElement[bool]:
        if self.rotation is None:
            return sa.false()
        return sa.or_(
            sightings.Row.refused_at >= self.rotation.at,
            # A request that came before the rotation and was looked at after it.
            sightings.Row.refused_generation == self.rotation.retired,
        )

    @property
    def _told(self) -> sa.ColumnElement[bool]:
        told = sightings.Row.told_generation
        return sa.false() if self.staged is None else told.is_not_distinct_from(self.staged)

    @property
    def _state(self) -> sa.ColumnElement[str]:
        return sa.case((self._back, "back"), (self._refused, "knocking"), else_="silent")

    def _all(self, *columns: Any) -> sa.Select[Any]:
        """Of all phones of the account."""
        seen = sa.and_(
            sightings.Row.account_id == devices.Row.account_id, sightings.Row.mac == devices.Row.mac
        )
        ticked = sa.and_(ticks.Row.device_id == devices.Row.id, ticks.Row.generation == self.generation)
        return (
            sa.select(*columns)
            .select_from(devices.Row)
            .outerjoin(sightings.Row, seen)
            .outerjoin(ticks.Row, ticked)
            .outerjoin(locations.Row, locations.Row.id == devices.Row.location_id)
            .where(devices.Row.account_id == self.account_id)
        )

    def matching(self, *columns: Any) -> sa.Select[Any]:
        """Of those that meet the filters."""
        query = self._all(*columns).where(
            *device_search.conditions(
                self.account_id, device_search.Filters(self.filters.text), self.generation
            )
        )
        if self.filters.location_id == NOWHERE:
            query = query.where(devices.Row.location_id.is_(None))
        elif self.filters.location_id:
            query = query.where(devices.Row.location_id == self.filters.location_id)
        return query.where(self._state == self.filters.state) if self.filters.state else query

    def _shown(self, *columns: Any) -> sa.Select[Any]:
        order = (locations.Row.name.is_(None), locations.Row.name, sa.func.lower(devices.Row.name))
        return self.matching(*columns).order_by(*order, devices.Row.mac).limit(self.limit)

    def phones(self) -> sa.Select[Any]:
        return self._shown(
            devices.Row.id,
            devices.Row.mac,
            devices.Row.name,
            devices.Row.vendor,
            devices.Row.model,
            devices.Row.location_id,
            self._state.label("state"),
            sightings.Row.fetched_at,
            sightings.Row.fetched_ip,
            self._refused.label("refused"),
            sightings.Row.refused_at,
            sightings.Row.refused_ip,
            sightings.Row.refused_generation,
            self._told.label("told"),
            ticks.Row.ticked_at,
            ticks.Row.ticked_by,
        )

    async def places(self, session: AsyncSession) -> tuple[list[Place], datetime | None]:
        """Every location that has phones, and when an old URL was last asked with."""
        total = sa.func.count()
        query = self._all(
            locations.Row.id,
            locations.Row.name,
            total,
            total.filter(self._back),
            total.filter(self._state == "knocking"),
            total.filter(self._state == "silent"),
            sa.func.count(ticks.Row.device_id),
            total.filter(self._told),
            sa.func.max(sightings.Row.refused_at).filter(self._refused),
        ).group_by(locations.Row.id, locations.Row.name)
        rows = (await session.execute(query)).all()
        places = [Place(id, name, Counts(*counts)) for id, name, *counts, _ in rows]
        places.sort(key=lambda place: (place.name is None, (place.name or "").casefold()))
        return places, max((row[-1] for row in rows if row[-1]), default=None)

    async def lines(self, session: AsyncSession) -> Mapping[str, list[str]]:
        """The numbers of each phone, in order."""
        query = (
            sa.select(devices.LineRow.device_id, extensions.Row.number)
            .join(extensions.Row, extensions.Row.id == devices.LineRow.extension_id)
            .where(devices.LineRow.device_id.in_(self._shown(devices.Row.id)))
            .order_by(devices.LineRow.device_id, devices.LineRow.index)
        )
        found: dict[str, list[str]] = {}
        async for rows in _slices(session, query):
            for device_id, number in rows:
                found.setdefault(device_id, []).append(number)
        return found

    async def notes(self, session: AsyncSession) -> Mapping[str | None, str]:
        """What the boot log says of a phone in plain words, by its MAC address."""
        found = {mac: reason for mac, reason in await session.execute(self._remarks())}  # noqa: C416
        for mac, file, reason in await session.execute(self._unmade()):
            words = f"its file {file} could not be made: {reason}"
            found[mac] = f"{words}; {found[mac]}" if mac in found else words
        return found

    def _remarks(self) -> sa.Select[str | None, str]:
        """What was remarkable about the last fetch: that the phone says it is another one."""
        last = sa.and_(boot_log.Row.mac == sightings.Row.mac, boot_log.Row.time == sightings.Row.fetched_at)
        return (
            sa.select(boot_log.Row.mac, boot_log.Row.reason)
            .select_from(sightings.Row)
            .join(boot_log.Row, last)
            .where(sightings.Row.account_id == self.account_id, boot_log.Row.account_id == self.account_id)
            .where(boot_log.ended_as(Verdict.SERVED), boot_log.Row.reason != "")
            .where(sightings.Row.mac.in_(self._shown(devices.Row.mac)))
        )

    def _unmade(self) -> sa.Select[str | None, str, str]:
        """Of each phone the last file since the rotation that could not be made, unless it was later."""
        failed, mended = boot_log.Row, aliased(boot_log.Row)
        newest = (
            sa.select(failed.mac, sa.func.max(failed.time).label("time"))
            .where(failed.account_id == self.account_id, boot_log.ended_as(Verdict.RENDER_ERROR))
            .where(*([failed.time >= self.rotation.at] if self.rotation else []))
            .group_by(failed.mac)
            .subquery()
        )
        since = sa.exists().where(
            mended.mac == failed.mac,
            mended.time > failed.time,
            mended.account_id == self.account_id,
            mended.file == failed.file,
            mended.verdict == Verdict.SERVED,
        )
        return (
            sa.select(failed.mac, failed.file, failed.reason)
            .join(newest, sa.and_(failed.mac == newest.c.mac, failed.time == newest.c.time))
            .where(failed.account_id == self.account_id, boot_log.ended_as(Verdict.RENDER_ERROR), ~since)
            .where(failed.mac.in_(self._shown(devices.Row.mac)))
        )


async def _slices(session: AsyncSession, query: sa.Executable) -> AsyncIterator[Sequence[Any]]:
    result = await session.stream(query, execution_options={"yield_per": _SLICE})
    async for rows in result.partitions():
        yield rows


def _phone(row: Any, lines: Sequence[str], note: str) -> Phone:
    knocks = row.refused and (row.state != "back" or row.refused_at > row.fetched_at)
    if knocks and row.state == "back":
        note = "; ".join(filter(None, ["an old URL was asked with again after it came back", note]))
    return Phone(
        device_id=row.id,
        mac=row.mac,
        name=row.name,
        vendor=row.vendor,
        model=row.model,
        lines=tuple(lines),
        state=row.state,
        last_fetch_at=row.fetched_at,
        last_fetch_ip=row.fetched_ip,
        refused_at=row.refused_at if knocks else None,
        refused_ip=row.refused_ip if knocks else None,
        refused_generation=row.refused_generation if knocks else None,
        note=note,
        told=bool(row.told),
        ticked_at=row.ticked_at,
        ticked_by=row.ticked_by,
    )
