"""The vault seals secrets for the database and makes the digests by which tokens are found."""

import hashlib
import hmac
import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provisioning import key_file
from provisioning.errors import ProvisioningError
from provisioning.key_file import Keys

_NONCE = 12  # bytes, random for each sealing


class Vault:
    """AES-256-GCM under numbered keys (several while the master key is changed), HMAC-SHA256 for look-up.

    `where` is bound to every sealed text (table, column, account, row, generation), so that one moved
    to another row does not open.
    """

    def __init__(self, keys: Keys) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in keys.keys.items()}
        self.current = keys.current
        self._digest_key = keys.digest_key

    def seal(self, text: str, *where: str) -> bytes:
        nonce = os.urandom(_NONCE)
        cipher = self._ciphers[self.current]
        return bytes([self.current]) + nonce + cipher.encrypt(nonce, text.encode(), _bind(where))

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
    return Vault(key_file.read(file))


def _bind(where: tuple[str, ...]) -> bytes:
    return json.dumps(where).encode()
