"""Vendors' CAs for tests, and certificates that they sign: of phones, and of whoever would pass for one."""

import base64
import functools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.certificates import trusting

NOW = datetime.now(UTC)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Held:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def header(self) -> str:
        """As RFC 9440 has it."""
        return f":{base64.b64encode(self.der).decode()}:"

    def nginx_header(self) -> str:
        """As nginx's $ssl_client_escaped_cert has it."""
        return quote(self.pem, safe="")

    def file(self, folder: Path, *chain: "Held") -> Path:
        """Certificate, what is sent along, and key."""
        file = folder / f"{self.certificate.serial_number}.pem"
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        file.write_text("".join(each.pem for each in (self, *chain)) + key.decode())
        return file

    def context(self, folder: Path, *chain: "Held") -> ssl.SSLContext:
        """Of a client that shows the certificate."""
        context = trusting()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # an attacker's own OpenSSL does not hold him back
        context.load_cert_chain(self.file(folder, *chain))
        return context


def made(
    names: Sequence[str] = (),
    *,
    by: Held | None = None,
    key: Key | None = None,
    ca: bool = False,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=30),
    issuer: x509.Name | None = None,
    extension: x509.ExtensionType | None = None,
) -> Held:
    """A certificate with these common names, signed by `by`, else by itself; `issuer` is whom it names."""
    key = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or (by.certificate.subject if by else subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if extension:
        builder = builder.add_extension(extension, critical=True)
    return Held(builder.sign(by.key if by else key, hashes.SHA256()), key)


def authority(name: str, **more: object) -> Held:
    """A vendor's CA, with a key of its own."""
    return made([name], key=ec.generate_private_key(ec.SECP256R1()), ca=True, **more)  # type: ignore[arg-type]
