"""A phone's request: token, device, file, answer. Every refusal looks the same; the boot log says why."""

import asyncio
import functools
import hashlib
import hmac
import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

import sqlalchemy.exc
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

import tokens
from provisioning import bindings, gathering, holdings, revisions, second_factor, test_boot, uploads
from provisioning.answer import TEXT, Answer
from provisioning.boot_log import Entry, Verdict
from provisioning.devices import Device, Vendors, provisioning_url
from provisioning.dossiers import Dossier, Next
from provisioning.errors import RenderError
from provisioning.fields import colons
from provisioning.http import client_address, client_scheme
from provisioning.kept_files import KeptFile
from provisioning.parts import (
    BINDER,
    BOOT_LOG,
    CONFIG,
    DATABASE,
    DOSSIERS,
    HOLDINGS,
    KEPT_FILES,
    PATIENCE,
    PHONE_CERTIFICATES,
    STANDINGS,
    VAULT,
    VENDORS,
    rendering,
)
from provisioning.phones.phone import Phone
from provisioning.phones.vendor import Claim, File, Vendor, claimed, split_mac
from provisioning.refusal import Refused, until_its_moment
from provisioning.sightings import Held
from provisioning.standings import Standing
from provisioning.virtual_phone import REASON
from tokens import Resolved

_UPLOAD_SECONDS: Final = 30
_REMEMBERED: Final = 4096  # texts that strangers sent, each of 8 KB at most
Found = TypeVar("Found", Standing, Resolved)
_NO_DEVICE: Final = "no device of this account has this MAC address"
_ALARM: Final = (
    "so many such asked that the URL may have leaked: of each one request a minute is here, at most"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a path names: a token, at a URL of a phone's own its key, and a file, which for a phone's own is
    its MAC and a suffix."""

    token: str
    key: str
    file: str
    printable: str
    mac: str | None
    suffix: str


def add_routes(router: web.UrlDispatcher) -> None:
    router.add_route("*", "/{path:/*p(/.*)?}", answer, expect_handler=go_on)


async def go_on(request: web.Request) -> None:
    """Says "100 Continue" to whom waits for it; aiohttp's own would refuse any other Expect with a 417."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def answer(request: web.Request) -> Answer:
    """The whole road of a boot; whatever happens, one entry of the boot log and one plain answer."""
    app, came = request.app, asyncio.get_running_loop().time()
    asked = read_path(request.raw_path.partition("?")[0])
    entry = Entry(
        time=datetime.now(UTC),
        method=request.method,
        file=asked.printable,
        ip=client_address(request, app[CONFIG].trusted_proxies),
        user_agent=_printable(request.headers.get("User-Agent", "")),
        mac=asked.mac,
        scheme=client_scheme(request, app[CONFIG].trusted_proxies),
    )
    body, content_type = b"", TEXT
    try:
        if request.method in {"GET", "HEAD"}:
            file = await _fetch(request, asked, entry, came)
            body, content_type = file.content, file.content_type
        elif request.method in {"PUT", "POST"}:
            await _store(request, asked, entry)
        else:
            raise Refused(Verdict.FILE_UNKNOWN, f"phones do not ask with {request.method}")
    except Refused as refusal:
        entry.verdict, entry.reason, entry.status = refusal.verdict, refusal.reason, 404
    except RenderError as error:
        entry.verdict, entry.reason, entry.status = Verdict.RENDER_ERROR, str(error), 500
    except (sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError) as error:
        entry.verdict, entry.reason = Verdict.UNAVAILABLE, f"the database: {type(error).__name__}"
        entry.status = 503
    except Exception as error:
        # Its text may hold what it was about, a password say; the name of its kind is enough to begin with.
        entry.verdict, entry.reason, entry.status = Verdict.RENDER_ERROR, type(error).__name__, 500
    entry.bytes = len(body)
    said = Answer(entry.status, content_type, body)
    if _is_test(request, asked):
        said.say(REASON, entry.reason)
    elif entry.verdict is not Verdict.TOKEN_UNKNOWN or tokens.is_well_formed(asked.token):
        app[BOOT_LOG].add(entry)  # of junk nobody could see the row, and a flood of it fills no disk
    if entry.status == 404:
        await until_its_moment(came)
    return said


def _is_test(request: web.Request, asked: Asked) -> bool:
    """Whether it is no phone's, but of a test boot that this server makes."""
    mark = request.headers.get(test_boot.HEADER)
    return mark is not None and test_boot.is_marked(request.app[VAULT], asked.token, mark)


@functools.lru_cache(_REMEMBERED)
def read_path(raw_path: str) -> Asked:
    """The raw path taken apart. A `%` is never decoded: no name that a phone asks for holds one."""
    parts = [part for part in raw_path.split("/") if part]
    token = parts[1] if len(parts) > 1 and parts[0] == "p" else ""
    key = parts[2] if len(parts) > 2 and parts[2].startswith(tokens.KEY_PREFIX) else ""
    file = "/".join(parts[3 if key else 2 :])
    own = split_mac(file)
    return Asked(token, key, file, _printable(file), *(own or (None, "")))


async def _fetch(request: web.Request, asked: Asked, entry: Entry, came: float) -> KeptFile:
    """From memory only what a look that began after the request says is still right."""
    app = request.app
    _ensure_key_is_one(asked)
    standing = _current(await app[STANDINGS].of(asked.token), entry)
    _ensure_certificate(request, asked, entry)
    kept = app[KEPT_FILES].get(_key(entry, standing.revision, asked, asked.file))
    if kept is None:
        async with asyncio.timeout_at(came + app[PATIENCE].phone):
            await _refuse_strangers(app, standing, entry)
            kept = await _make(app, asked, entry, is_test=_is_test(request, asked))
    elif kept.device:
        _note_device(app[VENDORS], kept.device, entry)
    entry.verdict, entry.status, entry.config_hash = Verdict.SERVED, 200, kept.config_hash
    entry.held, entry.told = kept.held, kept.told
    return kept


async def _make(app: web.Application, asked: Asked, entry: Entry, *, is_test: bool) -> KeptFile:
    """The file of one moment of the database: what belongs together was written together."""
    while True:
        dossier = await _dossier(app, asked, entry)
        kept, is_upload = _made(app, dossier, asked, entry)
        if kept.told is None or (dossier.next and dossier.next.is_told):
            break
        # The first file that names the next URL: before any phone can read it, that is where whoever cancels
        # the rotation looks. Then all is read again, since he may have been faster.
        async with app[DATABASE].write() as session:
            await tokens.note_told(session, dossier.standing.account_id, kept.told)
    if not is_test:
        await _bind(app, dossier, asked)
    if not is_upload and _may_be_kept(app, dossier, asked):
        app[KEPT_FILES].put(_key(entry, dossier.standing.revision, asked, asked.file), kept)
    return kept


def _made(app: web.Application, dossier: Dossier, asked: Asked, entry: Entry) -> tuple[KeptFile, bool]:
    """The file, and whether it is one that the phone wrote."""
    made = rendering(app, entry.time.date())
    staged = dossier.next.token if dossier.next else None
    if asked.mac is None:
        name = asked.file.lower()
        vendor, file = _shared_file(app[VENDORS], name)
        key = asked.key if dossier.shared.account.bind_phones else ""
        url = provisioning_url(made.base_url, asked.token, key)
        staged_url = provisioning_url(made.base_url, staged) if staged else None
        site = gathering.site(made, dossier.shared.account, vendor, name, url, staged_url)
        return _kept(vendor.render(file, site), file, None, dossier.next), False
    device = _device(app, dossier, entry)
    _ensure_is_its_url(app, asked, device, device.opening, _binds(app, dossier) and dossier.is_bound)
    file = _file(app[VENDORS], device, asked.suffix)
    if file.template is None:
        return _kept(_uploaded(app, dossier, device, asked), file, device), True
    addresses = gathering.addresses(made, app[VAULT], dossier.shared.account, device, asked.token, staged)
    phone = gathering.assemble(made, dossier.shared, device, dossier.held, dossier.written, *addresses)
    if not file.exists_for(phone):
        raise Refused(Verdict.FILE_ABSENT, f"the phone option {file.needs} is not set")
    kept = _kept(app[VENDORS][device.vendor].render(file, phone), file, device, dossier.next)
    if file.main:
        kept = replace(kept, held=_held(app, asked, entry, dossier, device, phone, kept))
    return kept, False


def _held(
    app: web.Application,
    asked: Asked,
    entry: Entry,
    dossier: Dossier,
    device: Device,
    phone: Phone,
    main: KeptFile,
) -> Held | None:
    """What the phone holds with its main file: its others are made now, too, since it asks for them next.
    None when one of them cannot be made."""
    vendor, files, hashes = app[VENDORS][device.vendor], app[KEPT_FILES], dict[str, str]()
    revision, may_be_kept = dossier.standing.revision, _may_be_kept(app, dossier, asked)
    try:
        for suffix, file in vendor.own_files(phone):
            if file.main:
                hashes[suffix] = main.config_hash
            elif file.element and phone.contacts:
                hashes[suffix] = _kept(
                    vendor.render(file, replace(phone, contacts=())), file, None
                ).config_hash
            else:
                key = _key(entry, revision, asked, phone.mac + suffix)
                made = files.get(key) or _kept(vendor.render(file, phone), file, device, dossier.next)
                # Of one that names the next URL it is to be noted first.
                if made.told is None and may_be_kept:
                    files.put(key, made)
                hashes[suffix] = made.config_hash
    except RenderError:
        return None
    return Held(revision, app[HOLDINGS].edition, holdings.digest(hashes))


async def _dossier(app: web.Application, asked: Asked, entry: Entry) -> Dossier:
    dossier = await app[DOSSIERS].of(asked.token, asked.mac, asked.suffix)
    if dossier is None:
        raise _unknown()
    _current(dossier.standing, entry)
    return dossier


def _uploaded(app: web.Application, dossier: Dossier, device: Device, asked: Asked) -> bytes:
    if asked.suffix not in dossier.written:
        raise Refused(Verdict.FILE_ABSENT, "the phone has not uploaded this file yet")
    key = _own_key(app, asked, device, device.opening) if _binds(app, dossier) else ""
    return tokens.put_in(dossier.written[asked.suffix], asked.token, key)


def _key(entry: Entry, revision: int, asked: Asked, file: str) -> Hashable:
    """All that the content of a file follows from, and the key of the URL, which is good for who it was good
    for then."""
    return entry.account_id, entry.generation, revision, entry.time.toordinal(), asked.key, file


def _kept(content: bytes, file: File, device: Device | None, following: Next | None = None) -> KeptFile:
    told = following.generation if following and following.token.encode() in content else None
    return KeptFile(content, file.content_type, hashlib.sha256(content).hexdigest(), device, told)


def _shared_file(vendors: Vendors, name: str) -> tuple[Vendor, File]:
    for vendor in vendors.values():
        if file := vendor.shared_file(name):
            return vendor, file
    raise Refused(Verdict.FILE_UNKNOWN, "no vendor's phone has a file of this name here")


async def _store(request: web.Request, asked: Asked, entry: Entry) -> None:
    """Keeps what the phone uploads. The token is looked at again in the transaction that writes, so that
    an upload which a rotation overtakes is refused."""
    app = request.app
    async with asyncio.timeout(app[PATIENCE].phone):
        _ensure_key_is_one(asked)
        standing = _current(await app[STANDINGS].of(asked.token), entry)
        _ensure_certificate(request, asked, entry)
        await _refuse_strangers(app, standing, entry)
        dossier = await _dossier(app, asked, entry)
        device = _device(app, dossier, entry)
    _ensure_is_its_url(app, asked, device, device.opening, _binds(app, dossier) and dossier.is_bound)
    file = _file(app[VENDORS], device, asked.suffix)
    if file.upload is None:
        raise Refused(Verdict.FILE_UNKNOWN, "the phone may not write this file")
    try:
        content = await _body(request)
    except (web.RequestPayloadError, ConnectionError, TimeoutError):
        entry.verdict, entry.reason, entry.status = Verdict.BROKEN, "the upload broke off", 400
        return
    if content is None:
        entry.verdict, entry.reason, entry.status = Verdict.TOO_LARGE, f"over {uploads.MOST} bytes", 413
        return
    if _is_test(request, asked):  # the phone's own stays
        entry.verdict, entry.status = Verdict.STORED, 201
        return
    async with app[DATABASE].write() as session:
        _current(await tokens.resolve(session, app[VAULT], asked.token), entry)
        await _ensure_is_still_its_url(session, app, dossier, asked)
        # What a phone tells of its URL must not bring a rotated token back, nor keep one in the clear.
        content = tokens.take_out(content)
        write = uploads.append if file.upload == "append" else uploads.replace
        await write(session, device.id, asked.suffix, content)
        if file.element:  # what is in it comes back in a file of ours
            await revisions.bump(session, device.account_id)
        if _is_to_be_bound(app, dossier, asked):
            await bindings.put(session, (device.id, device.mac, dossier.standing.generation, device.opening))
    entry.verdict, entry.reason, entry.status = Verdict.STORED, f"{len(content)} bytes", 201


def _ensure_certificate(request: web.Request, asked: Asked, entry: Entry) -> None:
    """Refuses, where phones are to show certificates, whoever shows none of this phone's. It follows the look
    at the token, so that the reason reaches the account. For a file that phones share, the certificate of any
    phone of its vendor is enough."""
    certificates = request.app[PHONE_CERTIFICATES]
    if certificates is None or _is_test(request, asked):
        return
    holder = second_factor.holder(request, certificates, entry.time)
    if asked.mac is None:
        vendor, _ = _shared_file(request.app[VENDORS], asked.file.lower())
        if vendor.name != holder.vendor:
            raise Refused(Verdict.CERTIFICATE_REFUSED, "the certificate is of another vendor's phone")
    elif holder.mac != asked.mac:
        whose = colons(holder.mac)
        raise Refused(Verdict.CERTIFICATE_REFUSED, f"the certificate is of another phone, {whose}")


def _unknown() -> Refused:
    return Refused(Verdict.TOKEN_UNKNOWN, "the URL holds no token of this server")


def _current(found: Found | None, entry: Entry) -> Found:
    """What was found of a token, which is refused unless it is the account's current one."""
    if found is None:
        raise _unknown()
    entry.account_id, entry.generation = found.account_id, found.generation
    if found.state == "staged":
        raise Refused(Verdict.TOKEN_STAGED, "the next URL, which is not live until the rotation is committed")
    if found.retired_at:
        since = found.retired_at.isoformat(timespec="seconds")
        raise Refused(Verdict.TOKEN_ROTATED, f"the URL was rotated out at {since} by {found.retired_by}")
    return found


def _binds(app: web.Application, dossier: Dossier) -> bool:
    """Whether the phone is served at a URL of its own alone, once it has asked there."""
    shared, device = dossier.shared, dossier.device
    return device is not None and gathering.binds(rendering(app), shared.account, device)


def _ensure_key_is_one(asked: Asked) -> None:
    """Of what no server can have made nobody looks whose it is."""
    if asked.key and not tokens.is_key(asked.key):
        raise Refused(Verdict.TOKEN_UNKNOWN, "the URL holds no key of this server, or one that is mistyped")


def _own_key(app: web.Application, asked: Asked, device: Device, opening: int) -> str:
    return tokens.key(app[VAULT], asked.token, device.mac, opening)


def _ensure_is_its_url(
    app: web.Application, asked: Asked, device: Device, opening: int, is_bound: bool
) -> None:
    """Refuses a key that is not the phone's, and once it is bound the URL that all phones share."""
    if asked.key:
        own = _own_key(app, asked, device, opening)
        if not hmac.compare_digest(asked.key.encode(), own.encode()):
            raise Refused(
                Verdict.KEY_UNKNOWN, "the URL is one of another phone, or of this one before it was re-opened"
            )
    elif is_bound:
        raise Refused(
            Verdict.BOUND, "the phone is bound to a URL of its own; if it was reset or replaced, re-open it"
        )


async def _ensure_is_still_its_url(
    session: AsyncSession, app: web.Application, dossier: Dossier, asked: Asked
) -> None:
    """As it is in the transaction that writes: an upload takes its time."""
    device, generation = dossier.device, dossier.standing.generation
    assert device
    found = (await bindings.of(session, [device.id], generation)).get(device.id)
    if found is None:
        raise Refused(Verdict.MAC_UNKNOWN, _NO_DEVICE)
    is_bound = _binds(app, dossier) and found.bound_at is not None
    _ensure_is_its_url(app, asked, device, found.opening, is_bound)


def _is_to_be_bound(app: web.Application, dossier: Dossier, asked: Asked) -> bool:
    """Whether this request is the first that shows that the phone has stored the URL of its own, and so will
    ask there again. It shows so with a file that begins a boot; what else its files name it may fetch before
    it has stored anything."""
    if dossier.device is None or not asked.key or dossier.is_bound or not _binds(app, dossier):
        return False
    return asked.suffix in app[VENDORS][dossier.device.vendor].begins


async def _bind(app: web.Application, dossier: Dossier, asked: Asked) -> None:
    """Before the answer leaves, whose key the URL holds is bound to it, for every server."""
    device = dossier.device
    if device and _is_to_be_bound(app, dossier, asked):
        await app[BINDER].bind(device.id, device.mac, dossier.standing.generation, device.opening)


def _may_be_kept(app: web.Application, dossier: Dossier, asked: Asked) -> bool:
    """Not before it is bound: another server may bind it, and memory here would not know."""
    return not _binds(app, dossier) or (bool(asked.key) and dossier.is_bound)


async def _refuse_strangers(app: web.Application, standing: Standing, entry: Entry) -> None:
    """While a leak alarm is on, who is no device of the account costs no look of its own."""
    if entry.mac and not await app[BOOT_LOG].strangers.may_be_known(
        standing.account_id, standing.generation, standing.revision, entry.mac
    ):
        raise Refused(Verdict.MAC_UNKNOWN, f"{_NO_DEVICE}; {_ALARM}")


def _device(app: web.Application, dossier: Dossier, entry: Entry) -> Device:
    if entry.mac is None:
        raise Refused(Verdict.FILE_UNKNOWN, "the file belongs to no phone")
    if dossier.device is None:
        raise Refused(Verdict.MAC_UNKNOWN, _NO_DEVICE)
    _note_device(app[VENDORS], dossier.device, entry)
    return dossier.device


def _file(vendors: Vendors, device: Device, suffix: str) -> File:
    vendor = vendors[device.vendor]
    model = vendor.models.get(device.model)
    file = vendor.file(suffix, model) if model else None
    if file is None:
        raise Refused(Verdict.FILE_UNKNOWN, f"a {vendor.title} {device.model} has no file of this name here")
    return file


def _note_device(vendors: Vendors, device: Device, entry: Entry) -> None:
    """Notes where the User-Agent speaks of another phone than the path does. It proves nothing."""
    entry.device_id = device.id
    if claim := claimed(vendors, entry.user_agent):
        entry.firmware = claim.firmware
        entry.reason = "; ".join(_differences(device, claim))


def _differences(device: Device, claim: Claim) -> list[str]:
    pairs = (
        ("vendor", claim.vendor, device.vendor),
        ("model", claim.model, device.model),
        ("MAC", claim.mac, device.mac),
    )
    return [
        f"the phone says {name} {said}, not {ours}" for name, said, ours in pairs if said not in (None, ours)
    ]


async def _body(request: web.Request) -> bytes | None:
    """The body, or None when it is larger than a phone may upload."""
    if (request.content_length or 0) > uploads.MOST:
        return None
    content = bytearray()
    async with asyncio.timeout(_UPLOAD_SECONDS):
        async for chunk in request.content.iter_any():
            content += chunk
            if len(content) > uploads.MOST:
                return None
    return bytes(content)


@functools.lru_cache(_REMEMBERED)
def _printable(text: str) -> str:
    """At most 255 characters of what a stranger sent, fit for a log: no token, no control characters."""
    return re.sub(r"[^\x20-\x7e]", "?", tokens.redact(text))[:255]
