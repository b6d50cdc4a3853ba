"""The listener at which phones show their certificates: phones' files are there, and nothing else is."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

from aiohttp import web

from provisioning import boot, tls
from provisioning.answer import Answer
from provisioning.config import Config
from provisioning.parts import IS_PHONES, PHONE_CERTIFICATES

_HANDSHAKE: Final = 10  # seconds
_DRAIN: Final = 8  # seconds; the other listener has had its own before


def listen(app: web.Application, config: Config, **where: Any) -> None:
    """While the app runs, phones are served where `where` says, as `loop.create_server` takes it.

    Over https where the server has a certificate; it asks for the phone's unless a proxy passes that on.
    """
    certificates = app[PHONE_CERTIFICATES]
    assert certificates is not None
    context: ssl.SSLContext | None = None
    if config.tls_cert is not None and config.tls_key is not None:
        context = tls.context(config.tls_cert, config.tls_key)
        if not config.phone_cert_header:
            tls.ask_phones(context, certificates.pem)

    async def serving(_app: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(
            _phones(app),
            access_log=None,  # it would hold the token of every request
            keepalive_timeout=15,  # seconds; it also bounds how slowly the headers may come
            shutdown_timeout=_DRAIN,
        )
        await runner.setup()
        assert runner.server is not None
        server = await asyncio.get_running_loop().create_server(
            runner.server,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE if context else None,
            backlog=1024,
            **where,
        )
        try:
            yield
        finally:
            server.close()
            await runner.cleanup()

    if context is not None:
        app.cleanup_ctx.append(tls.following(context, config))
    app.cleanup_ctx.append(serving)


def _phones(app: web.Application) -> web.Application:
    """Holds the same parts, and has no other routes than the phones'."""
    phones = web.Application()
    for key, part in app.items():
        phones[key] = part
    phones[IS_PHONES] = True
    boot.add_routes(phones.router)
    phones.router.add_route("*", "/{path:.*}", _nothing, expect_handler=boot.go_on)
    return phones


async def _nothing(_request: web.Request) -> Answer:
    return Answer(404, boot.TEXT, b"")
