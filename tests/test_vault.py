"""The vault: what it seals opens in its place alone."""

import json
from pathlib import Path

import pytest

from provisioning.errors import ProvisioningError
from provisioning.vault import Vault, open_vault

PLACE = ("extensions", "sip_password", "acc_1", "ext_1")


def test_a_sealed_text_opens_again(vault: Vault) -> None:
    assert vault.open(vault.seal("s3cret ü", *PLACE), *PLACE) == "s3cret ü"


def test_two_sealings_of_one_text_differ(vault: Vault) -> None:
    assert vault.seal("same", *PLACE) != vault.seal("same", *PLACE)


@pytest.mark.parametrize("changed", range(len(PLACE)))
def test_a_sealed_text_moved_to_another_place_does_not_open(vault: Vault, changed: int) -> None:
    sealed = vault.seal("s3cret", *PLACE)
    elsewhere = [part + "x" * (index == changed) for index, part in enumerate(PLACE)]
    with pytest.raises(ProvisioningError, match="does not open"):
        vault.open(sealed, *elsewhere)


def test_places_are_told_apart_where_their_parts_meet(vault: Vault) -> None:
    sealed = vault.seal("s3cret", "a", "bc")
    with pytest.raises(ProvisioningError):
        vault.open(sealed, "ab", "c")


def test_the_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "keys.json"
    open_vault(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_key_file_is_kept_once_made(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    sealed = open_vault(file).seal("kept", *PLACE)
    assert open_vault(file).open(sealed, *PLACE) == "kept"


def test_another_key_file_opens_nothing(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path / "one.json").seal("s3cret", *PLACE)
    with pytest.raises(ProvisioningError, match="does not open"):
        open_vault(tmp_path / "two.json").open(sealed, *PLACE)


def test_a_text_sealed_with_an_older_key_opens_while_the_key_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    sealed = open_vault(file).seal("old", *PLACE)
    data = json.loads(file.read_text())
    data["keys"]["2"] = data["digest_key"]
    data["current"] = 2
    file.write_text(json.dumps(data))
    vault = open_vault(file)
    assert vault.open(sealed, *PLACE) == "old"
    assert vault.seal("new", *PLACE)[0] == 2


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    open_vault(file)
    file.chmod(0o640)
    with pytest.raises(ProvisioningError, match="chmod 600"):
        open_vault(file)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"current": 1, "keys": {"1": "c2hvcnQ="}, "digest_key": "eA=="}']
)
def test_a_broken_key_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(ProvisioningError, match=r"keys\.json is not a key file"):
        open_vault(file)
