"""The vault seals secrets for the database and makes the digests by which tokens are found."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provisioning.errors import ProvisioningError

_NONCE = 12  # bytes, random for each sealing


class Vault:
    """AES-256-GCM under numbered keys (several while the master key is changed), HMAC-SHA256 for look-up.

    `where` is bound to every sealed text (table, column, account, row, generation), so that one moved
    to another row does not open.
    """

    def __init__(self, keys: Mapping[int, bytes], current: int, digest_key: bytes) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self._current = current
        self._digest_key = digest_key

    def seal(self, text: str, *where: str) -> bytes:
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self._current]
        return bytes([self._current]) + nonce + cipher.encrypt(nonce, text.encode(), _bind(where))

    def open(self, sealed: bytes, *where: str) -> str:
        """The text that was sealed for this place; raises `ProvisioningError` for any other."""
        number, nonce, body = sealed[0], sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._ciphers[number].decrypt(nonce, body, _bind(where)).decode()
        except (KeyError, InvalidTag):
            raise ProvisioningError(f"a sealed value of {where[0]}.{where[1]} does not open") from None

    def digest(self, text: str) -> bytes:
        """32 bytes that stand for `text` in an index and tell nothing of it without the key file."""
        return hmac.digest(self._digest_key, text.encode(), hashlib.sha256)


def open_vault(file: Path) -> Vault:
    """The vault of this key file, which is made, readable by its owner alone, when there is none."""
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise ProvisioningError(f"{file} can be read by others: chmod 600 it, and change the keys")
    try:
        data = json.loads(file.read_text())
        keys = {int(number): _key(text) for number, text in data["keys"].items()}
        return Vault(keys, _known(data["current"], keys), _key(data["digest_key"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProvisioningError(f"{file} is not a key file of this server") from None


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"current": 1, "keys": {"1": _new_key()}, "digest_key": _new_key()}
    handle, name = tempfile.mkstemp(dir=file.parent)  # mode 0600
    with os.fdopen(handle, "w") as stream:
        json.dump(data, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # Unlike a rename, a link never replaces the keys that another process has just made.
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError("a key has 32 bytes")
    return key


def _known(number: int, keys: Mapping[int, bytes]) -> int:
    if number not in keys:
        raise ValueError("the current key is not there")
    return number


def _bind(where: tuple[str, ...]) -> bytes:
    return json.dumps(where).encode()
