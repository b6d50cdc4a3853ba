"""Where a phone is asked to look for new settings: through its SIP server, or at its last address."""

import ipaddress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import accounts, devices, extensions, sightings
from provisioning.devices import Device, Rendering
from provisioning.errors import Conflict, invalid
from provisioning.extensions import Extension
from provisioning.phones.options import Options, resolve
from provisioning.reach import Reach
from provisioning.resyncs import Via
from provisioning.sip.channel import Target
from provisioning.sip.digest import Credentials
from provisioning.sip.message import uri
from provisioning.sip.notify import Notify
from provisioning.vault import Vault

_PORT = 5060


@dataclass(frozen=True, slots=True)
class Aim:
    """`extension_id` is whose password answers a challenge; None where none is to be answered."""

    notify: Notify
    extension_id: str | None


async def aim(
    session: AsyncSession,
    rendering: Rendering,
    reach: Reach,
    account_id: str,
    device_id: str,
    *,
    reboot: bool,
    via: Via | None,
) -> Aim:
    """Raises `Conflict` when the phone cannot be asked, and `Invalid` when it knows no such wish."""
    device = await devices.get(session, account_id, device_id)
    event = _event(rendering, device, reboot=reboot)
    if reach.mode == "off":
        raise Conflict("resync is turned off on this server (PROVISIONING_RESYNC)")
    account = await accounts.get(session, account_id)
    options = resolve(rendering.platform, account.options, device.options)
    found = await extensions.of(session, account_id, device.lines[:1])
    line = found[device.lines[0]] if device.lines else None
    if via != "address" and line and options.sip_server:
        return _through_server(options, line, event)
    if via == "server":
        what = "has no line" if line is None else "has no SIP server"
        raise Conflict(f"the phone {what}, so no switch knows it")
    return await _at_address(session, rendering, reach, device, options, line, event)


async def with_password(session: AsyncSession, vault: Vault, account_id: str, aim: Aim) -> Notify:
    """The NOTIFY as it is sent. Here alone a password is opened."""
    if aim.extension_id is None:
        return aim.notify
    ((line, password),) = await extensions.with_passwords(session, vault, account_id, [aim.extension_id])
    return replace(aim.notify, credentials=Credentials(line.sip_username, password))


def _event(rendering: Rendering, device: Device, *, reboot: bool) -> str:
    vendor = rendering.vendors.get(device.vendor)
    events = vendor.resync if vendor else {}
    if vendor is None or "check" not in events:
        raise Conflict(f"phones of {vendor.title if vendor else device.vendor} know no resync")
    if reboot and "reboot" not in events:
        raise invalid("reboot", f"phones of {vendor.title} cannot be told to restart")
    return events["reboot" if reboot else "check"]


def _through_server(options: Options, line: Extension, event: str) -> Aim:
    """To the registrar, or the proxy before it, which knows where the phone is."""
    assert options.sip_server and options.sip_domain and options.sip_port
    # What phones find by DNS (NAPTR, SRV) is not looked up here.
    transport = options.sip_transport if options.sip_transport in {"tcp", "tls"} else "udp"
    host, port = options.sip_server, options.sip_port
    if options.outbound_proxy:
        host, _, own = options.outbound_proxy.partition(":")
        port = int(own) if own else 5061 if transport == "tls" else _PORT
    trust = options.transport_trust or "public"
    target = Target(host, port, transport, trust, options.transport_ca)
    phone = uri(options.sip_domain.removesuffix("."), user=line.sip_username)
    return Aim(Notify(phone, phone, event, target, through=bool(options.outbound_proxy)), line.id)


async def _at_address(
    session: AsyncSession,
    rendering: Rendering,
    reach: Reach,
    device: Device,
    options: Options,
    line: Extension | None,
    event: str,
) -> Aim:
    if reach.mode == "server":
        raise Conflict("phones are asked through their SIP server alone on this server (PROVISIONING_RESYNC)")
    seen = (await sightings.of(session, device.account_id, [device.mac])).get(device.mac)
    if seen is None or seen.fetched_ip is None:
        raise Conflict("the phone has never fetched, so its address is not known")
    try:
        host = str(ipaddress.ip_address(seen.fetched_ip))
    except ValueError:
        raise Conflict("the phone's last address is none that SIP can be sent to") from None
    target = Target(host, _PORT, "udp")
    user = line.sip_username if line else None
    domain = options.sip_domain or urlsplit(rendering.base_url).hostname or "localhost"
    sender = uri(domain.removesuffix("."), user=user or "provisioning")
    # Whoever sits at that address is told no digest of a password.
    return Aim(Notify(uri(host, user=user, port=_PORT), sender, event, target), None)
