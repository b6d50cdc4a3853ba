"""Changes that come at once: none is lost, and a change of what was changed meanwhile is refused."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.conftest import Account
from tests.shell import Shell

WRITER = """
import asyncio, sys, aiohttp

async def main(url, key, field, times):
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for number in range(times):
            while True:
                async with http.get(url) as answer:
                    told, etag = await answer.json(), answer.headers["ETag"]
                emails = [*told["emails"], f"{field}{number}@example.com"]
                async with http.put(url, json={"emails": emails}, headers={"If-Match": etag}) as answer:
                    if answer.status == 200:
                        break
                    assert answer.status == 412, answer.status

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


async def test_no_update_of_four_processes_is_lost(
    account: Account, database_url: str, tmp_path: Path
) -> None:
    """Four servers, one database: at each a client reads the list, adds one and writes it back."""
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    await account.admin.put("/account/emergency-recipients", {"emails": []})
    with ExitStack() as stack:
        servers = [Shell(tmp_path) for _ in range(4)]
        for server in servers:
            server.environ["PROVISIONING_DATABASE_URL"] = database_url
            server.environ["PROVISIONING_KEY_FILE"] = str(tmp_path / "keys.json")
            stack.enter_context(server.serving())
        writers = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, str(script), f"{server.url}/api/v1/account/emergency-recipients"),
                *(str(account.admin.key), f"w{number}x", "8"),
                stderr=subprocess.PIPE,
            )
            for number, server in enumerate(servers)
        ]
        ends = await asyncio.gather(*(writer.communicate() for writer in writers))
    assert [(writer.returncode, end[1]) for writer, end in zip(writers, ends, strict=True)] == [(0, b"")] * 4
    emails = (await account.admin.get("/account/emergency-recipients")).json["emails"]
    assert sorted(emails) == sorted(f"w{w}x{n}@example.com" for w in range(4) for n in range(8))


async def test_changes_of_different_fields_at_once_are_all_kept(account: Account) -> None:
    changes = [{"language": "fr"}, {"lldp": False}, {"dscp_sip": 1}, {"dscp_rtp": 2}, {"ring_type": 3}] * 4
    answers = await asyncio.gather(*(account.admin.patch("/account/device-options", c) for c in changes))
    assert {answer.status for answer in answers} == {200}
    told = (await account.admin.get("/account/device-options")).json
    assert [told[n] for n in ("language", "lldp", "dscp_sip", "dscp_rtp", "ring_type")] == [
        "fr",
        False,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/account", {"name": "A"}),
        ("/account/telephony", {"parking_timeout_minutes": 7}),
        ("/account/device-options", {"language": "fr"}),
        ("/locations", {"name": "A"}),
        ("/extensions", {"display_name": "A"}),
        ("/phone-numbers", {"label": "A"}),
        ("/button-templates", {"description": "A"}),
        ("/devices", {"name": "A"}),
        ("/users", {"name": "A"}),
    ],
)
async def test_a_change_of_what_was_changed_meanwhile_is_refused(
    account: Account, path: str, body: dict[str, object]
) -> None:
    if not path.startswith("/account"):
        path += "/" + (await account.admin.get(path)).json["data"][0]["id"]
    etag = (await account.admin.get(path)).headers["ETag"]
    first = await account.admin.patch(path, body, {"If-Match": etag})
    assert first.status == 200 and first.headers["ETag"] != etag
    second = await account.admin.patch(
        path, {k: "B" if v == "A" else v for k, v in body.items()}, {"If-Match": etag}
    )
    assert second.status == 412
    assert (await account.admin.get(path)).headers["ETag"] == first.headers["ETag"]


async def test_rotations_at_once_leave_one_valid_url(account: Account) -> None:
    answers = await asyncio.gather(*(account.admin.post("/account/provisioning/rotate") for _ in range(6)))
    urls = [account.url, *(answer.json["provisioning_url"] for answer in answers)]
    served = [(await account.house.http.get(f"{url}805ec0102001.cfg")).status for url in urls]
    assert sorted(served) == [200] + [404] * 6
