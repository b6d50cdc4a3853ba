"""The key file: numbered keys of which one is current, and the key of the digests."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from provisioning.errors import Conflict, ProvisioningError

_MOST: Final = 255  # a sealed text begins with the number of its key, in one byte


@dataclass(frozen=True, slots=True)
class Keys:
    """What seals is the `current` key; the others open what they have sealed."""

    current: int
    keys: Mapping[int, bytes] = field(repr=False)
    digest_key: bytes = field(repr=False)

    @property
    def newest(self) -> int:
        return max(self.keys)

    def with_new(self) -> "Keys":
        """One more key, not yet current. Raises `Conflict` while there is one that is not."""
        if self.newest != self.current:
            raise Conflict(f"key {self.newest} is new and seals nothing yet: rekey reseal")
        if self.newest == _MOST:
            raise Conflict(f"key {_MOST} is the last that there can be")
        return replace(self, keys={**self.keys, self.newest + 1: secrets.token_bytes(32)})

    def with_newest_current(self) -> "Keys":
        return replace(self, current=self.newest)

    def without_old(self) -> "Keys":
        return replace(self, keys={self.current: self.keys[self.current]})


def read(file: Path) -> Keys:
    """The file is made, readable by its owner alone, when there is none."""
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise ProvisioningError(f"{file} can be read by others: chmod 600 it, and change the keys")
    try:
        data = json.loads(file.read_text())
        keys = {int(number): _key(text) for number, text in data["keys"].items()}
        return Keys(_known(data["current"], keys), keys, _key(data["digest_key"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProvisioningError(f"{file} is not a key file of this server") from None


@contextlib.contextmanager
def locked(file: Path) -> Iterator[Path]:
    """Nobody else changes the file meanwhile: a key that one had added and used, another would write over.
    Gives the file itself where `file` is a link to it."""
    file = file.resolve()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(folder)


def write(file: Path, keys: Keys) -> None:
    """In the place of the file, at once and for good: a power cut leaves the old one or the new one."""
    owner = file.stat()
    name = _written(file.parent, keys)
    os.chown(name, owner.st_uid, owner.st_gid)  # as root, or the server could not read it any more
    name.replace(file)
    _sync(file.parent)


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    keys = Keys(1, {1: secrets.token_bytes(32)}, secrets.token_bytes(32))
    name = _written(file.parent, keys)
    try:
        # Unlike a rename, a link never replaces the keys that another process has just made.
        os.link(name, file)
        _sync(file.parent)
    except FileExistsError:
        pass
    finally:
        name.unlink()


def _written(folder: Path, keys: Keys) -> Path:
    """A file beside the one that it is to become, for its owner alone."""
    data = {
        "current": keys.current,
        "keys": {str(number): _text(key) for number, key in keys.keys.items()},
        "digest_key": _text(keys.digest_key),
    }
    handle, name = tempfile.mkstemp(dir=folder)  # mode 0600
    with os.fdopen(handle, "w") as stream:
        json.dump(data, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    return Path(name)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError("a key has 32 bytes")
    return key


def _known(number: int, keys: Mapping[int, bytes]) -> int:
    if number not in keys:
        raise ValueError("the current key is not there")
    return number
