"""Segment decryption of a version 2 recording against one-shot AES-GCM of the same library, on one core.

The default size is one for which an allocator reuses its memory.  Beyond some 32 MiB every one-shot result is
fresh memory of the kernel's, whose page faults cost more than the decryption and flatter the segments.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.support.recordings import MIB, Plain
from bench.support.report import Target, interleaved, print_table, print_targets, ratio
from panzoto.crypto import header, segments

LEAST_OF_ONE_SHOT = 0.8


class InMemory:
    """An object in memory as the formats read it; its pieces are views, so that no copy is measured."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    @property
    def size(self) -> int:
        return len(self._content)

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[Any]:
        for at in range(start, stop, piece):
            yield self._content[at : min(at + piece, stop)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    # On one core there is nothing to hide behind: neither side may use a second one.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    size = arguments.size_mib * MIB
    vault_key = os.urandom(32)
    source = InMemory(b"".join(segments.encrypt(vault_key, "users/bench/audio-1.3gp", Plain(size))))
    first = bytes(next(source.pieces(0, segments.PREAMBLE, segments.PREAMBLE)))
    file_key = header.open_file_key(first[: header.HEADER_BYTES], vault_key)
    aead, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    whole = aead.encrypt(nonce, b"".join(Plain(size)), None)

    def by_segments() -> float:
        started = time.process_time()
        recording = segments.SegmentedRecording(file_key, first, "users/bench/audio-1.3gp", source)
        got = sum(len(piece) for piece in recording.plain(0, recording.length))
        if got != size:
            raise RuntimeError(f"{got} of {size} bytes came out")
        return time.process_time() - started

    def one_shot() -> float:
        started = time.process_time()
        if len(aead.decrypt(nonce, whole, None)) != size:
            raise RuntimeError("one-shot decryption lost bytes")
        return time.process_time() - started

    reused = bytearray(size)

    def one_shot_in_place() -> float:
        started = time.process_time()
        aead.decrypt_into(nonce, whole, None, reused)
        return time.process_time() - started

    samples = interleaved(
        arguments.rounds,
        {
            "segments": by_segments,
            "one-shot": one_shot,
            "one-shot, into the same buffer": one_shot_in_place,
        },
    )
    rows = [
        (
            name,
            f"{statistics.median(seconds) * 1000:.1f}",
            f"{arguments.size_mib / statistics.median(seconds):.0f}",
            f"{1 / ratio(samples, name, 'one-shot'):.2f}",
        )
        for name, seconds in samples.items()
    ]
    print_table(f"{arguments.size_mib} MiB, CPU time on one core", ("", "ms", "MiB/s", "of one-shot"), rows)
    share = 1 / ratio(samples, "segments", "one-shot")
    print_targets([Target("segments / one-shot AES-GCM (speed)", share, LEAST_OF_ONE_SHOT, at_most=False)])


if __name__ == "__main__":
    main()
