"""Searching the activity log, newest first, at a cost that does not grow with the log.

A page first looks through the newest entries, where most filters fill it. If they do not, it follows the
filter that reaches furthest back with the same effort: the values that the filter means are a few (a
prefix, a part of an address), each is a lane of an index that is read newest first, and the lanes are merged.
All steps are bounded. So is a page: where filters that are common apart hardly ever meet, it may be short
or empty and still have a cursor, with which the search goes on.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning.activity_table import COLUMNS, Entry, Row, Value, plain
from provisioning.errors import invalid

NEWEST: Final = 2_000  # entries that the first look goes through
SCAN: Final = 20_000  # entries that a look without a filter's index goes through
ALONG: Final = 2_500  # entries that a look along a filter's index goes through
_VALUES: Final = 500  # values of a filter whose newest entry is looked for
_LANES: Final = 51  # values whose entries are merged

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)

Condition = Callable[[sa.ColumnElement[str]], sa.ColumnElement[bool]]
Columns = Mapping[str, sa.ColumnElement[Any]]
Times = sa.Select[datetime]
Found = tuple[list[Entry], datetime | None]


@dataclass(frozen=True, slots=True)
class Filters:
    """They add up; an empty one lets everything through. `start` is included, `end` is not. `resource` and
    `actor` are prefixes, `ip` is any part, all of them literal."""

    start: datetime | None = None
    end: datetime | None = None
    events: frozenset[str] = frozenset()
    resource: str = ""
    actor: str = ""
    outcome: str = ""
    ip: str = ""


async def page(
    session: AsyncSession, account_id: str, filters: Filters, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[Entry], str | None]:
    """At most `limit` entries, newest first, and the cursor of the rest, which is None at the log's end.

    Entries that come in later never show on a later page. Raises `Invalid` for a cursor that is not ours.
    """
    search = _Search(session, account_id, _conditions(filters), filters.start)
    await _keep_to_the_indexes(session)
    ends = [end for end in (filters.end, _from_cursor(cursor)) if end is not None]
    found, reached = await search.newest(min(ends, default=None), NEWEST, limit + 1)
    if reached is not None and len(found) <= limit:
        more, reached = await search.further(reached, limit + 1 - len(found))
        found += more
    if len(found) > limit:
        return found[:limit], _to_cursor(found[limit - 1].time)
    return found, _to_cursor(reached) if reached else None


async def _keep_to_the_indexes(session: AsyncSession) -> None:
    """Until the transaction ends. To PostgreSQL, an account and its users have nothing to do with each other:
    it takes their entries to be few, and would rather sort all of them than read the newest."""
    if session.get_bind().dialect.name == "postgresql":
        off = (sa.func.set_config(name, "off", True) for name in ("enable_bitmapscan", "enable_seqscan"))
        await session.execute(sa.select(*off))


@dataclass(frozen=True, slots=True)
class _Way:
    """The lanes of a filter: the newest `each` entries of each of these values of a column. Merged, they miss
    no entry from `reached` on, None: at all."""

    column: str
    values: Sequence[str]
    each: int
    reached: datetime | None


@dataclass(frozen=True, slots=True)
class _Search:
    """`below` is where a look begins, exclusive, None: at the newest. A look gives the entries it found
    and how far back it has seen everything, None: to the log's end.

    In each query a LIMIT encloses what is read, whatever a planner takes the rest of it to find.
    """

    session: AsyncSession
    account_id: str
    conditions: Mapping[str, Condition]
    start: datetime | None

    async def newest(self, below: datetime | None, effort: int, count: int) -> Found:
        times = self._times(below)
        read = times.with_only_columns(*COLUMNS).limit(effort).subquery()
        query = sa.select(read)
        if self.start is not None:
            query = query.where(read.c.time >= self.start)
        found = await self._passing(query, dict(read.c.items()), count)
        if len(found) == count:
            return found, found[-1].time
        return found, await self._nth(times, effort)

    async def further(self, below: datetime, count: int) -> Found:
        ways = [await self._way(column, below, count) for column in await self._rarest(below)]
        way = min(ways, key=lambda way: way.reached or _EPOCH)
        reached = self._or_end(way.reached)
        # A single lane reaches as many entries of the filter as of all; of many, each is short. One that
        # reaches no further back than here would give the same cursor for ever.
        if reached is not None and (len(way.values) != 1 or reached >= below):
            scanned = await self._nth(self._times(below), SCAN)
            if scanned is None or scanned < reached:
                return await self.newest(below, SCAN, count)
        if not way.values:
            return [], reached
        return await self._along(way, below, count), reached

    async def _rarest(self, below: datetime) -> Sequence[str]:
        """The two filters that let the fewest of the newest entries through: to try all would cost more."""
        names = list(self.conditions)
        if len(names) > 2:
            seen = self._times(below).with_only_columns(*COLUMNS).limit(NEWEST).subquery()
            passed = (sa.func.count().filter(meets(seen.c[name])) for name, meets in self.conditions.items())
            counts = (await self.session.execute(sa.select(*passed).select_from(seen))).one()
            names = [name for _, name in sorted(zip(counts, names, strict=True))][:2]
        return names

    async def _way(self, column: str, below: datetime, count: int) -> _Way:
        """How far back the entries of one filter can be followed."""
        found = await self._values(column, below)
        # The value left out has no entry from its `last` on.
        gaps = [found[_VALUES].last] if len(found) > _VALUES else []
        newest = sorted(((v.newest, v.value) for v in found[:_VALUES] if v.newest), reverse=True)
        if len(newest) > _LANES:
            gaps.append(newest[_LANES - 1][0])
        values = [value for _, value in newest[:_LANES]]
        # Alone, a filter is met by every entry of its lanes.
        effort = ALONG if len(self.conditions) > 1 else count
        each = max(effort // max(len(values), 1), count)
        if values:
            lane = self._lanes(column, values)
            end = self._times(below, column, lane.c.value).offset(each - 1).limit(1).scalar_subquery()
            if last := await self.session.scalar(sa.select(sa.func.max(end)).select_from(lane)):
                gaps.append(last)
        return _Way(column, values, each, max(gaps, default=None))

    async def _values(self, column: str, below: datetime) -> Sequence[Any]:
        """The values that a filter means, with their newest entry; the values used last come first."""
        known = (
            sa.select(Value.value, Value.last)
            .where(Value.account_id == self.account_id, Value.field == column)
            .where(self.conditions[column](Value.value.expression))
            .order_by(Value.last.desc())
            .limit(_VALUES + 1)
            .subquery()
        )
        newest = self._times(below, column, known.c.value).limit(1).scalar_subquery()
        query = sa.select(known.c.value, known.c.last, newest.label("newest"))
        return (await self.session.execute(query.order_by(known.c.last.desc()))).all()

    def _lanes(self, column: str, values: Sequence[str]) -> sa.Subquery:
        query = sa.select(Value.value).where(Value.account_id == self.account_id, Value.field == column)
        return query.where(Value.value.in_(values)).subquery()

    async def _along(self, way: _Way, below: datetime, count: int) -> list[Entry]:
        """Merges the lanes by the filter's index alone, then looks at one entry after the other until enough
        of them pass: entries lie all over the table, and each look may cost a read from the disk."""
        first = max((time for time in (way.reached, self.start) if time), default=_EPOCH)
        entry = sa.select(*COLUMNS).where(Row.account_id == self.account_id)
        if self.session.get_bind().dialect.name == "postgresql":
            lane = self._lanes(way.column, way.values)
            times = self._times(below, way.column, lane.c.value).limit(way.each).lateral()
            merged = sa.select(times.c.time).select_from(lane.join(times, sa.true()))
            merged_ = merged.where(times.c.time >= first).order_by(times.c.time.desc()).subquery()
            one = entry.where(Row.time == merged_.c.time).limit(1).lateral()
            columns = {name: one.c[name] for name in self.conditions} | {"time": merged_.c.time}
            return await self._passing(
                sa.select(one).select_from(merged_.join(one, sa.true())), columns, count
            )
        # SQLite has no LATERAL. It takes the index of which most columns are given; not one of the other
        # filters', since what is computed is in no index.
        values = getattr(Row, way.column).in_(way.values)
        merged = sa.select(Row.time).where(Row.account_id == self.account_id, values)
        merged = merged.where(Row.time < below, Row.time >= first)
        columns = {name: getattr(Row, name).concat("") for name in self.conditions} | {"time": Row.time}
        return await self._passing(entry.where(Row.time.in_(merged)), columns, count)

    async def _passing(self, query: sa.Select[Any], columns: Columns, count: int) -> list[Entry]:
        """The newest `count` of a query's entries that meet all conditions."""
        query = query.where(*(meets(columns[name]) for name, meets in self.conditions.items()))
        rows = await self.session.execute(query.order_by(columns["time"].desc()).limit(count))
        return [Entry(*row) for row in rows]

    async def _nth(self, times: Times, number: int) -> datetime | None:
        return self._or_end(await self.session.scalar(times.offset(number - 1).limit(1)))

    def _or_end(self, reached: datetime | None) -> datetime | None:
        return None if reached and self.start and reached <= self.start else reached

    def _times(
        self, below: datetime | None, column: str | None = None, value: str | sa.ColumnElement[str] = ""
    ) -> Times:
        """When the account, or one value of it, had entries, newest first, from an index alone."""
        query = sa.select(Row.time).where(Row.account_id == self.account_id).order_by(Row.time.desc())
        if column is not None:
            query = query.where(getattr(Row, column) == value)
        return query if below is None else query.where(Row.time < below)


def _conditions(filters: Filters) -> dict[str, Condition]:
    conditions: dict[str, Condition] = {}
    if filters.events:
        conditions["event"] = lambda column: column.in_(sorted(filters.events))
    if filters.resource:
        conditions["resource"] = lambda column: _begins(column, plain(filters.resource))
    if filters.actor:
        conditions["actor"] = lambda column: _begins(column, plain(filters.actor))
    if filters.outcome:
        conditions["outcome"] = lambda column: column == filters.outcome
    if filters.ip:
        conditions["ip"] = lambda column: column.contains(plain(filters.ip).lower(), autoescape=True)
    return conditions


def _begins(column: sa.ColumnElement[str], prefix: str) -> sa.ColumnElement[bool]:
    """A range and not LIKE: an index can answer it, and no character of it is special."""
    return sa.and_(column >= prefix, column < prefix + "\U0010ffff")


def _to_cursor(time: datetime) -> str:
    return base64.urlsafe_b64encode(((time - _EPOCH) // _US).to_bytes(8)).decode().rstrip("=")


def _from_cursor(cursor: str | None) -> datetime | None:
    if cursor is None:
        return None
    try:
        time = _EPOCH + int.from_bytes(base64.b64decode(f"{cursor}=", b"-_", validate=True)) * _US
    except (binascii.Error, ValueError, OverflowError):
        time = None
    if time is None or _to_cursor(time) != cursor:
        raise invalid("cursor", "is not one that a page gave")
    return time
