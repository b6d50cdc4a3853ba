"""The sample configurations: one made-up account, and what each of its phones receives, byte for byte."""

import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

from provisioning import devices, gathering
from provisioning.db import Database
from provisioning.devices import Rendering
from provisioning.load import load
from provisioning.phones.options import Options
from provisioning.phones.vendor import load_vendors
from provisioning.vault import open_vault

FOLDER: Final = Path("sample_configs")
TOKEN: Final = "pptsamp1e0000t0ken0000f0r0000d0cs00nbev1fn"  # noqa: S105
SHOWN: Final = ("805ec0102001.cfg", "64167f102005-account.cfg")  # a Yealink's and a Polycom's file
BASE_URL: Final = "https://provisioning.example.com"


def account_file() -> Path:
    """The made-up account: inside the package once installed, in the folder of samples in a checkout."""
    package = Path(__file__).parent
    inside = package / "templates" / "account.toml"
    return inside if inside.is_file() else package.parent / FOLDER / "account.toml"


async def sample_files() -> Mapping[Path, bytes]:
    """Every file of every phone of the account, by its path below `FOLDER`."""
    # The day does not matter: both sites of the account are in zones whose rule phones can be told.
    rendering = Rendering(load_vendors(), Options(), BASE_URL, date(2026, 1, 1))
    files: dict[Path, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/samples.db")
        vault = open_vault(Path(folder) / "keys.json")
        try:
            await database.migrate()
            async with database.write() as session:
                text = account_file().read_text("utf-8")
                loaded = await load(session, vault, rendering, text, token=TOKEN)
                for device in await devices.list_all(session, loaded.account_id):
                    phone = await gathering.gather(session, vault, rendering, device, TOKEN)
                    made = await gathering.files(session, rendering, device, phone)
                    files |= {Path(device.mac) / name: content for name, content in made.items()}
        finally:
            await database.close()
    return files


def differences(files: Mapping[Path, bytes], folder: Path = FOLDER) -> list[str]:
    """What stands in the folder otherwise than in `files`, a line each."""
    there = {path.relative_to(folder) for path in folder.glob("*/*")}
    changed = [p for p in sorted(files.keys() & there) if (folder / p).read_bytes() != files[p]]
    return [
        *(f"{folder / path} differs" for path in changed),
        *(f"{folder / path} is missing" for path in sorted(files.keys() - there)),
        *(f"{folder / path} belongs to no phone" for path in sorted(there - files.keys())),
    ]


def write(files: Mapping[Path, bytes], folder: Path = FOLDER) -> None:
    for stale in {path.relative_to(folder) for path in folder.glob("*/*")} - files.keys():
        (folder / stale).unlink()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
