"""What the kernel tells of other processes, which may end at any time (Linux)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError)


def children(pid: int) -> list[int]:
    """Return the processes that any thread of `pid` has started and that still are; without /proc, none."""
    found: list[int] = []
    with suppress(*GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(*GONE):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`: each child with what is below it."""
    return [one for child in children(pid) for one in (child, *descendants(child))]


def command(pid: int) -> str:
    """Return the words of a process's command; none of one that has ended."""
    with suppress(*GONE):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def opened(pid: int) -> dict[int, str]:
    """Return what each descriptor of a process leads to, but for those that are closed meanwhile."""
    found = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(*GONE):
            found[int(descriptor.name)] = str(descriptor.readlink())
    return found
