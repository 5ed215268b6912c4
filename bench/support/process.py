"""What the kernel says of a process: CPU seconds, memory, bytes written and files held open (Linux)."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.02


def cpu_seconds(pid: int) -> float:
    """User and system time of the process with all its threads, to a hundredth of a second."""
    # The command name in parentheses may hold spaces, so count fields from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_mib(pid: int) -> float:
    return _status(pid, "VmRSS") / 1024


def peak_mib(pid: int) -> float:
    """The most memory that the process has had; 0 for one that has ended."""
    try:
        return _status(pid, "VmHWM") / 1024
    except (LookupError, OSError):
        return 0.0


def written_bytes(pid: int) -> int:
    """Bytes that the process sent towards a disk, whether or not they have arrived there."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "write_bytes":
            return int(value)
    raise LookupError("write_bytes")


def regular_files_held(pid: int) -> dict[str, int]:
    """Regular files that the process holds open for writing, with their size; those without a name too."""
    held: dict[str, int] = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            status = descriptor.stat()
            name = str(descriptor.readlink())
            about = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
        except OSError:
            # A descriptor may be closed between the listing and the look at it.
            continue
        flags = int(about.partition("flags:")[2].split()[0], 8)
        if stat.S_ISREG(status.st_mode) and flags & os.O_ACCMODE != os.O_RDONLY:
            held[name] = status.st_size
    return held


def files_below(*folders: Path) -> dict[str, int]:
    """Every regular file below the folders with its size."""
    found: dict[str, int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and not path.is_symlink():
                    found[str(path)] = path.stat().st_size
            except OSError:
                continue
    return found


class Watch:
    """The highest values seen of a process while it was watched."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.resident_before = resident_mib(pid)
        self.resident_peak = self.resident_before
        self.files: dict[str, int] = {}
        self._files_before = regular_files_held(pid)

    @property
    def growth_mib(self) -> float:
        return self.resident_peak - self.resident_before

    def sample(self) -> None:
        self.resident_peak = max(self.resident_peak, resident_mib(self.pid))
        for name, size in regular_files_held(self.pid).items():
            grown = size - self._files_before.get(name, 0)
            if grown > self.files.get(name, 0):
                self.files[name] = grown


@contextmanager
def watched(pid: int) -> Iterator[Watch]:
    """Sample the process fifty times a second while the block runs."""
    watch = Watch(pid)
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            watch.sample()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.sample()


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise LookupError(name)
