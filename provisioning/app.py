"""The application, put together: what it holds, in which order that begins and ends, and its routes."""

import gc
import ssl
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from provisioning import boot, metrics, tls
from provisioning.anonymous import Anonymous
from provisioning.api import routes
from provisioning.bindings import Binder
from provisioning.boot_log import BootLog
from provisioning.config import Config
from provisioning.db import Database
from provisioning.direct import direct
from provisioning.dossiers import Dossiers
from provisioning.holdings import Holdings, edition
from provisioning.kept_files import KeptFiles
from provisioning.letter import Letters
from provisioning.opened import ensure_fits
from provisioning.parts import (
    ANONYMOUS,
    BINDER,
    BOOT_LOG,
    CONFIG,
    DATABASE,
    DIRECT,
    DOSSIERS,
    HOLDINGS,
    KEPT_FILES,
    PATIENCE,
    PHONE_CERTIFICATES,
    PLATFORM,
    PRUNER,
    RESYNC_SENDER,
    SENDER,
    STANDINGS,
    VAULT,
    VENDORS,
    rendering,
)
from provisioning.patience import Patience
from provisioning.phone_certificates import load_certificates
from provisioning.phones.options import platform
from provisioning.phones.vendor import load_vendors
from provisioning.pruning import Pruner, Rounds
from provisioning.resync_sender import Pace, ResyncSender
from provisioning.schedule import Schedule
from provisioning.sender import Sender
from provisioning.standings import Standings
from provisioning.vault import open_vault
from provisioning.web import routes as pages

_USUAL: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_app(
    config: Config,
    *,
    schedule: Schedule | None = None,
    rounds: Rounds | None = None,
    pace: Pace | None = None,
    patience: Patience | None = None,
) -> web.Application:
    app = web.Application(client_max_size=2 * 1024 * 1024)  # of a body for the API; phones have their own
    app[CONFIG] = config
    app[VENDORS] = load_vendors(config.templates)
    app[PLATFORM] = platform(config.platform_options)
    app[PHONE_CERTIFICATES] = (
        load_certificates(config.phone_cas, app[VENDORS]) if config.phone_cas is not None else None
    )
    app[VAULT] = open_vault(config.key_file)
    app[PATIENCE] = patience = patience or Patience()
    app[DATABASE] = Database(config.database_url, patience)
    app[DIRECT] = direct(config.database_url, patience)
    app[ANONYMOUS] = Anonymous()
    app[BOOT_LOG] = BootLog(app[DATABASE], app[DIRECT])
    app[PRUNER] = Pruner(app[DATABASE], rounds or Rounds())
    app[STANDINGS] = Standings(app[DIRECT], app[VAULT], patience)
    app[DOSSIERS] = Dossiers(app[DATABASE], app[DIRECT], app[VAULT], app[VENDORS])
    app[BINDER] = Binder(app[DATABASE])
    app[KEPT_FILES] = KeptFiles()
    app[HOLDINGS] = Holdings(app[VAULT], edition(app[VENDORS], app[PLATFORM], config.phones_url))
    letters = Letters(config.mail_sender, config.templates)
    app[SENDER] = Sender(app[DATABASE], config.relays, letters, schedule or Schedule())
    app[RESYNC_SENDER] = ResyncSender(app[DATABASE], app[VAULT], rendering(app), config.reach, pace or Pace())
    app.cleanup_ctx.append(_database)
    app.cleanup_ctx.append(_boot_log)  # after the database, so that it ends before it
    app.cleanup_ctx.append(_pruner)
    app.cleanup_ctx.append(_sender)
    app.cleanup_ctx.append(_resync_sender)
    app.on_response_prepare.append(_own_headers)
    boot.add_routes(app.router)
    routes.add_routes(app.router)
    pages.add_routes(app.router)
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics.answer)
    pages.add_missing(app.router)
    return app


async def settle(app: web.Application) -> None:
    """What every phone would wait for is done before serving begins, and otherwise less often."""
    for vendor in app[VENDORS].values():
        vendor.load_templates()
    # The collector leaves out what is there, and looks less often at entries of the boot log that wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


def serve_tls(app: web.Application, config: Config) -> ssl.SSLContext | None:
    """The context to serve https with, or None; while the app runs it follows the certificate's file."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    context = tls.context(config.tls_cert, config.tls_key)
    app.cleanup_ctx.append(tls.following(context, config))
    return context


async def health(request: web.Request) -> web.Response:
    """200 when the database answers, and phones are served so, whether it takes writes or not."""
    if not await metrics.database_answers(request.app):
        return web.json_response({"status": "the database does not answer"}, status=503)
    return web.json_response({"status": "ok"})


async def _database(app: web.Application) -> AsyncIterator[None]:
    await app[DATABASE].migrate()
    await ensure_fits(app[DATABASE], app[VAULT])
    yield
    await app[DIRECT].close()
    await app[DATABASE].close()


async def _boot_log(app: web.Application) -> AsyncIterator[None]:
    async with app[BOOT_LOG].running():
        yield


async def _pruner(app: web.Application) -> AsyncIterator[None]:
    async with app[PRUNER].running():
        yield


async def _sender(app: web.Application) -> AsyncIterator[None]:
    async with app[SENDER].running():
        yield


async def _resync_sender(app: web.Application) -> AsyncIterator[None]:
    async with app[RESYNC_SENDER].running():
        yield


async def _own_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    for name, value in _USUAL.items():
        response.headers.setdefault(name, value)
