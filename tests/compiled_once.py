"""Statements that are compiled once in a process, whatever engine they are for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa


@contextmanager
def compiled_once() -> Iterator[None]:
    """Each test's server has an engine, and each engine compiles anew: a third of the time of most tests."""
    compiled: dict[type[sa.Dialect], dict[object, object]] = {}

    def connected(connection: sa.Connection) -> None:
        connection.execution_options(compiled_cache=compiled.setdefault(type(connection.dialect), {}))

    with pytest.MonkeyPatch.context() as patch:
        # The dialect is a part of what a statement is found by.
        patch.setattr(sa.Dialect, "__hash__", lambda dialect: hash(type(dialect)))
        patch.setattr(sa.Dialect, "__eq__", lambda dialect, other: type(dialect) is type(other))
        sa.event.listen(sa.Engine, "engine_connect", connected)
        yield
        sa.event.remove(sa.Engine, "engine_connect", connected)
