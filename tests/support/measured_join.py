"""Joins one crafted clip and prints by how many MiB its own memory grew at most, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from panzoto.crypto import segments
from panzoto.errors import PanzotoError
from panzoto.media.remux import Remux
from panzoto.playback.sitting_plan import Plan

MIB = 1024 * 1024


class OnDisk:
    """A recording that is read from a file piece by piece (see `panzoto.crypto.source.Recording`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.length = path.stat().st_size

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(MIB, stop - start))
                start += len(piece)
                yield piece


def in_memory(name: str) -> float:
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(name)]
    return int(line.split()[1]) / 1024


def opened(clip: OnDisk) -> str:
    """Join the clip and seal the plan, as opening a sitting does."""
    try:
        with Remux() as remux:
            remux.add(clip)
            plan = Plan([], remux.finish())
    except PanzotoError as error:
        return error.code
    # As it is stored: piece by piece.
    size = sum(map(len, segments.encrypt(bytes(32), "sittings/a/b", plan.pieces())))
    return f"joined, {size} bytes"


def main() -> None:
    clip = OnDisk(Path(sys.argv[1]))
    # The highest value begins anew.
    Path("/proc/self/clear_refs").write_text("5")
    before = in_memory("VmRSS")
    outcome = opened(clip)
    print(f"{in_memory('VmHWM') - before:.1f} {outcome}")


if __name__ == "__main__":
    main()
