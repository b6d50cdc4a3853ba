"""What the environment sets; every value has a working default."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from provisioning.errors import invalid
from provisioning.reach import Network, Reach
from provisioning.relay import Relay, relays


@dataclass(frozen=True, slots=True)
class Config:
    """`platform_options` are the phone options (CONTRACT §4) of the platform, not yet checked."""

    database_url: str = "sqlite:///var/provisioning.db"
    base_url: str = "http://127.0.0.1:8080"
    key_file: Path = Path("var/keys.json")
    tls_cert: Path | None = None
    tls_key: Path | None = None
    phone_port: int | None = None
    phone_cas: Path | None = None
    phone_cert_header: str = ""
    phone_url: str = ""
    templates: Path | None = None
    relays: tuple[Relay, ...] = ()
    mail_from: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    reach: Reach = field(default_factory=Reach)
    log_level: str = "INFO"
    platform_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def phones_url(self) -> str:
        """What phones are told: `base_url`, unless their certificates are asked for, at a port of its own."""
        if self.phone_port is None:
            return self.base_url
        host = urlsplit(self.base_url).hostname or ""
        return self.phone_url or f"https://{f'[{host}]' if ':' in host else host}:{self.phone_port}"

    @property
    def mail_sender(self) -> str:
        """The address that our mails come from."""
        host = urlsplit(self.base_url).hostname or "localhost"
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            return self.mail_from or f"provisioning@{host}"
        return self.mail_from or f"provisioning@[{'IPv6:' if ip.version == 6 else ''}{host}]"


def from_environment(environ: Mapping[str, str]) -> Config:
    """The configuration that `environ` sets; raises `Invalid` with the name of the variable at fault."""

    def value(name: str, default: str) -> str:
        return environ.get(f"PROVISIONING_{name}", "").strip() or default

    def path(name: str) -> Path | None:
        return Path(text) if (text := value(name, "")) else None

    default = Config()
    level = value("LOG_LEVEL", default.log_level).upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise invalid("PROVISIONING_LOG_LEVEL", "must be debug, info, warning, error or critical")
    cert, key = path("TLS_CERT"), path("TLS_KEY")
    if (cert is None) != (key is None):
        raise invalid("PROVISIONING_TLS_CERT", "goes with PROVISIONING_TLS_KEY: set both or neither")
    cas = _there("PROVISIONING_PHONE_CAS", path("PHONE_CAS"))
    header, proxies = value("PHONE_CERT_HEADER", ""), _networks(value("TRUSTED_PROXIES", ""))
    phone_url = value("PHONE_URL", "")
    port = _phone_port(value("PHONE_PORT", ""), cas)
    if (header or phone_url) and port is None:
        raise invalid("PROVISIONING_PHONE_PORT", "goes with PROVISIONING_PHONE_CERT_HEADER and …_PHONE_URL")
    if not re.fullmatch(r"[A-Za-z0-9-]*", header):
        raise invalid("PROVISIONING_PHONE_CERT_HEADER", "must be the name of a header, such as Client-Cert")
    if header and not proxies:
        raise invalid("PROVISIONING_PHONE_CERT_HEADER", "needs PROVISIONING_TRUSTED_PROXIES: who may send it")
    if port and not header and cert is None:
        raise invalid(
            "PROVISIONING_PHONE_PORT", "needs PROVISIONING_TLS_CERT, or PROVISIONING_PHONE_CERT_HEADER"
        )
    return Config(
        database_url=value("DATABASE_URL", default.database_url),
        base_url=_base_url(value("BASE_URL", default.base_url)),
        key_file=path("KEY_FILE") or default.key_file,
        tls_cert=cert,
        tls_key=key,
        phone_port=port,
        phone_cas=cas,
        phone_cert_header=header,
        phone_url=_base_url(phone_url, "PHONE_URL") if phone_url else "",
        templates=_there("PROVISIONING_TEMPLATES", path("TEMPLATES")),
        relays=relays(value("SMTP_URL", "")),
        mail_from=_mail_from(value("MAIL_FROM", "")),
        trusted_proxies=proxies,
        reach=_reach(value("RESYNC", Reach().mode), value("RESYNC_NETWORKS", "")),
        log_level=level,
        platform_options=_platform(
            _there("PROVISIONING_PLATFORM_FILE", path("PLATFORM_FILE")) or Path("platform.toml"), environ
        ),
    )


def _phone_port(text: str, cas: Path | None) -> int | None:
    if bool(text) != bool(cas):
        raise invalid("PROVISIONING_PHONE_PORT", "goes with PROVISIONING_PHONE_CAS: set both or neither")
    if text and not (re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536):
        raise invalid("PROVISIONING_PHONE_PORT", "must be a port, such as 8443")
    return int(text) if text else None


def _base_url(url: str, name: str = "BASE_URL") -> str:
    url = url.rstrip("/")
    # Polycom phones know no escapes in URLs and both vendors take the address as it stands.
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url) or re.search(r"[%?#\"'<>]", url):
        raise invalid(f"PROVISIONING_{name}", "must be http://… or https://… without query or escapes")
    return url


def _mail_from(address: str) -> str:
    if address and not re.fullmatch(r"[A-Za-z0-9._%+'=-]{1,64}@[A-Za-z0-9.-]{1,189}", address):
        raise invalid("PROVISIONING_MAIL_FROM", "must be an email address, such as alerts@example.com")
    return address


def _there(name: str, path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise invalid(name, f"{path} is not there")
    return path


def _networks(text: str, name: str = "TRUSTED_PROXIES") -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise invalid(f"PROVISIONING_{name}", "must be networks such as 10.0.0.0/8") from None


def _reach(mode: str, networks: str) -> Reach:
    if mode not in {"off", "server", "any"}:
        raise invalid("PROVISIONING_RESYNC", "must be off, server or any")
    return Reach(mode, _networks(networks, "RESYNC_NETWORKS"))  # type: ignore[arg-type]


def _platform(file: Path, environ: Mapping[str, str]) -> Mapping[str, object]:
    """Options of `platform.toml`, and over them those named like PROVISIONING_OPTION_SIP_SERVER."""
    options: dict[str, object] = {}
    if file.is_file():
        try:
            options |= tomllib.loads(file.read_text("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise invalid(str(file), f"is no TOML that can be read: {error}") from None
    prefix = "PROVISIONING_OPTION_"
    for name, text in environ.items():
        if name.startswith(prefix) and text.strip():
            options[name.removeprefix(prefix).lower()] = _toml_value(text)
    return options


def _toml_value(text: str) -> object:
    """A variable's text as TOML would read it (numbers, true, lists), else as it stands."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
