"""Audio clips over the API: what is taken, what is refused, and how a recording comes back."""

import asyncio
import random
import socket
from collections.abc import Mapping
from typing import Final

import pytest
import sqlalchemy as sa

from provisioning import clips
from provisioning.db import new_id
from tests.api.conftest import Account, Answer, Client, form

MIB: Final = 1024 * 1024
LONG: Final = b"RIFF\0\0P\0WAVEfmt " + random.Random(1).randbytes(5 * MIB - 16)
SHORT: Final = b"OggS" + bytes(range(96))


async def upload(client: Client, name: str, content: bytes) -> Answer:
    return await client.post("/audio-clips", form(name=name, file=content))


async def fetch(account: Account, path: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    sent = {"Authorization": f"Bearer {account.viewer.key}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with account.house.http.get(f"{account.house.url}/api/v1{path}", headers=sent) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def short(account: Account) -> str:
    """The path of the content of a clip of 100 bytes."""
    made = await upload(account.admin, "Warten, bitte · ♪", SHORT)
    return f"/audio-clips/{made.json['id']}/content"


async def test_a_clip_is_made_listed_heard_and_removed(account: Account) -> None:
    made = await upload(account.admin, "Hold music", SHORT)
    assert made.status == 201, made.text
    assert made.json == {
        "id": made.json["id"],
        "name": "Hold music",
        "content_type": "audio/ogg",
        "size": 100,
        "created_at": made.json["created_at"],
    }
    path = f"/audio-clips/{made.json['id']}"
    assert (await account.viewer.get(path)).json == made.json
    assert (await account.viewer.get("/audio-clips")).json == {"data": [made.json], "next_cursor": None}
    assert (await fetch(account, f"{path}/content"))[::2] == (200, SHORT)
    assert (await account.admin.delete(path)).status == 204
    assert (await account.viewer.get(path)).status == 404
    assert (await fetch(account, f"{path}/content"))[0] == 404
    assert await account.count(clips.ChunkRow) == 0


async def test_five_mib_come_in_and_go_out_whole_and_by_any_range(account: Account) -> None:
    made = await upload(account.admin, "Long", LONG)
    assert (made.status, made.json["size"]) == (201, 5 * MIB)
    path = f"/audio-clips/{made.json['id']}/content"
    status, headers, content = await fetch(account, path)
    assert (status, headers["Content-Length"], content == LONG) == (200, str(5 * MIB), True)
    assert "Transfer-Encoding" not in headers
    edge = 64 * 1024
    for start, stop in (
        (0, 1),
        (edge - 1, edge),
        (edge, edge + 1),
        (edge - 1, 2 * edge + 1),
        (3 * edge, 4 * edge),
        (12345, 4 * MIB + 7),
        (5 * MIB - 1, 5 * MIB),
    ):
        status, headers, content = await fetch(account, path, Range=f"bytes={start}-{stop - 1}")
        assert status == 206
        assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/{5 * MIB}"
        assert headers["Content-Length"] == str(stop - start)
        assert content == LONG[start:stop]


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ("bytes=0-", 206, SHORT),
        ("bytes=10-19", 206, SHORT[10:20]),
        ("bytes=10-999999999999999999", 206, SHORT[10:]),
        ("bytes=-7", 206, SHORT[-7:]),
        ("bytes=-700", 206, SHORT),
        ("bytes=99-99", 206, SHORT[99:]),
        ("bytes=19-10", 200, SHORT),
        ("bytes=-", 200, SHORT),
        ("bytes=0-1,5-6", 200, SHORT),
        ("bytes=١-٢", 200, SHORT),
        ("bytes=1x-2", 200, SHORT),
        ("bytes=" + "9" * 5000 + "-", 200, SHORT),
        ("lines=0-1", 200, SHORT),
        ("bytes=100-", 416, None),
        ("bytes=100-100", 416, None),
        ("bytes=-0", 416, None),
    ],
)
async def test_a_range_is_honoured_ignored_or_refused_as_http_says(
    account: Account, short: str, asked: str, status: int, told: bytes | None
) -> None:
    got, headers, content = await fetch(account, short, Range=asked)
    assert got == status
    if told is None:
        assert headers["Content-Range"] == "bytes */100"
        assert headers["Content-Type"].startswith("application/problem+json")
    else:
        assert content == told
        assert headers["Content-Length"] == str(len(told))
        assert ("Content-Range" in headers) == (status == 206)


async def test_a_range_of_what_was_another_clip_is_the_whole(account: Account, short: str) -> None:
    etag = (await fetch(account, short))[1]["ETag"]
    assert (await fetch(account, short, Range="bytes=0-0", If_Range=etag))[0] == 206
    assert (await fetch(account, short, Range="bytes=0-0", If_Range='"other"'))[::2] == (200, SHORT)


async def test_a_browser_is_told_what_it_gets_and_not_to_guess(account: Account, short: str) -> None:
    _, headers, _ = await fetch(account, short)
    assert headers["Content-Type"] == "audio/ogg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Disposition"] == (
        'inline; filename="Warten_ bitte _ _.ogg"; '
        "filename*=UTF-8''Warten%2C%20bitte%20%C2%B7%20%E2%99%AA.ogg"
    )


async def test_the_type_is_told_by_content_whatever_the_client_says(account: Account) -> None:
    made = form(name="Song")
    made.add_field("file", SHORT, filename="song.mp3", content_type="audio/mpeg")
    assert (await account.admin.post("/audio-clips", made)).json["content_type"] == "audio/ogg"
    made = form(name="Page")
    made.add_field("file", b"<html>", filename="song.mp3", content_type="audio/mpeg")
    answer = await account.admin.post("/audio-clips", made)
    assert (answer.status, answer.fields) == (422, ["file"])


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        ({}, ["name", "file"]),
        ({"name": "A"}, ["file"]),
        ({"file": SHORT}, ["name"]),
        ({"name": "A", "file": b""}, ["file"]),
        ({"name": "A", "file": b"RIFF\0\0\0\0AVI "}, ["file"]),
        ({"name": "", "file": SHORT}, ["name"]),
        ({"name": "a\nb", "file": SHORT}, ["name"]),
        ({"name": "x" * 101, "file": SHORT}, ["name"]),
        ({"name": "Taken", "file": SHORT}, ["name"]),
        ({"name": "A", "file": SHORT, "id": "clip_1"}, [""]),
        ({"name": b"\xff", "file": SHORT}, ["name"]),
    ],
)
async def test_a_clip_that_cannot_be_is_refused_by_field(
    account: Account, parts: dict[str, str | bytes], fields: list[str]
) -> None:
    await upload(account.admin, "Taken", SHORT)
    answer = await account.admin.post("/audio-clips", form(**parts))
    assert (answer.status, answer.fields) == (422, fields)
    assert await account.count(clips.Row) == 1


PART: Final = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
NAME: Final = PART.format("name", "A")
FILE: Final = PART.format("file", "OggS")


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("", NAME + FILE + "--b--\r\n"),
        ("; boundary=" + "b" * 71, NAME + FILE + "--b--\r\n"),
        ("; boundary=b", ""),
        ("; boundary=b", "no part at all"),
        ("; boundary=b", NAME + FILE[:-4]),
        ("; boundary=b", NAME + FILE + NAME + "--b--\r\n"),
        ("; boundary=b", NAME + "--b\r\n\r\nOggS\r\n--b--\r\n"),
        ("; boundary=b", NAME + "--b\r\nno header\r\n\r\nOggS\r\n--b--\r\n"),
        ("; boundary=b", NAME + "--b\r\nX: " + "x" * 9000 + "\r\n\r\nOggS\r\n--b--\r\n"),
        ("; boundary=b", NAME + "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n"),
        ("; boundary=b", NAME + "--b\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--b--\r\n"),
        ("; boundary=b", PART.format("_charset_", "x" * 40) + NAME + FILE + "--b--\r\n"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(account: Account, boundary: str, body: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = await account.admin.post("/audio-clips", body, headers)
    assert answer.status == 422, answer.text
    assert await account.count(clips.Row) == 0


async def test_a_body_that_is_not_encoded_as_its_head_says_is_refused(account: Account) -> None:
    port = int(account.house.url.rpartition(":")[2])
    for path, content_type in (
        ("/audio-clips", "multipart/form-data; boundary=b"),
        ("/locations", "application/json"),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.admin.key}\r\n"
            f"Content-Type: {content_type}\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
        )
        writer.write(head.encode() + b"none")
        assert b" 422 " in await reader.readline()
        writer.close()
    assert [entry.outcome for entry in await account.entries()] == ["failure", "failure"]


async def test_a_form_as_any_client_writes_it_is_taken(account: Account) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await account.admin.post("/audio-clips", "preamble\r\n" + FILE + NAME + "--b--", headers)
    assert (answer.status, answer.json["size"]) == (201, 4)


async def test_a_byte_over_five_mib_is_too_large(account: Account) -> None:
    answer = await upload(account.admin, "Long", LONG + b"\0")
    assert (answer.status, answer.json["detail"]) == (413, "file is over 5242880 bytes")
    answer = await account.admin.post("/audio-clips", form(name="x" * 9000, file=SHORT))
    assert (answer.status, answer.json["detail"]) == (413, "name is over 8192 bytes")
    assert await account.count(clips.Row) == 0


async def test_hold_music_is_a_clip_of_the_account_and_is_kept(account: Account) -> None:
    made = await upload(account.admin, "Hold music", SHORT)
    path = f"/audio-clips/{made.json['id']}"
    other = await account.admin.patch("/account/telephony", {"hold_music_clip_id": new_id("clip")})
    assert (other.status, other.fields) == (422, ["hold_music_clip_id"])
    chosen = await account.admin.patch("/account/telephony", {"hold_music_clip_id": made.json["id"]})
    assert chosen.json["hold_music_clip_id"] == made.json["id"]
    refused = await account.admin.delete(path)
    assert (refused.status, refused.json["detail"]) == (409, "this clip is the account's hold music")
    assert (await fetch(account, f"{path}/content"))[0] == 200
    await account.admin.patch("/account/telephony", {"hold_music_clip_id": None})
    assert (await account.admin.delete(path)).status == 204


async def test_each_hearing_is_entered_before_its_first_byte(account: Account, short: str) -> None:
    headers = {"Authorization": f"Bearer {account.viewer.key}"}
    async with account.house.http.get(f"{account.house.url}/api/v1{short}", headers=headers):
        entry = (await account.entries())[-1]
    assert (entry.event, entry.outcome) == ("audio_clip.read", "success")
    assert entry.resource == f"audio_clip/{short.split('/')[2]}"


async def listener(account: Account, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has got the head of the answer, and reads no further of itself."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or the system would listen for it
    sock.setblocking(False)
    address = ("127.0.0.1", int(account.house.url.rpartition(":")[2]))
    await asyncio.get_running_loop().sock_connect(sock, address)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    head = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.viewer.key}\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    return reader, writer


async def test_listeners_that_do_not_listen_hold_up_nobody(account: Account) -> None:
    made = await upload(account.admin, "Long", LONG)
    path = f"/audio-clips/{made.json['id']}/content"
    # More than there are connections to the database.
    waiting = [await listener(account, path) for _ in range(12)]
    async with asyncio.timeout(5):
        assert (await account.admin.patch("/account", {"name": "Busy"})).status == 200
        assert (await account.viewer.get("/account")).json["name"] == "Busy"
    for _, writer in waiting:
        writer.transport.abort()


async def test_a_clip_that_is_removed_while_it_is_heard_ends_short_and_not_with_other_bytes(
    account: Account,
) -> None:
    made = await upload(account.admin, "Long", LONG)
    reader, writer = await listener(account, f"/audio-clips/{made.json['id']}/content")
    assert (await account.admin.delete(f"/audio-clips/{made.json['id']}")).status == 204
    heard = bytearray()
    async with asyncio.timeout(60):
        while piece := await reader.read(65536):
            heard += piece
    writer.close()
    assert len(heard) < len(LONG) and heard == LONG[: len(heard)]
    assert [e.event for e in await account.entries()][-2:] == ["audio_clip.read", "audio_clip.delete"]


async def test_a_range_reads_no_chunk_outside_it(account: Account) -> None:
    made = await upload(account.admin, "Long", LONG)
    async with account.house.database.write() as session:
        outside = sa.delete(clips.ChunkRow).where(clips.ChunkRow.index != 3)
        await session.execute(outside)
    path = f"/audio-clips/{made.json['id']}/content"
    start = 3 * 64 * 1024
    status, _, content = await fetch(account, path, Range=f"bytes={start}-{start + 65535}")
    assert (status, content == LONG[start : start + 65536]) == (206, True)


async def test_a_piece_is_what_was_asked_for_or_the_rest_of_its_chunk(account: Account) -> None:
    clip_id = (await upload(account.admin, "Long", LONG)).json["id"]
    async with account.house.database.read() as session:
        assert await clips.piece(session, 10, 20, clip_id=clip_id) == LONG[10:20]
        assert await clips.piece(session, 65530, 70000, clip_id=clip_id) == LONG[65530:65536]


async def test_one_of_two_uploads_of_a_name_at_once_is_refused(account: Account) -> None:
    answers = await asyncio.gather(*(upload(account.admin, "Same", SHORT) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 422, 422, 422]
