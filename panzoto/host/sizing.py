"""How many worker processes and threads a machine bears, by its cores and its memory.

The figures are those of docs/operations.md, section Memory.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

MASTER_MIB = 70
WORKER_MIB = 105
PLAYER_MIB = 5
# FFmpeg in its sandbox, while it reads the clips of a sitting, and how many of it a worker has at one time.
DEMUXER_MIB = 110
DEMUXERS = 2
# FFmpeg in its sandbox, while it makes some blocks of a WAV, and how many of it a worker has at one time.
RENDERER_MIB = 36
RENDERERS = 2
# The operating system, nginx, the events worker.
OTHERS_MIB = 300
THREADS = 128
FEWEST_THREADS = 32
MAX_WORKERS = 64
MIB = 1024 * 1024
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: whole cores, and MiB of memory."""

    cores: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Size:
    """Worker processes, and threads in each."""

    workers: int
    threads: int


def this_machine(cgroups: Path = CGROUPS) -> Machine:
    """Return what the kernel grants this process, within the limits of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    quota = _numbers(cgroups / "cpu.max")
    if len(quota) == 2:
        cores = min(cores, max(1, math.ceil(quota[0] / quota[1])))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        memory = min([memory, *_numbers(cgroups / name)])
    return Machine(cores, memory // MIB)


def _numbers(file: Path) -> list[int]:
    """The numbers in a file of the kernel's; none when it is not there or says `max`."""
    try:
        words = file.read_text().split()
    except OSError:
        return []
    return [int(word) for word in words] if all(word.isdigit() for word in words) else []


def size_for(machine: Machine, hash_mib: float, hashes_at_once: int, workers: int | None = None) -> Size:
    """Return one worker for each core, or fewer where memory ends first; `workers` fixes their number.

    Each worker is given its own memory twice, since during a change of release the workers before it still
    play what they have begun; then all of its hashes, sittings and renderings, and a player for each thread.
    """
    left = machine.memory_mib - OTHERS_MIB - 2 * MASTER_MIB
    fixed = 2 * WORKER_MIB + hashes_at_once * hash_mib + DEMUXERS * DEMUXER_MIB + RENDERERS * RENDERER_MIB
    if workers is None:
        fitting = int(left // (fixed + FEWEST_THREADS * PLAYER_MIB))
        workers = max(1, min(machine.cores, fitting, MAX_WORKERS))
    players = int((left / workers - fixed) // PLAYER_MIB)
    return Size(workers, max(FEWEST_THREADS, min(THREADS, players)))
