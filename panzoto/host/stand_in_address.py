"""Where the running stand-in of `make run` is, for the commands that are started beside it.

The variables by which it is found, and the speech engine beside it, lie in a
file of the data folder, which only its owner reads.  They are believed as long
as the folder's lock is held, which the kernel drops when the last process of
`make run` has ended, however it ended.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LOCK = "lock"
ADDRESS = "stand-in.json"


def write(data_dir: Path, variables: Mapping[str, str]) -> None:
    """Leave the variables for others to find. Raises `OSError`."""
    draft = data_dir / f".{ADDRESS}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(dict(variables), file)
    draft.replace(data_dir / ADDRESS)


def remove(data_dir: Path) -> None:
    """Take the variables away, if they are there."""
    with suppress(OSError):
        (data_dir / ADDRESS).unlink(missing_ok=True)


def read(data_dir: Path) -> dict[str, str] | None:
    """Return the variables by which a running stand-in is found; None when none of this folder runs."""
    if not _is_locked(data_dir / LOCK):
        return None
    try:
        found = json.loads((data_dir / ADDRESS).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else None


def _is_locked(lock: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
