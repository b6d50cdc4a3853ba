"""The document of the API is valid, complete, and true of what the server answers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from provisioning.api.operation import OPERATIONS
from tests.shell import Shell

# `make fuzz` tries the borders of every field too, which takes four times as long.
PHASES = os.environ.get("SCHEMATHESIS_PHASES", "examples,fuzzing")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "3")  # for each operation
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_document_is_valid_and_names_every_operation(shell: Shell, sample: str) -> None:
    with shell.serving():
        status, body = shell.fetch(f"{shell.url}/api/v1/openapi.json")
    document = json.loads(body)
    assert (status, document["openapi"]) == (200, "3.1.0")
    OpenAPIV31SpecValidator(document).validate()
    named = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert named == {(operation.method, operation.path) for operation in OPERATIONS}


def test_the_server_answers_as_the_document_says_whatever_it_is_asked(shell: Shell, sample: str) -> None:
    """No 5xx, and no status, type or body that the document does not allow."""
    shell.environ["PROVISIONING_LOG_LEVEL"] = "error"
    (shell.folder / "company.toml").write_text(sample)
    with shell.serving():
        key = json.loads(shell.run("load", "company.toml").stdout)["api_key"]
        checks = (
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
        )
        done = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"{shell.url}/api/v1/openapi.json",
                *("--header", f"Authorization: Bearer {key}"),
                *("--checks", checks),
                *("--max-examples", EXAMPLES, "--seed", "1", "--phases", PHASES),
                *("--suppress-health-check", "all", "--no-color"),
            ],
            cwd=shell.folder,
            text=True,
            capture_output=True,
            timeout=280,
        )
    log = (shell.folder / "server.log").read_text()
    # Emergency calls that are told nobody are called out as they should be.
    log = re.sub(
        r"^\S+ \S+ CRITICAL provisioning\.\w+: (the call id .*|emergency call .*)\n", "", log, flags=re.M
    )
    assert done.returncode == 0, done.stdout[-6000:] + log[-2000:]
    assert log == ""
    assert f"Selected: {len(OPERATIONS)}/{len(OPERATIONS)}" in done.stdout
    assert re.search(r"(\d{3,}) generated, \1 passed", done.stdout), done.stdout[-3000:]
