"""Phones' factory certificates: whose one is, or why it proves nothing. Pure: bytes and a time in."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from provisioning.errors import invalid
from provisioning.phones.vendor import Vendor

_SHORTEST: Final = 2048  # bits of RSA
_LARGEST: Final = 16 * 1024  # bytes of a certificate
_REMEMBERED: Final = 4096  # certificates, each with what its signature was found to be
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES: Final = {"sha256", "sha384", "sha512"}
_UNDERSTOOD: Final = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
Kind = TypeVar("Kind", bound=x509.ExtensionType)
_MAC: Final = re.compile(
    r"[0-9a-f]{12}|[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}", re.ASCII
)


class Untrusted(Exception):
    """The certificate proves nothing. The text says why, and repeats nothing that the certificate says."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate it is: the vendor that vouches, and the phone's MAC as 12 lower-case hex digits."""

    vendor: str
    mac: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that speaks for one vendor's phones, those with a MAC address of `ouis`."""

    vendor: str
    title: str
    ouis: frozenset[str]
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class _Read:
    holder: Holder
    begins: datetime
    ends: datetime


class PhoneCertificates:
    """Judges certificates by the CAs that the operator gave. A phone's is signed by one of them itself: what
    else a phone sends along is not looked at, so nothing that a CA's phone signed can count."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self._authorities = tuple(authorities)
        self._read = functools.lru_cache(_REMEMBERED)(self._look)

    @property
    def pem(self) -> str:
        """The CAs, for the TLS layer."""
        return "".join(
            one.certificate.public_bytes(Encoding.PEM).decode("ascii") for one in self._authorities
        )

    def holder(self, der: bytes, at: datetime) -> Holder:
        """Whose certificate this is at that time; raises `Untrusted`. Of one that was seen before only the
        time is looked at."""
        found = self._read(der)
        if isinstance(found, str):
            raise Untrusted(found)
        if at < found.begins:
            raise Untrusted("the phone's certificate, or its CA's, is not valid yet: see this server's clock")
        if at > found.ends:
            raise Untrusted("the phone's certificate, or its CA's, has expired")
        return found.holder

    def _look(self, der: bytes) -> _Read | str:
        """All that does not change with time."""
        if len(der) > _LARGEST:
            return "the phone's certificate is too large"
        try:
            certificate = x509.load_der_x509_certificate(der)
            _ensure_strong(certificate)
            authority = self._issuer(certificate)
            _ensure_end(certificate)
            mac = _mac(certificate)
        except Untrusted as error:
            return str(error)
        except Exception:  # what is wrong with a stranger's bytes has many names
            return "the phone's certificate cannot be read"
        if mac[:6] not in authority.ouis:
            title = authority.title
            return f"the certificate's CA is {title}'s, and its MAC address is none of {title}'s"
        return _Read(
            Holder(authority.vendor, mac),
            max(certificate.not_valid_before_utc, authority.certificate.not_valid_before_utc),
            min(certificate.not_valid_after_utc, authority.certificate.not_valid_after_utc),
        )

    def _issuer(self, certificate: x509.Certificate) -> Authority:
        named = [one for one in self._authorities if one.certificate.subject == certificate.issuer]
        for one in named:
            try:
                certificate.verify_directly_issued_by(one.certificate)
            except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
                continue
            return one
        if named:
            raise Untrusted("the phone's certificate is not signed by the CA that it names")
        raise Untrusted("the phone's certificate is of a CA that this server was not given")


def load_certificates(folder: Path, vendors: Mapping[str, Vendor]) -> PhoneCertificates:
    """The CAs of `<vendor>.pem` in the folder, one file or more; raises `Invalid` naming the variable."""
    variable = "PROVISIONING_PHONE_CAS"
    authorities: list[Authority] = []
    for file in sorted(folder.glob("*.pem")):
        if file.stem not in vendors:
            raise invalid(
                variable, f"{file}: the name must be one of {', '.join(f'{v}.pem' for v in vendors)}"
            )
        try:
            certificates = x509.load_pem_x509_certificates(file.read_bytes())
            for certificate in certificates:
                _ensure_authority(certificate)
        except (OSError, ValueError) as error:
            raise invalid(
                variable, f"{file}: {getattr(error, 'strerror', None) or 'holds no certificate'}"
            ) from None
        except Untrusted as error:
            raise invalid(variable, f"{file}: {error}") from None
        vendor = vendors[file.stem]
        authorities += [Authority(file.stem, vendor.title, vendor.ouis, each) for each in certificates]
    if not authorities:
        raise invalid(variable, f"{folder} holds no file such as {next(iter(vendors))}.pem")
    return PhoneCertificates(authorities)


def _ensure_authority(certificate: x509.Certificate) -> None:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise Untrusted("a certificate in it is no CA's")
    _ensure_key(certificate, "the CA")


def _ensure_end(certificate: x509.Certificate) -> None:
    """It is a phone's, not a CA's, and says nothing that is not understood here and has to be."""
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise Untrusted("the certificate is a CA's own, not a phone's")
    uses = _extension(certificate, x509.ExtendedKeyUsage)
    if uses is not None and not {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    } & set(uses):
        raise Untrusted("the phone's certificate is not for a client of TLS")
    if any(each.critical and each.oid not in _UNDERSTOOD for each in certificate.extensions):
        raise Untrusted("the phone's certificate has a critical extension that this server does not know")


def _ensure_strong(certificate: x509.Certificate) -> None:
    _ensure_key(certificate, "the phone's certificate")
    used = certificate.signature_hash_algorithm
    if used is None or used.name not in _HASHES:
        raise Untrusted("the phone's certificate is signed with a hash that is too weak")


def _ensure_key(certificate: x509.Certificate, whose: str) -> None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _SHORTEST:
            raise Untrusted(f"the RSA key of {whose} has {key.key_size} bits, which is under {_SHORTEST}")
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)):
        raise Untrusted(f"the key of {whose} is neither RSA nor of the curves P-256, P-384 and P-521")


def _mac(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise Untrusted("the phone's certificate has not exactly one common name (CN)")
    name = str(names[0].value).lower()
    if not _MAC.fullmatch(name):
        raise Untrusted("the common name (CN) of the certificate is no MAC address: it is no phone's own")
    return re.sub("[:-]", "", name)


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
