"""What Prometheus is told: numbers of the database as they are now, so that every process tells the same, and
how the one process that is asked gets on with it."""

import asyncio
import os
from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from provisioning import deliveries, leak_alarms
from provisioning.db import now
from provisioning.deliveries import Counts
from provisioning.parts import BOOT_LOG, DATABASE, DIRECT, PATIENCE


class _Alarms(Collector):
    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    def collect(self) -> Iterable[Metric]:
        text = "Accounts whose provisioning URL may have leaked: many unknown phones ask with it"
        yield GaugeMetricFamily("provisioning_leak_alarms", text, value=self._accounts)


class _Mails(Collector):
    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        states = GaugeMetricFamily(
            "provisioning_emergency_mails",
            "Mails about emergency calls; late is waiting for more than 60 seconds",
            labels=["state"],
        )
        attempts = CounterMetricFamily(
            "provisioning_emergency_mail_attempts",
            "Attempts to deliver them; unclear is failed, and the relay may have the mail all the same",
            labels=["outcome"],
        )
        for family, numbers in ((states, self._counts.states), (attempts, self._counts.attempts)):
            for label, number in numbers.items():
                family.add_metric([label], number)
        return states, attempts


class _Process(Collector):
    """Of the process that answers; another has other numbers, and so each has its label."""

    def __init__(self, app: web.Application) -> None:
        database, log = app[DATABASE], app[BOOT_LOG]
        self._gauges = {
            "provisioning_database_write_failing": (
                "1 while the last write of this process failed: a full disk, a lock, no database",
                int(database.fails),
            ),
            "provisioning_boot_log_waiting": ("Rows of the boot log that wait to be written", log.waiting),
        }
        self._counters = {
            "provisioning_database_failed_writes": ("Writes that failed", database.failed),
            "provisioning_boot_log_failed_writes": ("Attempts to write the boot log that failed", log.failed),
            "provisioning_boot_log_dropped": ("Rows of the boot log that nobody will see", log.dropped),
        }

    def collect(self) -> Iterable[Metric]:
        for name, (text, number) in self._gauges.items():
            gauge = GaugeMetricFamily(name, text, labels=["process"])
            gauge.add_metric([str(os.getpid())], number)
            yield gauge
        for name, (text, number) in self._counters.items():
            counter = CounterMetricFamily(name, text, labels=["process"])
            counter.add_metric([str(os.getpid())], number)
            yield counter


class _Up(Collector):
    def __init__(self, up: bool) -> None:
        self._up = up

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("provisioning_database_up", "1 while the database answers", value=self._up)


_FAILURES: Final = (sa.exc.SQLAlchemyError, OSError, TimeoutError)


async def database_answers(app: web.Application) -> bool:
    """Within the time that whoever asks for /health has."""
    try:
        async with asyncio.timeout(app[PATIENCE].health):
            await app[DIRECT].answers()
    except (OSError, TimeoutError):
        return False
    return True


async def answer(request: web.Request) -> web.Response:
    """200 without a database, too: then it is told that there is none, and nothing of mails."""
    app, registry = request.app, CollectorRegistry()
    registry.register(_Process(app))
    try:
        async with asyncio.timeout(app[PATIENCE].health), app[DATABASE].read() as session:
            registry.register(_Mails(await deliveries.counts(session, now())))
            registry.register(_Alarms(await leak_alarms.count(session)))
        registry.register(_Up(True))
    except _FAILURES:
        registry.register(_Up(False))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
