"""Faxes: any 3,600 seconds hold as many as the account allows, neither more nor fewer."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import accounts, faxes
from provisioning.accounts import General
from provisioning.db import Database, clock, new_id
from provisioning.errors import TooMany
from provisioning.faxes import FaxForm, Row
from provisioning.vault import Vault

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(seconds=3600), timedelta(days=1)
TICK = timedelta(microseconds=1)


class Machine:
    """The fax machines of one account; each fax is a transaction."""

    def __init__(self, database: Database, account_id: str) -> None:
        self._database, self.account_id = database, account_id

    async def __call__(
        self, fax_id: str = "", *, limit: int | None = 2, at: datetime = NOON, direction: str = "inbound"
    ) -> int | None:
        fax = FaxForm(direction=direction, fax_id=fax_id or new_id("fax"))  # type: ignore[arg-type]
        async with self._database.write() as session:
            await accounts.lock(session, self.account_id)
            return await faxes.admit(session, self.account_id, fax, limit=limit, at=at)

    async def refused(self, *, limit: int = 2, at: datetime = NOON) -> int:
        """How long it says to wait."""
        with pytest.raises(TooMany) as caught:
            await self(limit=limit, at=at)
        return caught.value.retry_after

    async def kept(self) -> int:
        async with self._database.read() as session:
            mine = sa.select(sa.func.count()).where(Row.account_id == self.account_id)
            return await session.scalar(mine) or 0


async def new_machine(database: Database, vault: Vault) -> Machine:
    async with database.write() as session:
        return Machine(
            database, (await accounts.add(session, vault, General(name="A", email="a@b.example"))).id
        )


@pytest.fixture
async def fax(database: Database, vault: Vault) -> Machine:
    return await new_machine(database, vault)


async def test_it_works(fax: Machine) -> None:
    assert [await fax(), await fax(at=NOON + SECOND)] == [1, 0]
    assert await fax.refused(at=NOON + 2 * SECOND) == 3598


async def test_one_is_taken_the_moment_the_oldest_has_left_the_window(fax: Machine) -> None:
    await fax()
    await fax(at=NOON + SECOND)
    assert await fax.refused(at=NOON + HOUR - TICK) == 1
    assert await fax(at=NOON + HOUR) == 0
    assert await fax.refused(at=NOON + HOUR) == 1
    assert await fax(at=NOON + HOUR + SECOND) == 0


async def test_the_window_is_no_clock_hour(fax: Machine) -> None:
    late = NOON - SECOND
    await fax(at=late)
    await fax(at=late)
    assert await fax.refused(at=NOON + SECOND) == 3598


async def test_who_waits_as_long_as_told_is_taken(fax: Machine) -> None:
    await fax(at=NOON + SECOND / 3)
    await fax(at=NOON + 7 * SECOND)
    wait = await fax.refused(at=NOON + 100 * SECOND)
    assert await fax(at=NOON + 100 * SECOND + wait * SECOND) is not None


async def test_refused_ones_use_nothing_up(fax: Machine) -> None:
    await fax()
    await fax()
    for second in range(20):
        await fax.refused(at=NOON + second * SECOND)
    assert await fax(at=NOON + HOUR) == 1
    assert await fax.kept() == 3


async def test_the_directions_are_apart(fax: Machine) -> None:
    assert [await fax("a"), await fax("b")] == [1, 0]
    assert [await fax("a", direction="outbound"), await fax("b", direction="outbound")] == [1, 0]


async def test_accounts_are_apart(fax: Machine, database: Database, vault: Vault) -> None:
    other = await new_machine(database, vault)
    assert [await fax("a"), await fax("b"), await other("a"), await other("b")] == [1, 0, 1, 0]


async def test_the_same_fax_twice_is_one_and_stays_admitted(fax: Machine) -> None:
    assert [await fax("a"), await fax("a"), await fax("b"), await fax("a")] == [1, 1, 0, 0]
    assert await fax("a", limit=0) == 0
    assert await fax("a", at=NOON + DAY - TICK) == 2
    assert await fax.kept() == 2


async def test_after_a_day_the_same_id_is_another_fax(fax: Machine) -> None:
    await fax("a")
    assert await fax("a", at=NOON + DAY) == 1
    assert await fax.kept() == 1


async def test_a_refused_fax_may_be_tried_again(fax: Machine) -> None:
    await fax()
    await fax()
    with pytest.raises(TooMany):
        await fax("late")
    assert await fax("late", at=NOON + HOUR) == 1


async def test_no_limit_takes_all_and_a_limit_set_later_counts_them(fax: Machine) -> None:
    assert [await fax(limit=None) for _ in range(5)] == [None] * 5
    assert await fax.refused(limit=5) == 3600
    assert await fax(limit=6) == 0


async def test_a_limit_of_0_takes_none(fax: Machine) -> None:
    assert await fax.refused(limit=0) == 3600
    assert await fax.kept() == 0


async def test_a_lower_limit_takes_nothing_back_and_waits_for_enough_to_leave(fax: Machine) -> None:
    for second in range(5):
        await fax(limit=5, at=NOON + second * SECOND)
    assert await fax.refused(limit=2, at=NOON + 5 * SECOND) == 3598
    assert await fax.refused(limit=2, at=NOON + HOUR + 2 * SECOND) == 1
    assert await fax(limit=2, at=NOON + HOUR + 3 * SECOND) == 0


async def test_a_clock_that_is_set_back_lets_no_more_in(fax: Machine) -> None:
    await fax()
    await fax(at=NOON - HOUR)
    # From here on the clock says an hour less; both came a moment ago.
    assert await fax.refused(at=NOON - HOUR + SECOND) == 3599
    assert await fax(at=NOON) == 1


async def test_a_clock_that_was_far_ahead_is_forgotten_with_the_next_fax(fax: Machine) -> None:
    await fax(at=NOON + 3650 * DAY)
    assert await fax() == 0
    assert await fax.refused() == 3600
    assert await fax(at=NOON + HOUR) == 1


async def test_old_faxes_are_removed_in_passing(fax: Machine) -> None:
    for number in range(130):
        await fax(limit=None, at=NOON + number * SECOND)
    await fax(limit=None, at=NOON + 2 * DAY)
    assert await fax.kept() == 31
    await fax(limit=None, at=NOON + 2 * DAY)
    assert await fax.kept() == 2


async def test_an_old_id_is_another_fax_even_before_the_old_one_is_removed(fax: Machine) -> None:
    for number in range(130):
        await fax(f"fax-{number}", limit=None, at=NOON + number * SECOND)
    assert await fax("fax-120", at=NOON + 2 * DAY) == 1
    assert await fax.kept() == 30


async def test_without_a_time_it_is_now(fax: Machine, database: Database) -> None:
    form = FaxForm(direction="inbound", fax_id="now")
    async with database.write() as session:
        before = await clock(session)
        await faxes.admit(session, fax.account_id, form, limit=None)
        assert before <= (await session.scalars(sa.select(Row.time))).one() <= await clock(session)


@dataclass
class Model:
    """What was admitted, and what that allows: nothing but a list and the words of the specification."""

    times: dict[str, datetime] = field(default_factory=dict)

    def admit(self, fax_id: str, limit: int | None, at: datetime) -> tuple[str, int | None]:
        window = sorted(time for time in self.times.values() if time <= at < time + HOUR)
        if fax_id not in self.times or at >= self.times[fax_id] + DAY:
            if limit is not None and len(window) >= limit:
                leaves = window[-limit] + HOUR - at if limit else HOUR
                return "wait", math.ceil(leaves / SECOND)
            self.times[fax_id] = at
            window.append(at)
        return "left", None if limit is None else max(0, limit - len(window))


seconds = st.sampled_from((0.0, 1e-6, 0.4, 1.0, 1800.0, 3599.0, 3599.999999, 3600.0, 86400.0)) | st.floats(
    0, 4000
)
limits = st.none() | st.integers(0, 4)
ids = st.sampled_from("abcdef") | st.uuids().map(str)
without_io = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def tried(
    session: AsyncSession, machine: Machine, fax_id: str, limit: int | None, at: datetime
) -> tuple[str, int | None]:
    form = FaxForm(direction="outbound", fax_id=fax_id)
    try:
        return "left", await faxes.admit(session, machine.account_id, form, limit=limit, at=at)
    except TooMany as error:
        return "wait", error.retry_after


@without_io
@given(steps=st.lists(st.tuples(seconds, ids, limits), max_size=40))
async def test_any_run_of_faxes_ends_as_the_specification_says(
    database: Database, vault: Vault, steps: list[tuple[float, str, int | None]]
) -> None:
    machine, model, at = await new_machine(database, vault), Model(), NOON
    async with database.write() as session:
        for later, fax_id, limit in steps:
            at += timedelta(seconds=later)
            assert await tried(session, machine, fax_id, limit, at) == model.admit(fax_id, limit, at)


@without_io
@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.tuples(seconds, st.just(0.0) | st.floats(0, 10_000)), max_size=40),
)
async def test_no_true_hour_holds_too_many_however_often_the_clock_is_set_back(
    database: Database, vault: Vault, limit: int, steps: list[tuple[float, float]]
) -> None:
    machine, true, behind = await new_machine(database, vault), NOON, timedelta()
    admitted: list[datetime] = []
    async with database.write() as session:
        for later, back in steps:
            true, behind = true + timedelta(seconds=later), behind + timedelta(seconds=back)
            end, _ = await tried(session, machine, new_id("fax"), limit, true - behind)
            admitted += [true] if end == "left" else []
    for first, beyond in zip(admitted, admitted[limit:], strict=False):
        assert beyond >= first + HOUR
