"""Whatever relays and processes do, every recipient of every call is mailed, and hardly anybody twice."""

from pathlib import Path

from provisioning import deliveries
from provisioning.db import now
from provisioning.schedule import Schedule
from tests.api.conftest import stocked
from tests.conftest import StartHouse, Stock
from tests.emergency.storm import Storm, key

STORMY = Schedule(delays=(0.0, 0.2, 0.5, *(1.0,) * 60), limit=2.5, patient_limit=2.5, margin=2.5, poll=0.2)
CALLS = 40
RECIPIENTS = [f"r{number}@b.example" for number in range(5)]


async def test_no_mail_is_missed_when_relays_misbehave_and_servers_are_killed(
    start_house: StartHouse, database_url: str, stock: Stock, tmp_path: Path
) -> None:
    account = stocked(await start_house(schedule=STORMY), stock)
    await account.admin.put("/account/emergency-recipients", {"emails": RECIPIENTS})
    storm = Storm(
        database_url,
        tmp_path / "keys.json",
        str(account.switch.key),
        callers=("4302", "4303"),
        calls=CALLS,
        schedule=STORMY,
    )
    received = await storm.run()
    assert storm.killed == ["answer", "greeting", "taken"]
    assert set(received) == {(f"call-{number}", to) for number in range(CALLS) for to in RECIPIENTS}
    assert {k: times for k, times in received.items() if times - 1 > storm.unclear[k]} == {}
    assert sum(storm.unclear.values()) > 0
    # Who gets a mail twice can see that it is one.
    assert len({(key(mail), mail.message["Message-ID"]) for mail in storm.mails()}) == len(received)
    async with account.house.database.read() as session:
        states = (await deliveries.counts(session, now())).states
    assert states == {"waiting": 0, "late": 0, "delivered": 5 * CALLS, "failed": 0}
