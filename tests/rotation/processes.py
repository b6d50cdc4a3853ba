"""The worker processes of a server, as Linux shows them."""

from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def holder(pids: Iterable[int], server_port: int, client_port: int) -> int | None:
    """Which of the processes has accepted this connection, None when none has."""
    inode = _inode(f"0100007F:{server_port:04X} 0100007F:{client_port:04X}")
    return next((pid for pid in pids if inode and f"socket:[{inode}]" in _open_files(pid)), None)


def _inode(ends: str) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines():
        if ends in line:
            return line.split()[9]
    return None


def _open_files(pid: int) -> set[str]:
    found = set()
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(file.readlink()))
    except OSError:  # it has ended, or has just closed one
        pass
    return found
