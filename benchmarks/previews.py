"""How long a preview of a change of an account with many phones takes, and what others wait meanwhile.

    python -m benchmarks.previews [--database sqlite|postgresql] [--phones 2000] [--times 3] [--unlike]

One process, over HTTP. Half of the phones are Yealinks, half Polycoms, of three models each, bound to one
template. With --unlike each phone has a key of its own, so that no two of them are of one kind. Prints for
each change the seconds, those of the processor, the longest time in which the server's loop did nothing
else, and what was told; then the same of the count of the phones that hold the newest files, none of which is
known yet.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.test_utils import TestServer

from benchmarks.databases import database
from button_templates import library
from provisioning import api_keys, devices, extensions, sightings
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.db import new_id, now
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.samples import account_file
from tests.ports import free_port

MODELS: Final = (
    ("yealink", "T46S", "249ad8"),
    ("polycom", "VVX 450", "64167f"),
    ("yealink", "T54W", "805ec0"),
    ("polycom", "VVX 500", "0004f2"),
    ("yealink", "T23G", "001565"),
    ("polycom", "SoundPoint IP 550", "482567"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--phones", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--unlike", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, database(given.database, Path(name)) as url:
        asyncio.run(measure(url, Path(name), given))


async def measure(url: str, folder: Path, given: argparse.Namespace) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    app = make_app(Config(database_url=url, base_url=base, key_file=folder / "keys.json"))
    server = TestServer(app, port=port)
    await server.start_server(access_log=None)
    async with app[DATABASE].write() as session:
        loaded = await load(session, app[VAULT], rendering(app), account_file().read_text("utf-8"))
        key = await api_keys.add(session, app[VAULT], loaded.account_id, name="bench", role="admin")
        template = await library.find(session, loaded.account_id, "Reception")
        assert template
        made = [
            _phone(app[VAULT], loaded.account_id, template.id, index, given.unlike)
            for index in range(given.phones)
        ]
        session.add_all(row for rows in made for row in rows[:-1])
        await session.flush()
        session.add_all(rows[-1] for rows in made)
    buttons = [button.model_dump(mode="json") for button in template.buttons]
    buttons[0]["label"] = "Another"
    headers = {"Authorization": f"Bearer {key}"}
    print(f"{given.database}, {given.phones} phones{', each unlike the others' if given.unlike else ''}")
    async with aiohttp.ClientSession(f"{base}/api/v1/", headers=headers) as http:
        for change in (
            {"telephony": {"extension_length": 5}},
            {"telephony": {"recording_enabled": False}},
            {"device_options": {"sip_server": "another.example.com"}},
            {"device_options": {"poll_minutes": 10080}},
            {"account": {"timezone": "Europe/Berlin"}},
            {"button_template": {"id": template.id, "buttons": buttons}},
        ):
            await told(http, "POST", "previews", change, given.times)
        await told(http, "GET", "devices/current-count", None, 30)
    await server.close()


async def told(http: aiohttp.ClientSession, method: str, path: str, body: Any, times: int) -> None:
    took, cpu, stalls = [], [], []
    for _ in range(times):
        watch = asyncio.create_task(stall())
        await asyncio.sleep(0)
        begun, worked = time.perf_counter(), time.process_time()
        async with http.request(method, path, json=body) as answer:
            found = await answer.json()
        took.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - worked)
        watch.cancel()
        stalls.append(await watch)
        if found.get("counted", -1) == found["total"]:
            break
    shown = {name: len(value) if isinstance(value, list) else value for name, value in found.items()}
    change = body or {path: {}}
    print(*(f"{name} {', '.join(sorted(values))}" for name, values in change.items()))
    print(
        f"  median of {len(took)}: {statistics.median(took):.3f} s, processor {statistics.median(cpu):.3f} s"
    )
    print(f"  longest stall {max(stalls) * 1e3:.0f} ms; {shown}", flush=True)


async def stall() -> float:
    """The longest time in seconds that the loop took to come back."""
    longest, last = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    except asyncio.CancelledError:
        return longest


def _phone(vault: Any, account_id: str, template_id: str, index: int, unlike: bool) -> list[Any]:
    """Its extension, itself and its line; it has fetched once, something else than it would get now."""
    vendor, model, oui = MODELS[index % len(MODELS)]
    extension = extensions.Row(id=new_id("ext"), account_id=account_id, number=f"2{index:05}")
    extension.sip_username, extension.display_name = extension.number, f"Desk {index}"
    extension.voicemail_enabled, extension.outbound_number_id, extension.created_at = True, None, now()
    extension.sip_password = vault.seal(
        "Xq3mVt8sLw2nRb6J", "extensions", "sip_password", account_id, extension.id
    )
    own = [
        {"module": 0, "position": 5, "type": "speed_dial", "label": "", "target": {"number": f"1{index:05}"}}
    ]
    device = devices.Row(id=new_id("dev"), account_id=account_id, mac=f"{oui}{index:06x}", vendor=vendor)
    device.model, device.expansion, device.name, device.location_id = model, None, f"Desk {index}", None
    device.button_template_id, device.button_overrides = template_id, own if unlike else []
    device.outbound_number_id, device.options, device.created_at = None, {}, now()
    seen = sightings.Row(account_id=account_id, mac=device.mac, fetched_at=now(), held_at=now())
    seen.held_revision, seen.held_edition, seen.held_digest = 0, "", "another"
    line = devices.LineRow(device_id=device.id, index=1, extension_id=extension.id)
    return [extension, device, seen, line]


if __name__ == "__main__":
    main()
