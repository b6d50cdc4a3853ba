"""The certificate that a phone showed: in its handshake of TLS, or to a trusted proxy that passes it on."""

import base64
import binascii
import re
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

from provisioning.boot_log import Verdict
from provisioning.http import is_trusted
from provisioning.parts import CONFIG, IS_PHONES
from provisioning.phone_certificates import Holder, PhoneCertificates, Untrusted
from provisioning.refusal import Refused

_RFC9440: Final = re.compile(rb":([A-Za-z0-9+/]+={0,2}):")
_PEM: Final = re.compile(rb"\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")


def holder(request: web.Request, certificates: PhoneCertificates, at: datetime) -> Holder:
    """Whose certificate came with the request; raises `Refused`."""
    if IS_PHONES not in request.app:
        raise Refused(Verdict.NO_CERTIFICATE, "it asked at the port where no certificates are asked for")
    header = request.app[CONFIG].phone_cert_header
    der = _passed_on(request, header) if header else _shown(request)
    try:
        return certificates.holder(der, at)
    except Untrusted as error:
        raise Refused(Verdict.CERTIFICATE_REFUSED, str(error)) from None


def _shown(request: web.Request) -> bytes:
    tls = request.get_extra_info("ssl_object")
    der: bytes | None = tls and tls.getpeercert(binary_form=True)
    if not der:
        raise Refused(Verdict.NO_CERTIFICATE, "the phone showed no certificate")
    return der


def _passed_on(request: web.Request, header: str) -> bytes:
    """DER from the header: `:base64:` (RFC 9440), or PEM percent-encoded, as nginx says it."""
    if not is_trusted(request.remote or "", request.app[CONFIG].trusted_proxies):
        raise Refused(Verdict.NO_CERTIFICATE, "it asked past the proxy that sees the phones' certificates")
    said = [value for value in request.headers.getall(header, []) if value.strip()]
    if not said:
        raise Refused(Verdict.NO_CERTIFICATE, "the phone showed the proxy no certificate")
    if len(said) > 1:  # one of them may be what the caller said, which the proxy let through
        raise Refused(Verdict.CERTIFICATE_REFUSED, f"the proxy sent the header {header} more than once")
    text = said[0].strip().encode("utf-8", "surrogateescape")
    found = _RFC9440.fullmatch(text) or _PEM.fullmatch(unquote_to_bytes(text))
    try:
        if found is None:
            raise ValueError
        return base64.b64decode(b"".join(found[1].split()), validate=True)
    except (ValueError, binascii.Error):
        raise Refused(
            Verdict.CERTIFICATE_REFUSED, f"the proxy's header {header} holds no certificate that can be read"
        ) from None
