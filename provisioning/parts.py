"""The parts that the application holds, each under its typed key."""

from datetime import date
from typing import Final

from aiohttp import web

from provisioning.anonymous import Anonymous
from provisioning.bindings import Binder
from provisioning.boot_log import BootLog
from provisioning.config import Config
from provisioning.db import Database, now
from provisioning.devices import Rendering, Vendors
from provisioning.direct import Direct
from provisioning.dossiers import Dossiers
from provisioning.holdings import Holdings
from provisioning.kept_files import KeptFiles
from provisioning.patience import Patience
from provisioning.phone_certificates import PhoneCertificates
from provisioning.phones.options import Options
from provisioning.pruning import Pruner
from provisioning.resync_sender import ResyncSender
from provisioning.sender import Sender
from provisioning.standings import Standings
from provisioning.vault import Vault

CONFIG: Final = web.AppKey("config", Config)
DATABASE: Final = web.AppKey("database", Database)
PATIENCE: Final = web.AppKey("patience", Patience)
VAULT: Final = web.AppKey("vault", Vault)
ANONYMOUS: Final = web.AppKey("anonymous", Anonymous)
BOOT_LOG: Final = web.AppKey("boot_log", BootLog)
DIRECT: Final = web.AppKey[Direct]("direct")
STANDINGS: Final = web.AppKey("standings", Standings)
KEPT_FILES: Final = web.AppKey("kept_files", KeptFiles)
DOSSIERS: Final = web.AppKey("dossiers", Dossiers)
BINDER: Final = web.AppKey("binder", Binder)
PRUNER: Final = web.AppKey("pruner", Pruner)
HOLDINGS: Final = web.AppKey("holdings", Holdings)
SENDER: Final = web.AppKey("sender", Sender)
RESYNC_SENDER: Final = web.AppKey("resync_sender", ResyncSender)
PHONE_CERTIFICATES: Final = web.AppKey[PhoneCertificates | None]("phone_certificates")
IS_PHONES: Final = web.AppKey("is_phones", bool)  # at whose listener phones show certificates
VENDORS: Final = web.AppKey[Vendors]("vendors")
PLATFORM: Final = web.AppKey("platform", Options)


def rendering(app: web.Application, today: date | None = None) -> Rendering:
    today = today or now().date()
    return Rendering(app[VENDORS], app[PLATFORM], app[CONFIG].phones_url, today)
