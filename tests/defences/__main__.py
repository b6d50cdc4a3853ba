"""`python -m tests.defences [THREAT…]` removes each defence in a copy of the project, and runs its tests.

Exits with 1 where the tests of a removed defence still pass, or do not run at all.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.defences import ROOT, Defence, every

_FAILED: Final = 1  # pytest's status when tests ran and some failed
_SECONDS: Final = 300  # for one defence's tests


def main(threats: list[str]) -> int:
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(Path(folder))
        for defence in every():
            if threats and defence.threat not in threats:
                continue
            found = _without(copy, defence)
            missed += not found
            print(f"{defence.threat}\t{'fails' if found else 'NOT SEEN'}\t{defence.file}", flush=True)  # noqa: T201
    return 1 if missed else 0


def _copy(folder: Path) -> Path:
    """All that git does not ignore, as it stands."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def _without(copy: Path, defence: Defence) -> bool:
    """Whether the tests fail without it."""
    file = copy / defence.file
    whole = file.read_text("utf-8")
    assert whole.count(defence.find) == 1, f"{defence.threat}: not once in {defence.file}"
    broken = whole.replace(defence.find, defence.replace)
    if file.suffix == ".py":
        compile(broken, defence.file, "exec")  # what cannot run shows nothing
    file.write_text(broken, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0"]
    try:
        done = subprocess.run(
            [*command, *defence.tests],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=_SECONDS,
        )
        return done.returncode == _FAILED
    except subprocess.TimeoutExpired:
        return True  # what is never answered without the defence is not served either
    finally:
        file.write_text(whole, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
