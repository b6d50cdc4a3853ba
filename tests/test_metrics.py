"""What Prometheus is told; the numbers of mails are tested where mails are sent."""

import os

from tests.conftest import House


async def test_every_number_is_there_before_anything_has_happened(house: House) -> None:
    async with house.http.get(f"{house.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
    ours = f'{{process="{os.getpid()}"}}'
    assert lines == [
        f"provisioning_database_write_failing{ours} 0.0",
        f"provisioning_boot_log_waiting{ours} 0.0",
        f"provisioning_database_failed_writes_total{ours} 0.0",
        f"provisioning_boot_log_failed_writes_total{ours} 0.0",
        f"provisioning_boot_log_dropped_total{ours} 0.0",
        'provisioning_emergency_mails{state="waiting"} 0.0',
        'provisioning_emergency_mails{state="late"} 0.0',
        'provisioning_emergency_mails{state="delivered"} 0.0',
        'provisioning_emergency_mails{state="failed"} 0.0',
        'provisioning_emergency_mail_attempts_total{outcome="delivered"} 0.0',
        'provisioning_emergency_mail_attempts_total{outcome="failed"} 0.0',
        'provisioning_emergency_mail_attempts_total{outcome="unclear"} 0.0',
        'provisioning_emergency_mail_attempts_total{outcome="unfinished"} 0.0',
        "provisioning_leak_alarms 0.0",
        "provisioning_database_up 1.0",
    ]
