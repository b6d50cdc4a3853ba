"""The command line: `provisioning serve` and the commands around it."""

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy.exc
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from provisioning import (
    accounts,
    activity,
    config,
    device_csv,
    devices,
    listener,
    rekey,
    restore_guard,
    samples,
    users,
)
from provisioning.accounts import General
from provisioning.app import make_app, serve_tls, settle
from provisioning.config import Config
from provisioning.connection import raise_file_limit
from provisioning.db import migrated
from provisioning.devices import Rendering
from provisioning.errors import Invalid, ProvisioningError, invalid
from provisioning.fields import Input, Mac, check
from provisioning.load import Loaded, add_account, load
from provisioning.log_lines import Once, Stderr, ensure_standard_files
from provisioning.opened import opened
from provisioning.phones.options import platform
from provisioning.phones.vendor import Vendor, load_vendors
from provisioning.virtual_phone import Boot, virtual_phone
from provisioning.workers import Workers


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; errors go to standard error, a line each, and the exit status is 1."""
    ensure_standard_files()
    options = _parser().parse_args(arguments)
    try:
        environment = config.from_environment(os.environ)
        _log_to_stderr(environment.log_level)
        status: int = options.run(environment, options)
        sys.stdout.flush()
    except Invalid as error:
        for fault in error.errors:
            print(f"error: {fault}", file=sys.stderr)
        return 1
    except ProvisioningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except sqlalchemy.exc.SQLAlchemyError as error:
        # Its text may hold a statement; the driver's own words are enough.
        print(
            f"error: PROVISIONING_DATABASE_URL: {getattr(error, 'orig', None) or type(error).__name__}",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does; nothing is left to be written at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(
            f"error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            file=sys.stderr,
        )
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="provisioning", description="A provisioning server for SIP desk phones"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="migrate the database, then serve phones")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8080, choices=range(1, 65536), metavar="PORT")
    serve.add_argument("--workers", type=int, default=1, choices=range(1, 65), metavar="N", help="processes")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to the newest schema")
    migrate.set_defaults(run=_migrate)

    account = commands.add_parser("account", help="make accounts").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add = account.add_parser("add", help="a new account with its first admin; prints JSON")
    add.add_argument("--name", required=True)
    add.add_argument("--email", required=True)
    add.add_argument("--timezone", default="America/New_York")
    add.add_argument("--password")
    add.set_defaults(run=_account_add)

    load_command = commands.add_parser("load", help="load or update an account from a TOML file; prints JSON")
    load_command.add_argument("file", type=Path)
    load_command.set_defaults(run=_load)

    demo = commands.add_parser("demo", help="load the sample account and print how to look at it")
    demo.set_defaults(run=_demo)

    rotate = commands.add_parser("rotate", help="make or replace the provisioning token; prints JSON")
    rotate.add_argument("--email", required=True, help="the account's email")
    rotate.set_defaults(run=_rotate)

    restore_guard.add_command(commands)
    rekey.add_command(commands)

    import_ = commands.add_parser(
        "import-devices", help="make or update devices from a CSV file; all or none"
    )
    import_.add_argument("file", type=Path)
    import_.add_argument("--email", required=True, help="the account's email")
    import_.set_defaults(run=_import_devices)

    sample = commands.add_parser("samples", help="write sample_configs/ again")
    sample.add_argument("--check", action="store_true", help="only tell what differs, and exit 1 if it does")
    sample.set_defaults(run=_samples)

    verify = commands.add_parser("verify-activity", help="check that the activity log is whole and unchanged")
    verify.add_argument("--account", metavar="ID", help="one account's log; without it, all")
    verify.set_defaults(run=_verify_activity)

    boot = commands.add_parser("boot", help="boot a virtual phone against a provisioning URL")
    boot.add_argument("url")
    boot.add_argument("--mac", required=True)
    boot.add_argument("--vendor")
    boot.add_argument("--model")
    boot.add_argument("--cert", type=Path, metavar="FILE", help="the phone's own certificate, PEM")
    boot.add_argument("--key", type=Path, metavar="FILE", help="and its key; without it, in the same file")
    boot.add_argument("--next-url", metavar="URL", help="the staged one, which the phone may be told")
    boot.add_argument("--reveal", action="store_true", help="show passwords and the URL among the settings")
    boot.set_defaults(run=_boot)
    return parser


def _serve(environment: Config, options: argparse.Namespace) -> int:
    raise_file_limit()
    phones = environment.phone_port
    if phones == options.port:
        raise invalid("PROVISIONING_PHONE_PORT", "is the port of --port: phones' certificates need another")
    if options.workers == 1:
        at = {"host": options.host, "port": phones} if phones else None
        _run_server(environment, phones=at, host=options.host, port=options.port)
        return 0
    make_app(environment)  # what cannot work is said once
    asyncio.run(_open(environment))

    supervisor = os.getpid()

    def serve(listening: Sequence[socket.socket], ready: Callable[[], object]) -> None:
        # A worker that takes another's place reads anew what an operator may have changed.
        load_vendors.cache_clear()
        sock, *others = listening
        at = {"sock": others[0]} if others else None
        environment = config.from_environment(os.environ)
        _run_server(environment, ready, supervisor=supervisor, phones=at, sock=sock)

    ports = [options.port, *([phones] if phones else [])]
    Workers(serve, options.host, ports, options.workers).run()
    return 0


def _run_server(
    environment: Config,
    ready: Callable[[], object] | None = None,
    *,
    supervisor: int = 0,
    phones: Mapping[str, Any] | None,
    **where: Any,
) -> None:
    """`phones` says where phones show their certificates, if they do."""
    app = make_app(environment)
    context = serve_tls(app, environment)
    if phones is not None:
        listener.listen_for_phones(app, environment, **phones)
    app.on_startup.append(settle)
    if ready:

        async def supervised(_app: web.Application) -> AsyncIterator[None]:
            ready()
            task = asyncio.create_task(_end_without(supervisor))
            yield
            task.cancel()

        app.cleanup_ctx.append(supervised)  # the last: all the others have begun
    listener.serve(app, context, **where)


async def _end_without(supervisor: int) -> None:
    """A worker whose supervisor was killed would serve on with nobody to end it."""
    while os.getppid() == supervisor:  # noqa: ASYNC110  # of which no event tells
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


async def _open(environment: Config) -> None:
    async with opened(environment):
        pass


def _migrate(environment: Config, _options: argparse.Namespace) -> int:
    async def run() -> None:
        async with migrated(environment.database_url):
            pass

    asyncio.run(run())
    return 0


def _account_add(environment: Config, options: argparse.Namespace) -> int:
    if options.password is not None and len(options.password) < users.SHORTEST:
        raise invalid("--password", f"must have {users.SHORTEST} characters or more")
    general = check(General, {"name": options.name, "email": options.email, "timezone": options.timezone})

    async def run() -> Loaded:
        async with opened(environment) as (database, vault), database.write() as session:
            return await add_account(session, vault, general, options.password)

    _print_json(asyncio.run(run()))
    return 0


def _load(environment: Config, options: argparse.Namespace) -> int:
    loaded = asyncio.run(_load_text(environment, _text(options.file)))
    _print_json(loaded)
    return 0


def _demo(environment: Config, _options: argparse.Namespace) -> int:
    text = samples.account_file().read_text("utf-8")
    loaded = asyncio.run(_load_text(environment, text, new_password=True))
    print("The demo account is loaded.\n")
    print(f"Provisioning URL  {loaded.provisioning_url}")
    print(f"Login             {loaded.email}  password {loaded.password}")
    print(f"Pages             {environment.base_url}/settings\n")
    print("With the server running (provisioning serve), fetch a Yealink's file and a Polycom's:\n")
    for file in samples.SHOWN:
        print(f"  curl {loaded.provisioning_url}{file}")
    print("\nor boot a whole phone:\n")
    print(f"  {sys.argv[0]} boot {loaded.provisioning_url} --mac {samples.SHOWN[0][:12]} --model T54W\n")
    return 0


def _rotate(environment: Config, options: argparse.Namespace) -> int:
    async def run() -> dict[str, object]:
        async with opened(environment) as (database, vault), database.write() as session:
            account = await _account(session, options.email)
            first = await tokens.current(session, vault, account) is None
            change = tokens.generate if first else tokens.rotate
            token = await change(session, vault, account, actor="system")
            await activity.record(
                session,
                account,
                "token.generate" if first else "token.rotate",
                "account",
                actor="system",
                detail={"generation": token.generation},
            )
            url = devices.provisioning_url(environment.phones_url, token.text)
            return {"account_id": account, "generation": token.generation, "provisioning_url": url}

    print(json.dumps(asyncio.run(run()), indent=2))
    return 0


def _import_devices(environment: Config, options: argparse.Namespace) -> int:
    text, rendering = _text(options.file), _rendering(environment)

    async def run() -> device_csv.Imported:
        async with migrated(environment.database_url) as database, database.write() as session:
            account = await _account(session, options.email)
            done = await device_csv.import_(session, rendering, account, text, progress=_progress)
            await activity.record(
                session,
                account,
                "device.import",
                "device",
                actor="system",
                detail={"created": done.created, "updated": done.updated},
            )
            return done

    done = asyncio.run(run())
    print(f"{done.created} devices made, {done.updated} updated")
    return 0


def _progress(done: int, of: int) -> None:
    """One line on standard error that counts, every 100 devices."""
    if done % 100 == 0 or done == of:
        print(f"\r{done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)


async def _account(session: AsyncSession, email: str) -> str:
    account = await accounts.find(session, email)
    if account is None:
        raise invalid("--email", "there is no account with this email")
    return account.id


def _samples(_environment: Config, options: argparse.Namespace) -> int:
    files = asyncio.run(samples.sample_files())
    if options.check:
        differences = samples.differences(files)
        print("\n".join(differences) or "sample_configs is what the phones receive")
        return 1 if differences else 0
    samples.write(files)
    print(f"{len(files)} files written to {samples.FOLDER}")
    return 0


def _boot(environment: Config, options: argparse.Namespace) -> int:
    mac = check(_Mac, {"mac": options.mac}).mac
    vendor = _vendor(load_vendors(environment.templates), options.vendor, mac)
    model = vendor.models.get(options.model or vendor.data["usual_model"])
    if model is None:
        raise invalid("--model", f"must be one of {', '.join(vendor.models)}")
    phone = virtual_phone(vendor, model, mac)
    certificate = _certificate(options.cert, options.key)

    async def run() -> Boot:
        connector = aiohttp.TCPConnector(ssl=certificate, force_close=True)
        return await phone.boot(options.url, staged_url=options.next_url, connector=connector)

    boot = asyncio.run(run())
    for exchange in boot.exchanges:
        size = exchange.bytes_sent if exchange.method in {"PUT", "POST"} else exchange.bytes_received
        print(f"{exchange.method:4} {exchange.status} {size:>7} bytes  {exchange.file}")
    settings = phone.settings if options.reveal else phone.masked_settings()
    print(f"\n{vendor.title} {model.name} now holds {len(settings)} settings:")
    for name, value in settings:
        print(f"  {name} = {value}")
    for problem in boot.problems:
        print(f"problem: {problem}")
    print("The phone came up." if boot.came_up else "The phone did NOT come up.")
    return 0 if boot.came_up else 1


def _certificate(cert: Path | None, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if key is not None and cert is None:
        raise invalid("--key", "goes with --cert")
    if cert is not None:
        try:
            context.load_cert_chain(cert, key, password="")  # and nobody is asked for one
        except ssl.SSLError:
            raise invalid("--cert", "holds no certificate, or there is no key that fits it") from None
    return context


def _verify_activity(environment: Config, options: argparse.Namespace) -> int:
    async def run() -> str | None:
        async with migrated(environment.database_url) as database, database.read() as session:
            return await activity.verify(session, options.account)

    broken = asyncio.run(run())
    print(f"The activity log is broken at {broken}." if broken else "The activity log is whole.")
    return 1 if broken else 0


class _Mac(Input):
    mac: Mac


def _vendor(vendors: Mapping[str, Vendor], name: str | None, mac: str) -> Vendor:
    if name is not None and name not in vendors:
        raise invalid("--vendor", f"must be one of {', '.join(vendors)}")
    found = vendors[name] if name else next((v for v in vendors.values() if mac[:6] in v.ouis), None)
    if found is None:
        raise invalid("--vendor", "cannot be told from this MAC address: name it")
    return found


async def _load_text(environment: Config, text: str, *, new_password: bool = False) -> Loaded:
    rendering = _rendering(environment)
    async with opened(environment) as (database, vault), database.write() as session:
        loaded = await load(session, vault, rendering, text)
        if new_password and loaded.password is None:
            password = users.make_password()
            await users.set_password(session, loaded.account_id, loaded.email, password)
            loaded = replace(loaded, password=password)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return loaded


def _rendering(environment: Config) -> Rendering:
    return Rendering(
        load_vendors(environment.templates),
        platform(environment.platform_options),
        environment.phones_url,
        datetime.now(UTC).date(),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(str(file), str(getattr(error, "strerror", "is not UTF-8"))) from None


def _print_json(loaded: Loaded) -> None:
    """Without `provisioning_url` where none was generated."""
    shown = {name: value for name, value in asdict(loaded).items() if name != "warnings"}
    if loaded.provisioning_url is None:
        del shown["provisioning_url"]
    print(json.dumps(shown, indent=2))


def _log_to_stderr(level: str) -> None:
    """Logs to standard error; a token that some library puts into a message is cut off."""
    handler = Stderr()
    handler.addFilter(Once())
    handler.setFormatter(_Redacted("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)  # at DEBUG it logs the values of statements
    threading.excepthook = _thread_ended
    # It logs requests that are no HTTP with all that they hold: a token, an API key.
    logging.getLogger("aiohttp.server").disabled = True


def _thread_ended(end: threading.ExceptHookArgs) -> None:
    """A driver's thread that outlives the loop has nobody to tell, and its traceback may hold secrets."""
    logging.getLogger(__name__).debug("a thread ended with %s", end.exc_type.__name__)


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return tokens.redact(super().format(record))
