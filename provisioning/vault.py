"""The vault seals secrets for the database and makes the digests by which tokens are found."""

import hashlib
import hmac
import json
import logging
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provisioning import key_file
from provisioning.errors import ProvisioningError
from provisioning.key_file import Keys

_log = logging.getLogger(__name__)
_NONCE = 12  # bytes, random for each sealing


class Vault:
    """AES-256-GCM under numbered keys (several while the master key is changed), HMAC-SHA256 for look-up.

    `where` is bound to every sealed text (table, column, account, row, generation), so that one moved
    to another row does not open. With a `file` the vault follows its changes: it looks before it seals, and
    when a text names a key that it does not have.
    """

    def __init__(self, keys: Keys, file: Path | None = None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None  # the file may have changed since the keys were read
        self._digest_key = keys.digest_key
        self._use(keys)

    def _use(self, keys: Keys) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in keys.keys.items()}
        self.current = keys.current

    def _follow(self) -> None:
        """What cannot be read, or is another server's, changes nothing."""
        if self._file is None or (found := _stamp(self._file)) in (None, self._seen):
            return
        self._seen = found
        try:
            keys = key_file.read(self._file)
        except (ProvisioningError, OSError) as error:
            _log.error("the key file changed and cannot be used: %s", error)
            return
        if keys.digest_key != self._digest_key:
            _log.error("%s holds another server's keys now, and is not used", self._file)
            return
        self._use(keys)

    def seal(self, text: str, *where: str) -> bytes:
        self._follow()
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self.current]
        return bytes([self.current]) + nonce + cipher.encrypt(nonce, text.encode(), _bind(where))

    def open(self, sealed: bytes, *where: str) -> str:
        """The text that was sealed for this place; raises `ProvisioningError` for any other."""
        number, nonce, body = sealed[0], sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        if number not in self._ciphers:
            self._follow()
        try:
            return self._ciphers[number].decrypt(nonce, body, _bind(where)).decode()
        except (KeyError, InvalidTag):
            raise ProvisioningError(f"a sealed value of {where[0]}.{where[1]} does not open") from None

    def digest(self, text: str) -> bytes:
        """32 bytes that stand for `text` in an index and tell nothing of it without the key file."""
        return hmac.digest(self._digest_key, text.encode(), hashlib.sha256)


def open_vault(file: Path) -> Vault:
    """The vault of this key file, which is made, readable by its owner alone, when there is none."""
    return Vault(key_file.read(file), file)


def _stamp(file: Path) -> tuple[int, int] | None:
    """What differs once the file is another; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _bind(where: tuple[str, ...]) -> bytes:
    return json.dumps(where).encode()
