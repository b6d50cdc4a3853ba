"""What all virtual phones do: ask in their vendor's order, judge each answer, keep quiet about secrets."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from provisioning.errors import NotFound
from provisioning.virtual_phone import VirtualPhone, virtual_phone
from provisioning.virtual_phone.digit_map import dialled
from tests.ports import free_port
from tests.virtual_phones import MAC, SIP_PASSWORD, TOKEN, Named, model, polycom, serve, yealink

TRACES = json.loads((Path(__file__).parent / "vendor_data" / "boot_traces.json").read_text())
GOOD = f"""#!version:1.0.0.1
static.auto_provision.server.url = {{url}}
static.security.user_password = admin:428100
account.1.enable = 1
account.1.user_name = 4201
account.1.password = {SIP_PASSWORD}
account.1.sip_server.1.address = pbx.example.com
local_time.time_zone = -5
local_time.summer_time = 0
dialplan.digitmap.enable = 1
dialplan.digitmap.string = 911|933|[1-9]xxxT
"""
BOOT = f'#!version:1.0.0.1\ninclude:config "{MAC}.cfg"\noverwrite_mode = 1\n'


def recorded(trace: dict[str, Any]) -> VirtualPhone:
    facts = dict(trace["model"])
    return virtual_phone(
        Named(trace["vendor"]), model(facts.pop("name"), **facts), trace["mac"], trace["firmware"]
    )


def once_each(requests: list[str]) -> list[str]:
    return list(dict.fromkeys(requests))


@pytest.mark.parametrize("trace", TRACES["whole"], ids=lambda trace: trace["name"])
async def test_a_boot_is_the_recorded_one(aiohttp_server: AiohttpServer, trace: dict[str, Any]) -> None:
    folder = await serve(aiohttp_server, trace["files"])
    boot = await recorded(trace).boot(folder.url)
    asked = once_each(folder.asked) if trace.get("each_once") else folder.asked
    assert asked == trace["requests"]
    assert [f"{exchange.method} {exchange.file}" for exchange in boot.exchanges] == folder.asked


@pytest.mark.parametrize("trace", TRACES["in_part"], ids=lambda trace: trace["name"])
async def test_a_boot_has_the_recorded_requests_in_their_order(
    aiohttp_server: AiohttpServer, trace: dict[str, Any]
) -> None:
    folder = await serve(aiohttp_server, trace["files"])
    phone = recorded(trace)
    for _ in range(trace.get("boots", 1)):
        folder.asked.clear()
        await phone.boot(folder.url)
    assert [request for request in folder.asked if request in trace["requests"]] == trace["requests"]


async def test_the_phone_names_itself_as_its_vendor_s_do(aiohttp_server: AiohttpServer) -> None:
    folder = await serve(aiohttp_server, {})
    await yealink().boot(folder.url)
    assert set(folder.user_agents) == {"Yealink SIP-T46S 66.86.0.15 80:5e:c0:aa:bb:cc"}
    folder.user_agents.clear()
    await polycom().boot(folder.url)
    application = "FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application"
    assert folder.user_agents[0] == "FileTransport PolycomVVX-VVX_500-UA/5.9.7.44775 Type/Updater"
    assert set(folder.user_agents[1:]) == {application}


async def test_a_good_folder_brings_a_phone_up_without_a_problem(aiohttp_server: AiohttpServer) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": BOOT, f"{MAC}.cfg": GOOD})
    boot = await yealink().boot(folder.url)
    assert (boot.problems, boot.came_up) == ((), True)
    assert [(exchange.status, exchange.bytes_received) for exchange in boot.exchanges] == [
        (200, len(BOOT)),
        (200, len(GOOD.replace("{url}", folder.url))),
    ]


@pytest.mark.parametrize("ending", ["", "/", "//"])
async def test_the_last_slash_of_the_address_makes_no_difference(
    aiohttp_server: AiohttpServer, ending: str
) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": BOOT, f"{MAC}.cfg": GOOD})
    assert (await yealink().boot(folder.url.rstrip("/") + ending)).came_up


async def chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(GOOD.encode())
    await response.write_eof()
    return response


async def compressed(request: web.Request) -> web.StreamResponse:
    response = web.Response(text=GOOD)
    response.enable_compression(web.ContentCoding.gzip)
    return response


async def redirecting(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def asking(request: web.Request) -> web.StreamResponse:
    return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})


async def failing(request: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<!DOCTYPE html><title>Not found</title>", content_type="text/html")


async def raw(request: web.Request, head: str) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{head}\r\nhello".encode())
    request.transport.close()
    return web.Response()


async def short(request: web.Request) -> web.StreamResponse:
    return await raw(request, "Content-Length: 500\r\n")


async def open_ended(request: web.Request) -> web.StreamResponse:
    return await raw(request, "")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (chunked, "the answer is chunked"),
        (compressed, "the answer is compressed"),
        (redirecting, "a redirect, which not every firmware follows"),
        (asking, "asks for credentials, which the phone may ask its user for"),
        (failing, "status 500, which makes the phone try again and again"),
        (page, "an HTML page with status 200"),
        (short, "the body ends before its Content-Length"),
        (open_ended, "the answer has no Content-Length"),
    ],
)
async def test_an_answer_that_firmware_may_not_read_is_named(
    aiohttp_server: AiohttpServer,
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    problem: str,
) -> None:
    folder = await serve(aiohttp_server, {f"{MAC}.boot": BOOT, f"{MAC}.cfg": answer})
    boot = await yealink().boot(folder.url)
    assert f"{MAC}.cfg: {problem}" in boot.problems


async def test_a_server_that_does_not_answer_is_a_problem_and_no_crash() -> None:
    boot = await yealink().boot(f"http://127.0.0.1:{free_port()}/p/{TOKEN}/")
    assert not boot.came_up
    assert {exchange.status for exchange in boot.exchanges} == {0}
    assert f"{MAC}.boot: no answer (ClientConnectorError)" in boot.problems


async def test_a_phone_that_is_sent_elsewhere_does_not_come_up(aiohttp_server: AiohttpServer) -> None:
    moved = GOOD.replace("{url}", "https://old.example.com/p/gone/")
    folder = await serve(aiohttp_server, {f"{MAC}.boot": BOOT, f"{MAC}.cfg": moved})
    phone = yealink()
    boot = await phone.boot(folder.url)
    assert not boot.came_up
    assert boot.problems == ("the address that the phone was told is not the one that it booted from",)
    assert phone.provisioning_url() == "https://old.example.com/p/gone/"


@pytest.mark.parametrize(
    ("asked", "told", "is_well"),
    [
        ("", "ppk1a2b3c/", True),
        ("ppk1a2b3c/", "ppk1a2b3c/", True),
        ("ppk1a2b3c/", "", True),
        ("ppk1a2b3c/", "ppk9z9z9z/", False),
        ("", "folder/", False),
        ("", "ppk1a2b3c/ppk9z9z9z/", False),
    ],
)
async def test_a_phone_may_be_told_an_address_of_its_own_beneath_and_the_one_above_again(
    aiohttp_server: AiohttpServer, asked: str, told: str, is_well: bool
) -> None:
    files = {f"{asked}{MAC}.boot": BOOT, f"{asked}{MAC}.cfg": GOOD.replace("{url}", f"{{url}}{told}")}
    folder = await serve(aiohttp_server, files)
    boot = await yealink().boot(folder.url + asked)
    assert boot.came_up is is_well
    assert boot.moves is (asked != told)


@pytest.mark.parametrize("missing", ["user_name", "password", "sip_server.1.address", "enable"])
async def test_a_phone_without_a_line_that_registers_does_not_come_up(
    aiohttp_server: AiohttpServer, missing: str
) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"account.1.{missing} ")]
    folder = await serve(aiohttp_server, {f"{MAC}.boot": BOOT, f"{MAC}.cfg": "\n".join(lines)})
    assert not (await yealink().boot(folder.url)).came_up


async def test_neither_token_nor_password_is_told_to_people(aiohttp_server: AiohttpServer) -> None:
    boot_file = f"#!version:1.0.0.1\ninclude:config <{{url}}{MAC}.cfg>\nnonsense {SIP_PASSWORD}\n"
    broken = GOOD + f"account.1.password = {SIP_PASSWORD}x\nnonsense {SIP_PASSWORD}\n"
    folder = await serve(aiohttp_server, {f"{MAC}.boot": boot_file, f"{MAC}.cfg": broken})
    phone = yealink()
    boot = await phone.boot(folder.url)
    assert len(boot.problems) == 3
    said = repr((boot, phone, phone.lines(), phone.keys(), phone.masked_settings()))
    assert TOKEN not in said
    assert "s3cr3t" not in said
    assert "428100" not in said
    assert [exchange.file for exchange in boot.exchanges] == [f"{MAC}.boot", f"{MAC}.cfg"]
    assert dict(phone.settings)["account.1.password"] == SIP_PASSWORD + "x"


def test_a_vendor_that_nobody_plays_is_not_found() -> None:
    with pytest.raises(NotFound, match="grandstream"):
        virtual_phone(Named("grandstream"), model("GXP2160"), MAC)


@pytest.mark.parametrize(
    ("digit_map", "number", "expected"),
    [
        ("911|933|[1-9]xxxT", "911", "at once"),
        ("911|933|[1-9]xxxT", "4201", "after timeout"),
        ("911|933|[1-9]xxxT", "0", "no match"),
        ("911|[1-9]xxx", "9112", "no match"),
        ("911|[1-9]xxx", "4201", "at once"),
        ("x.T", "5551234", "after timeout"),
        ("011xxx.T", "01144", "after timeout"),
        ("011xxx.T", "0114", "no match"),
        ("*xxT|[*#]x", "*1", "at once"),
        ("9,x.T", "95551234", "after timeout"),
    ],
)
def test_a_digit_map_dials_as_the_phone_would(digit_map: str, number: str, expected: str) -> None:
    assert dialled(digit_map, number) == expected
