"""Hours of sound on their way to a speech engine: processor time and memory of the worker and of its child.

The recordings are a minute of noise in several kinds, again and again, and are nowhere whole.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.support.process import regular_files_held, resident_mib, watched
from bench.support.report import Target, print_table, print_targets
from panzoto.media.sound import Clip, SoundOfClips
from tests.support import bursts
from tests.support.bursts import Repeated
from tests.support.processes import children

MAX_BYTES = 25_000_000
SAMPLE_SECONDS = 0.05
CHILD_BOUND_MIB = 200
# The piece before, the one that comes, and that one as it is handed on.
GROWTH_BOUND_MIB = 100
CPU_BOUND = 1.0


def main() -> None:
    arguments = _arguments()
    rows, targets = [], []
    for name in arguments.kinds:
        row, found = _measured(name, round(60 * arguments.hours))
        rows.append(row)
        targets += found
    print_table(
        f"{arguments.hours:g} hours of sound",
        ("", "MiB", "pieces", "seconds", "CPU s/min, child", "worker", "child, peak", "worker, growth"),
        rows,
    )
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["amr"])
    return parser.parse_args()


def _measured(name: str, minutes: int) -> tuple[tuple[str, ...], list[Target]]:
    clip = KINDS[name](minutes)
    began, own = time.monotonic(), time.process_time()
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = 0
    with watched(os.getpid()) as worker, SoundOfClips() as sound, _highest() as peak:
        files = len(regular_files_held(os.getpid()))
        for _ in sound.pieces([Clip(clip)], MAX_BYTES):
            count += 1
        held = len(regular_files_held(os.getpid())) - files
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    heard = sound.borders[0][1] / 60_000
    spent = (after.ru_utime + after.ru_stime - child.ru_utime - child.ru_stime) / heard
    row = (
        name,
        f"{clip.length / 2**20:.0f}",
        f"{count}",
        f"{time.monotonic() - began:.0f}",
        f"{spent:.2f}",
        f"{(time.process_time() - own) / heard:.3f}",
        f"{peak[0]:.0f} MiB",
        f"{worker.growth_mib:.0f} MiB",
    )
    return row, [
        Target(f"{name}: CPU seconds of the child for a minute", spent, CPU_BOUND),
        Target(f"{name}: memory of the child", peak[0], CHILD_BOUND_MIB, unit=" MiB"),
        Target(f"{name}: growth of the worker", worker.growth_mib, GROWTH_BOUND_MIB, unit=" MiB"),
        Target(f"{name}: files held open", held, 0),
    ]


@contextmanager
def _highest() -> Iterator[list[float]]:
    """The most memory, in MiB, that the one child of this process was seen with while the block ran."""
    (pid,) = children(os.getpid())
    seen, stop = [0.0], threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            try:
                seen[0] = max(seen[0], resident_mib(pid))
            except (OSError, LookupError):
                # It has ended.
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _noise(rate: int) -> array[int]:
    noise = random.Random(7)
    return array("h", (noise.randrange(-8000, 8000) for _ in range(60 * rate)))


def _amr(minutes: int) -> Repeated:
    made = bursts.encoded(_noise(8000), "amr", "libopencore_amrnb", 8000)
    return Repeated(made[:6], made[6:], minutes)


def _adts(minutes: int) -> Repeated:
    return Repeated(b"", bursts.encoded(_noise(44100), "adts", "aac", 44100), minutes)


def _mp3(minutes: int) -> Repeated:
    made = bursts.encoded(_noise(44100), "mp3", "mp3", 44100, id3v2_version="0", write_xing="0")
    return Repeated(b"", made, minutes)


def _wav(minutes: int) -> Repeated:
    made = bursts.encoded(_noise(48000), "wav", "pcm_s16le", 48000, "stereo")
    sound = made.index(b"data") + 8
    # A length of nothing but ones is unknown.
    return Repeated(made[: sound - 4] + b"\xff" * 4, made[sound:], minutes)


KINDS: dict[str, Callable[[int], Repeated]] = {"amr": _amr, "adts": _adts, "mp3": _mp3, "wav": _wav}


if __name__ == "__main__":
    main()
