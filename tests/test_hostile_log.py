"""A line of the log is one line, whatever somebody else's words in it hold."""

import logging

import pytest

from provisioning.log_lines import Once, Stderr
from tests.hostile import EVERY, LONG


def test_no_words_begin_a_line_of_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    log, handler = logging.getLogger("hostile"), Stderr()
    handler.addFilter(Once())
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    texts = [*dict.fromkeys(EVERY), LONG]
    for text in texts:
        log.error("mail to %s", text)
    lines = capfd.readouterr().err.splitlines()
    log.removeHandler(handler)
    assert len(lines) == len(texts)
    assert all(line.startswith("ERROR hostile: mail to ") and line.isprintable() for line in lines)
