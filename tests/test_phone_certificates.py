"""Phones' certificates as a second factor: whose count, at which port, and what is said of the others."""

import asyncio
import contextlib
import logging
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import ExtendedKeyUsageOID

from provisioning import listener, tls
from provisioning.config import _networks
from provisioning.errors import Invalid
from provisioning.phone_certificates import Untrusted, load_certificates
from provisioning.phones.vendor import Vendor
from provisioning.virtual_phone import virtual_phone
from tests.api.conftest import stocked
from tests.certificates import self_signed, trusting
from tests.conftest import House, StartHouse, Stock
from tests.phone_cas import NOW, Held, authority, made, rsa_key
from tests.ports import free_port
from tests.shell import Shell
from tests.test_cli import load_sample
from tests.test_deployment import NGINX, _listens, needs_nginx

YEALINK: Final = "805ec0102001"
OTHER_YEALINK: Final = "805ec0102003"
POLYCOM: Final = "64167f102005"
HEADER: Final = "Client-Cert"
GUIDE: Final = Path("docs/phone-certificates.md")
REFUSED: Final = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def database_url(stock: Stock) -> str:
    """The URL of a database with the sample account in it."""
    return stock.url


@pytest.fixture(scope="module")
def yealink() -> Held:
    return authority("A maker's CA")


@pytest.fixture(scope="module")
def polycom() -> Held:
    return authority("Another maker's CA")


@pytest.fixture
def cas(tmp_path: Path, yealink: Held, polycom: Held) -> Path:
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "yealink.pem").write_text(yealink.pem)
    (folder / "polycom.pem").write_text(polycom.pem)
    return folder


@pytest.fixture
async def house(start_house: StartHouse, tmp_path: Path, cas: Path) -> House:
    """With a second port, at which it asks for certificates itself."""
    cert, key = self_signed(tmp_path)
    return await start_house(phone_port=free_port(), phone_cas=cas, tls_cert=cert, tls_key=key)


@pytest.fixture
async def behind(start_house: StartHouse, cas: Path) -> House:
    """With a second port for the proxy on this machine, which says what certificate it was shown."""
    trusted = _networks("127.0.0.1")
    return await start_house(
        phone_port=free_port(), phone_cas=cas, phone_cert_header=HEADER, trusted_proxies=trusted
    )


def phones_url(account_url: str, stock: Stock) -> str:
    return f"{account_url}/p/{stock.token}/"


async def second_url(house: House, stock: Stock) -> str:
    """What admins are told: the URL with the second port."""
    url: str = (await stocked(house, stock).admin.get("/account/provisioning")).json["provisioning_url"]
    return url


async def said(
    url: str, file: str, *, context: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The whole answer, its date taken out; nothing where the handshake fails."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    tls = (context or trusting()) if scheme == "https" else None
    lines = [f"GET /{path}{file} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]), ssl=tls)
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    except (ssl.SSLError, ConnectionError):
        return b""
    return re.sub(rb"Date: [^\r]+\r\n|Connection: close\r\n", b"", answer)


async def boots(house: House, stock: Stock, mac: str, held: Held, folder: Path) -> Any:
    it = (await stocked(house, stock).viewer.get(f"/devices?q={mac}")).json["data"][0]
    vendor = house.rendering.vendors[it["vendor"]]
    connector = aiohttp.TCPConnector(ssl=held.context(folder), force_close=True)
    phone = virtual_phone(vendor, vendor.models[it["model"]], mac)
    return await phone.boot(await second_url(house, stock), connector=connector)


async def last(house: House) -> tuple[str, str]:
    row = (await house.boot_log())[-1]
    return row.verdict, row.reason


def impostors(yealink: Held, polycom: Held) -> dict[str, Held]:
    """Certificates that OpenSSL takes, since a vendor's CA signed them; by what the boot log says of them."""
    day = timedelta(days=1)
    no_mac = "the common name (CN) of the certificate is no MAC address: it is no phone's own"
    not_one = "the phone's certificate has not exactly one common name (CN)"
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("a.example")], excluded_subtrees=None)
    server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return {
        "the certificate is of another phone, 80:5e:c0:10:20:03": made([OTHER_YEALINK], by=yealink),
        "the certificate's CA is Polycom's, and its MAC address is none of Polycom's": made(
            [YEALINK], by=polycom
        ),
        "the phone's certificate, or its CA's, has expired": made(
            [YEALINK], by=yealink, begins=NOW - 9 * day, ends=NOW - day
        ),
        "the phone's certificate, or its CA's, is not valid yet: see this server's clock": made(
            [YEALINK], by=yealink, begins=NOW + day
        ),
        "the RSA key of the phone's certificate has 1024 bits, which is under 2048": made(
            [YEALINK], by=yealink, key=rsa_key(1024)
        ),
        "the key of the phone's certificate is neither RSA nor of the curves P-256, P-384 and P-521": made(
            [YEALINK], by=yealink, key=ec.generate_private_key(ec.SECP256K1())
        ),
        no_mac: made(["A phone"], by=yealink),
        f"{no_mac} ": made([f"{YEALINK}\0.example.com"], by=yealink),
        f"{no_mac}  ": made([f"{YEALINK}\n"], by=yealink),
        f"{no_mac}   ": made([f"x{YEALINK}"], by=yealink),
        f"{no_mac}    ": made(["80:5e-c0:10:20:01"], by=yealink),
        not_one: made([OTHER_YEALINK, YEALINK], by=yealink),
        f"{not_one} ": made([], by=yealink),
        "the certificate is a CA's own, not a phone's": made([YEALINK], by=yealink, ca=True),
        "the phone's certificate has a critical extension that this server does not know": made(
            [YEALINK], by=yealink, extension=constraints
        ),
        "the phone's certificate is not for a client of TLS": made(
            [YEALINK], by=yealink, extension=server_only
        ),
    }


def strangers(yealink: Held) -> dict[str, Held]:
    """Those of which OpenSSL sees itself that no vendor's CA signed them."""
    leaf = made([OTHER_YEALINK], by=yealink)
    unknown = "the phone's certificate is of a CA that this server was not given"
    return {
        unknown: made([YEALINK]),
        f"{unknown} ": made([YEALINK], by=authority("Nobody's CA")),
        f"{unknown}  ": made([YEALINK], by=leaf),
        "the phone's certificate is not signed by the CA that it names": made(
            [YEALINK], by=authority("Nobody's CA"), issuer=yealink.certificate.subject
        ),
    }


async def test_the_phones_of_each_vendor_boot_with_their_certificates(
    house: House, stock: Stock, tmp_path: Path, yealink: Held, polycom: Held
) -> None:
    for mac, ca in ((YEALINK, yealink), (POLYCOM, polycom)):
        boot = await boots(house, stock, mac, made([mac], by=ca), tmp_path)
        assert (boot.came_up, boot.problems) == (True, ())
    assert {row.scheme for row in await house.boot_log()} == {"https"}


async def test_a_phone_of_another_certificate_is_refused_as_any_and_the_boot_log_says_why(
    house: House, stock: Stock, tmp_path: Path, yealink: Held, polycom: Held
) -> None:
    url, file = await second_url(house, stock), f"{YEALINK}.cfg"
    assert await said(url, file) == REFUSED
    assert await last(house) == ("no_certificate", "the phone showed no certificate")
    for reason, held in impostors(yealink, polycom).items():
        answer = await said(url, file, context=held.context(tmp_path))
        if "client of TLS" in reason:  # OpenSSL sees that as well
            assert answer == b""
            continue
        assert answer == REFUSED, reason
        if "neither RSA" in reason:  # TLS has no word for such a key: the client shows none
            continue
        assert await last(house) == ("certificate_refused", reason.rstrip())
    good = made([YEALINK], by=yealink).context(tmp_path)
    assert (await said(url, file, context=good)).startswith(b"HTTP/1.1 200 ")


async def test_who_has_no_certificate_of_a_vendors_ca_gets_no_further_than_the_handshake(
    house: House,
    stock: Stock,
    tmp_path: Path,
    yealink: Held,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls, "_refusals", tls._Refusals())
    leaf = made([OTHER_YEALINK], by=yealink)
    url, stolen = await second_url(house, stock), made([YEALINK], by=leaf)
    with caplog.at_level(logging.WARNING, "provisioning.tls"):
        for held in strangers(yealink).values():
            assert await said(url, f"{YEALINK}.cfg", context=held.context(tmp_path)) == b""
        assert await said(url, f"{YEALINK}.cfg", context=stolen.context(tmp_path, leaf)) == b""
    assert await house.boot_log() == []
    lines = [record.getMessage() for record in caplog.records if record.name == "provisioning.tls"]
    assert lines and len(lines) == len(set(lines))  # a line a minute for each reason


async def test_through_a_trusted_proxy_the_certificate_is_judged_the_same(
    behind: House, stock: Stock, yealink: Held, polycom: Held
) -> None:
    url = (await second_url(behind, stock)).replace("https://", "http://")  # the proxy's hop
    file = f"{YEALINK}.cfg"
    assert await said(url, file) == REFUSED
    assert await last(behind) == ("no_certificate", "the phone showed the proxy no certificate")
    for reason, held in (impostors(yealink, polycom) | strangers(yealink)).items():
        assert await said(url, file, headers={HEADER: held.header()}) == REFUSED, reason
        assert await last(behind) == ("certificate_refused", reason.rstrip())
    good = made([YEALINK], by=yealink)
    for header in (good.header(), good.nginx_header()):
        assert (await said(url, file, headers={HEADER: header})).startswith(b"HTTP/1.1 200 ")


async def test_a_bound_phone_is_asked_for_its_certificate_and_its_key(
    behind: House, stock: Stock, yealink: Held
) -> None:
    admin, file = stocked(behind, stock).admin, f"{YEALINK}.cfg"
    assert (await admin.patch("/account/provisioning", {"bind_phones": True})).status == 200
    where = f"/devices/{(await admin.get(f'/devices?q={YEALINK}')).json['data'][0]['id']}"
    shown = (await admin.get(f"{where}/files/{file}?reveal=true")).json["content"]
    own = re.findall(r"auto_provision.server.url = (\S+)", shown)[0].replace("https://", "http://")
    shared = (await second_url(behind, stock)).replace("https://", "http://")
    good, other = ({HEADER: made([mac], by=yealink).header()} for mac in (YEALINK, OTHER_YEALINK))
    for headers in ({}, other):
        assert await said(own, file, headers=headers) == REFUSED
    assert (await admin.get(where)).json["bound"] is False
    for _ in range(3):  # the last is from memory
        assert (await said(own, file, headers=good)).startswith(b"HTTP/1.1 200 ")
    for headers in ({}, other):
        assert await said(own, file, headers=headers) == REFUSED
    assert await said(shared, file, headers=good) == REFUSED
    assert (await last(behind))[0] == "bound"


async def test_what_is_no_certificate_in_the_proxys_header_is_refused(
    behind: House, stock: Stock, yealink: Held
) -> None:
    url = (await second_url(behind, stock)).replace("https://", "http://")
    good = made([YEALINK], by=yealink)
    unreadable = "the proxy's header Client-Cert holds no certificate that can be read"
    twice = "the proxy sent the header Client-Cert more than once"
    for said_of_it, header in (
        (unreadable, "::"),
        (unreadable, ":A:"),
        (unreadable, good.header()[1:]),
        (unreadable, good.header() + "," + good.header()),
        (unreadable, good.nginx_header() * 2),
        (unreadable, "%ff%00é"),
        ("the phone's certificate cannot be read", ":AAAA:"),
        ("the phone's certificate cannot be read", good.header()[:-41] + ":"),
        (twice, f"{good.header()}\r\nClient-Cert: {good.header()}"),
    ):
        assert await said(url, f"{YEALINK}.cfg", headers={HEADER: header}) == REFUSED, header
        assert await last(behind) == ("certificate_refused", said_of_it)


async def test_a_forged_header_counts_from_nobody_but_the_proxy_and_only_at_its_port(
    start_house: StartHouse, behind: House, cas: Path, stock: Stock, yealink: Held
) -> None:
    forged = {HEADER: made([YEALINK], by=yealink).header(), "X-Forwarded-For": "10.1.1.1"}
    port, trusted = free_port(), _networks("10.0.0.0/8")
    elsewhere = await start_house(
        phone_port=port, phone_cas=cas, phone_cert_header=HEADER, trusted_proxies=trusted
    )
    url = phones_url(f"http://127.0.0.1:{port}", stock)
    assert await said(url, f"{YEALINK}.cfg", headers=forged) == REFUSED
    past = "it asked past the proxy that sees the phones' certificates"
    assert await last(elsewhere) == ("no_certificate", past)
    assert await said(phones_url(behind.url, stock), f"{YEALINK}.cfg", headers=forged) == REFUSED
    first = "it asked at the port where no certificates are asked for"
    assert await last(behind) == ("no_certificate", first)


async def test_a_header_is_nothing_where_the_server_asks_for_certificates_itself(
    house: House, stock: Stock, yealink: Held
) -> None:
    forged = {HEADER: made([YEALINK], by=yealink).header()}
    assert await said(await second_url(house, stock), f"{YEALINK}.cfg", headers=forged) == REFUSED
    assert await last(house) == ("no_certificate", "the phone showed no certificate")


async def test_the_first_port_serves_no_phone_and_takes_no_upload(house: House, stock: Stock) -> None:
    url = phones_url(house.url, stock)
    for file in (f"{YEALINK}.boot", f"{YEALINK}.cfg", f"{POLYCOM}.cfg", "y000000000096.cfg"):
        assert await said(url, file) == REFUSED
    async with house.http.put(f"{url}{POLYCOM}-app.log", data=b"log") as answer:
        assert (answer.status, await answer.read()) == (404, b"")
    assert {row.verdict for row in await house.boot_log()} == {"no_certificate"}


async def test_a_file_that_phones_share_is_for_any_phone_of_its_vendor(
    house: House, stock: Stock, tmp_path: Path, yealink: Held, polycom: Held
) -> None:
    url, common = await second_url(house, stock), "y000000000096.cfg"
    ours = made(["80:5E:C0:FF:FF:FF"], by=yealink).context(tmp_path)
    assert (await said(url, common, context=ours)).startswith(b"HTTP/1.1 200 ")
    theirs = made([POLYCOM], by=polycom).context(tmp_path)
    assert await said(url, common, context=theirs) == REFUSED
    assert await last(house) == ("certificate_refused", "the certificate is of another vendor's phone")


async def test_the_phones_port_has_no_pages_and_no_api(house: House, stock: Stock) -> None:
    root = (await second_url(house, stock)).partition("/p/")[0] + "/"
    for path in ("", "login", "health", "metrics", "api/v1/account", "static/page.css"):
        assert await said(root, path) == REFUSED


async def test_a_test_boot_needs_no_certificate(house: House, stock: Stock) -> None:
    account = stocked(house, stock)
    id = (await account.viewer.get(f"/devices?q={POLYCOM}")).json["data"][0]["id"]
    boot = (await account.technician.post(f"/devices/{id}/test-boot")).json
    assert (boot["came_up"], boot["problems"]) == (True, [])


async def test_the_device_page_says_what_to_do(house: House, stock: Stock, tmp_path: Path) -> None:
    account = stocked(house, stock)
    await said(await second_url(house, stock), f"{YEALINK}.cfg")
    await house.log.flush()
    id = (await account.viewer.get(f"/devices?q={YEALINK}")).json["data"][0]["id"]
    boot = (await account.viewer.get(f"/devices/{id}/timeline")).json["data"][0]
    assert boot["sentence"] == "It was refused because it proved nothing: the phone showed no certificate."
    assert "the port that asks for certificates" in boot["advice"]


@pytest.mark.parametrize("name", ["805ec0102001", "805EC0102001", "80:5e:c0:10:20:01", "80-5E-C0-10-20-01"])
def test_a_mac_may_be_spelled_as_people_do(
    cas: Path, vendors: dict[str, Vendor], yealink: Held, name: str
) -> None:
    certificates = load_certificates(cas, vendors)
    for held in (
        made([name], by=yealink),
        made([name], by=yealink, key=ec.generate_private_key(ec.SECP384R1())),
    ):
        assert certificates.holder(held.der, NOW).mac == YEALINK


def test_a_certificate_that_was_good_expires_while_the_server_runs(
    cas: Path, vendors: dict[str, Vendor], yealink: Held
) -> None:
    certificates, held = load_certificates(cas, vendors), made([YEALINK], by=yealink)
    assert certificates.holder(held.der, NOW).vendor == "yealink"
    with pytest.raises(Untrusted, match="expired"):
        certificates.holder(held.der, NOW + timedelta(days=31))


def test_a_certificate_changed_in_any_byte_is_never_another_phones(
    cas: Path, vendors: dict[str, Vendor], yealink: Held
) -> None:
    certificates, held = load_certificates(cas, vendors), made([YEALINK], by=yealink)
    der, signed = held.der, held.certificate.tbs_certificate_bytes
    for at in range(len(der)):
        changed = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]
        # Of the signature's own length one bit says nothing; of what was signed there is none.
        if changed[: len(signed) + 4].endswith(signed):
            continue
        with pytest.raises(Untrusted):
            certificates.holder(changed, NOW)


@pytest.mark.parametrize(
    ("name", "held", "fault"),
    [
        ("grandstream.pem", authority("A CA"), "the name must be one of "),
        ("yealink.pem", made([YEALINK]), "a certificate in it is no CA's"),
        ("yealink.pem", made(["A CA"], key=rsa_key(1024), ca=True), "the RSA key of the CA has 1024 bits"),
    ],
)
def test_a_ca_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, vendors: dict[str, Vendor], name: str, held: Held, fault: str
) -> None:
    (tmp_path / name).write_text(held.pem)
    with pytest.raises(Invalid, match=f"PROVISIONING_PHONE_CAS: .*{name}: {fault}"):
        load_certificates(tmp_path, vendors)


def test_a_folder_without_cas_is_refused(tmp_path: Path, vendors: dict[str, Vendor]) -> None:
    with pytest.raises(Invalid, match="PROVISIONING_PHONE_CAS"):
        load_certificates(tmp_path, vendors)
    (tmp_path / "yealink.pem").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(Invalid, match="holds no certificate"):
        load_certificates(tmp_path, vendors)


def test_serve_has_both_ports_in_each_worker_and_boot_shows_a_certificate(
    tmp_path: Path, cas: Path, yealink: Held
) -> None:
    cert, key = self_signed(tmp_path, alternative=True)
    port = free_port()
    shell = Shell(tmp_path, scheme="https")
    shell.environ |= {
        "PROVISIONING_TLS_CERT": str(cert),
        "PROVISIONING_TLS_KEY": str(key),
        "PROVISIONING_PHONE_PORT": str(port),
        "PROVISIONING_PHONE_CAS": str(cas),
        "SSL_CERT_FILE": str(cert),
    }
    with shell.serving("--workers", "2"):
        url = load_sample(shell)["provisioning_url"]
        assert url.startswith(f"https://127.0.0.1:{port}/p/")
        phone = ("boot", url, "--mac", YEALINK, "--model", "T54W")
        shown = shell.run(*phone, "--cert", str(made([YEALINK], by=yealink).file(tmp_path)))
        assert (shown.returncode, shown.stderr) == (0, "")
    wrong = shell.run(*phone, "--cert", str(cert))
    assert wrong.stderr == "error: --cert: holds no certificate, or there is no key that fits it\n"
    same = shell.run("serve", "--port", str(port))
    assert same.stderr.startswith("error: PROVISIONING_PHONE_PORT: is the port of --port")


def snippet() -> str:
    """The guide's configuration of nginx."""
    (text,) = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text("utf-8"), re.S)
    return str(text)


@pytest.fixture
async def nginx(behind: House, stock: Stock, tmp_path: Path) -> AsyncIterator[str]:
    """The guide's configuration before the server; the provisioning URL at nginx."""
    text = snippet()
    self_signed(tmp_path)
    port = free_port()
    ours = re.sub(r"/p/.*", "", await second_url(behind, stock)).rpartition(":")[2]
    for old, new in (
        ("127.0.0.1:8081", f"127.0.0.1:{ours}"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
        ("/etc/provisioning/", f"{tmp_path}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    file, user = tmp_path / "nginx.conf", "user root;" if os.getuid() == 0 else ""
    file.write_text(
        f"{user} daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;"
        f"events {{ worker_connections 64; }}\nhttp {{ {temporary}\n{text}\n}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        str(NGINX), "-e", str(tmp_path / "error.log"), "-c", str(file), stderr=asyncio.subprocess.DEVNULL
    )
    url = phones_url(f"https://127.0.0.1:{port}", stock)
    try:
        async with asyncio.timeout(60):
            while not _listens(port):
                assert process.returncode is None, (tmp_path / "error.log").read_text()
                await asyncio.sleep(0.02)
        yield url
    finally:
        process.terminate()
        await process.wait()


@needs_nginx
async def test_the_guides_nginx_passes_the_certificate_on_and_no_forged_one(
    nginx: str, behind: House, tmp_path: Path, yealink: Held
) -> None:
    file, good = f"{YEALINK}.cfg", made([YEALINK], by=yealink)
    assert (await said(nginx, file, context=good.context(tmp_path))).startswith(b"HTTP/1.1 200 ")
    for held, reason in (
        (made([YEALINK]), "the phone's certificate is of a CA that this server was not given"),
        (made([OTHER_YEALINK], by=yealink), "the certificate is of another phone, 80:5e:c0:10:20:03"),
        (
            made([YEALINK], by=yealink, ends=NOW - timedelta(hours=1)),
            "the phone's certificate, or its CA's, has expired",
        ),
    ):
        answer = await said(nginx, file, context=held.context(tmp_path), headers={HEADER: good.header()})
        assert (reason, answer[:13], answer[-4:]) == (reason, b"HTTP/1.1 404 ", b"\r\n\r\n")
        assert await last(behind) == ("certificate_refused", reason)
    forged = await said(nginx, file, headers={HEADER: good.header()})
    assert forged.startswith(b"HTTP/1.1 404 ")
    assert await last(behind) == ("no_certificate", "the phone showed the proxy no certificate")


def test_a_signature_with_an_old_hash_does_not_count(tmp_path: Path, vendors: dict[str, Vendor]) -> None:
    ca = made(["A maker's CA"], ca=True, key=rsa_key())
    (tmp_path / "yealink.pem").write_text(ca.pem)
    certificates, held = load_certificates(tmp_path, vendors), made([YEALINK], by=ca)
    assert certificates.holder(held.der, NOW).mac == YEALINK
    # sha256WithRSAEncryption becomes sha1With…, and what is signed is signed so.
    new, old = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    signed = held.certificate.tbs_certificate_bytes.replace(new, old)
    signature = rsa_key().sign(signed, padding.PKCS1v15(), hashes.SHA1())
    der = held.der.replace(held.certificate.tbs_certificate_bytes, signed).replace(new, old)
    der = der[: -len(signature)] + signature
    with pytest.raises(Untrusted, match="signed with a hash that is too weak"):
        certificates.holder(der, NOW)


async def test_a_handshake_that_does_not_go_on_is_ended(
    start_house: StartHouse, tmp_path: Path, cas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listener._HANDSHAKE == 10
    monkeypatch.setattr(listener, "_HANDSHAKE", 0.2)
    cert, key = self_signed(tmp_path)
    port = free_port()
    await start_house(phone_port=port, phone_cas=cas, tls_cert=cert, tls_key=key)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01")  # as a hello begins
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_nothing_that_a_certificate_says_reaches_a_log(
    behind: House, stock: Stock, yealink: Held, caplog: pytest.LogCaptureFixture
) -> None:
    url = (await second_url(behind, stock)).replace("https://", "http://")
    held = made(["canary-5150"], by=yealink)
    with caplog.at_level(logging.DEBUG):
        await said(url, f"{YEALINK}.cfg", headers={HEADER: held.header()})
    rows = " ".join(str(vars(row)) for row in await behind.boot_log())
    assert "is no MAC address" in rows
    for secret in ("canary-5150", held.header()[1:60]):
        assert secret not in rows + caplog.text
