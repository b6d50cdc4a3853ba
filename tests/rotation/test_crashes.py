"""A rotation whose process is killed between any two of its statements happened wholly or not at all."""

import itertools
import logging
import pickle
from pathlib import Path

import pytest

from provisioning.config import Config
from tests.compiled_once import compiled_once
from tests.conftest import Stock
from tests.rotation import crash
from tests.rotation.crash import Account, Found, Way
from tests.shell import Process


def write(way: Way, account: Account, report: Path) -> None:
    logging.disable(logging.WARNING)
    with compiled_once():
        report.write_bytes(pickle.dumps([*crash.crashes(way, account)]))


def crashes(way: Way, stock: Stock, folder: Path) -> list[Found]:
    """The last is the one that did not crash."""
    report, said = folder / "report", folder / "said"
    said.write_text("")
    account = Account(Config(stock.url, key_file=stock.key_file), stock.account_id, stock.keys["admin"])
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    done = Process(write, (way, account, report), folder=folder, environ=environ, out=said, err=said)
    assert done.wait(300) == 0, said.read_text()
    found: list[Found] = pickle.loads(report.read_bytes())
    return found


@pytest.mark.parametrize("way", [crash.by_api, crash.by_command, crash.by_commit])
def test_wherever_it_crashes_it_happened_wholly_or_not_at_all(way: Way, stock: Stock, tmp_path: Path) -> None:
    found = crashes(way, stock, tmp_path)
    generation = 2  # one rotation was before
    for each in found:
        happened = committed(each)
        generation += happened
        assert each == Found(
            each.boundaries,
            each.killed,
            generations=(generation,),
            before=404 if happened else 200,
            current=200,
            entries=generation - 1,
            broken=None,
        )
    # So that it is no test of nothing.
    assert [len(each.boundaries) for each in found[:-1]] == [*range(1, len(found))]
    assert len(found) > 10 and committed(found[-2]) and not found[-1].killed


def committed(found: Found) -> bool:
    """Whether the process had passed the commit of its rotation."""
    passed = found.boundaries[:-1] if found.killed else found.boundaries
    made = ("INSERT INTO provisioning_tokens", "UPDATE provisioning_tokens")
    after = itertools.dropwhile(lambda name: not name.startswith(made), passed)
    return "COMMIT" in after
