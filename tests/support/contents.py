"""What stands in the files of a folder into which somebody still writes."""

from __future__ import annotations

from pathlib import Path

ATTEMPTS = 100


def contents(folder: Path) -> dict[Path, bytes]:
    """Return what is in every file below `folder`.

    A file that went, or got another name, before it was read has all read anew: none is missed.
    Raises `FileNotFoundError` when that goes on.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _read(folder)
        except FileNotFoundError:
            continue
    return _read(folder)


def _read(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
