"""What the server is made of: locked by hash, each floor with its reason, and listed on demand."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.defences import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def locked(file: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each requirement of the lock file with its hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / file).read_text("utf-8"), flags=re.M)
    for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip()):
        name, *hashes = entry.split("--hash=")
        yield Requirement(name), [text.strip() for text in hashes]


@pytest.mark.parametrize("file", LOCKS)
def test_each_package_is_locked_to_one_release_by_hashes(file: str) -> None:
    found = [*locked(file)]
    assert len(found) > 30
    for requirement, hashes in found:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", text) for text in hashes), requirement


def test_what_is_asked_for_is_what_is_locked_and_what_is_installed() -> None:
    metadata = project()["project"]
    asked = metadata["dependencies"] + metadata["optional-dependencies"]["postgres"]
    dev = [text for text in metadata["optional-dependencies"]["dev"] if not text.startswith("provisioning")]
    for file, requirements in (("requirements.lock", asked), ("requirements-dev.lock", asked + dev)):
        exact = {canonicalize_name(r.name): r for r, _ in locked(file)}
        for requirement in map(Requirement, requirements):
            one = exact[canonicalize_name(requirement.name)]
            release = str(one.specifier).removeprefix("==")
            assert requirement.specifier.contains(release), (file, requirement)
            assert version(requirement.name) == release, (file, requirement)


def test_the_lock_of_the_tests_holds_that_of_the_server() -> None:
    ours, theirs = ({str(r): hashes for r, hashes in locked(file)} for file in LOCKS)
    assert ours.items() <= theirs.items()


def test_make_installs_nothing_that_is_not_locked() -> None:
    done = subprocess.run(
        ["make", "--always-make", "--dry-run", "run", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    installs = [
        line.partition("pip install")[2] for line in done.stdout.splitlines() if "pip install" in line
    ]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-build-isolation --editable ." in install


def test_each_dependency_has_a_floor_and_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    metadata = project()["project"]
    for asked in (*metadata["dependencies"], *metadata["optional-dependencies"]["postgres"]):
        assert re.fullmatch(r"[\w.\[\]-]+>=[\d.]+", asked)
        assert re.search(rf'"{re.escape(asked)}"[],]+ +# [\w/]', text), asked


def test_the_bill_of_materials_names_each_package_of_the_lock(tmp_path: Any) -> None:
    subprocess.run(
        ["make", "--silent", "sbom", f"SBOM={tmp_path}/sbom.json"], cwd=ROOT, check=True, capture_output=True
    )
    bill = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    named = {component["purl"].partition("?")[0] for component in bill["components"]}
    assert named == {
        f"pkg:pypi/{canonicalize_name(r.name)}@{str(r.specifier).removeprefix('==')}"
        for r, _ in locked("requirements.lock")
    }
