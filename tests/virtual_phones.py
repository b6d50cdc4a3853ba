"""A tiny server with hand-written files, and phones that are told of no template."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pytest_aiohttp import AiohttpServer

from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone import VirtualPhone, virtual_phone

TOKEN = "ppt" + "7" * 39
MAC = "805ec0aabbcc"
SIP_PASSWORD = "s3cr3t&<x>#1"

Answer = str | bytes | Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Named:
    name: str


class Folder:
    """What lies under one provisioning URL, and who asked for what."""

    def __init__(self, files: Mapping[str, Answer]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []
        self.user_agents: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        self.asked.append(f"{request.method} {name}")
        self.user_agents.append(request.headers["User-Agent"])
        content = self.files.get(name)
        if callable(content):
            return await content(request)
        if request.method == "PUT":
            self.files[name] = await request.read()
            return web.Response(status=201)
        if content is None:
            return web.Response(status=404)
        body = content.replace("{url}", self.url) if isinstance(content, str) else content
        return web.Response(body=body, content_type="text/plain")


async def serve(aiohttp_server: AiohttpServer, files: Mapping[str, Answer]) -> Folder:
    """The folder, served; `{url}` in its texts is its own address."""
    folder = Folder(files)
    app = web.Application()
    app.router.add_route("*", f"/p/{TOKEN}/{{file:.*}}", folder.answer)
    folder.url = str((await aiohttp_server(app)).make_url(f"/p/{TOKEN}/"))
    return folder


def model(
    name: str, *, line_keys: int = 6, lines: int = 4, expansions: tuple[Expansion, ...] = (), **facts: Any
) -> Model:
    facts.setdefault("user_agent", [name.replace(" ", "_")])
    return Model(name, "made by hand", line_keys, lines, expansions, facts)


def yealink(
    name: str = "T46S",
    *,
    firmware: str = "66.86.0.15",
    expansions: tuple[Expansion, ...] = (Expansion("EXP20", 40, 6, frozenset({21})),),
    **facts: Any,
) -> VirtualPhone:
    facts.setdefault("common_cfg", "y000000000066.cfg")
    return virtual_phone(Named("yealink"), model(name, expansions=expansions, **facts), MAC, firmware)


def polycom(name: str = "VVX 500", **facts: Any) -> VirtualPhone:
    module = Expansion("VVX Color EM", 84, 3)
    return virtual_phone(Named("polycom"), model(name, expansions=(module,), **facts), MAC)
