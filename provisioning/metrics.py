"""What Prometheus is told: numbers of the database as they are now, so that every process tells the same."""

from collections.abc import Iterable

import sqlalchemy as sa
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from provisioning import deliveries, leak_alarms
from provisioning.db import now
from provisioning.deliveries import Counts
from provisioning.parts import DATABASE


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


async def answer(request: web.Request) -> web.Response:
    try:
        async with request.app[DATABASE].read() as session:
            counts = await deliveries.counts(session, now())
            alarms = await leak_alarms.count(session)
    except (sa.exc.SQLAlchemyError, OSError, TimeoutError):
        return web.Response(status=503)
    registry = CollectorRegistry()
    registry.register(_Mails(counts))
    registry.register(_Alarms(alarms))
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
