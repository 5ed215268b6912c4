"""Searching transcripts once they are opened: milliseconds and memory of a thousand, by query and script.

Each is of one minute, some 150 words with their times, deflated as the service seals them. What fetches
them and opens the seals is left out.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable, Sequence

from bench.support.report import Target, interleaved, percentile, print_table, print_targets
from panzoto.transcripts.document import packed, read
from panzoto.transcripts.search import parse_query

VOCABULARIES = {
    "English": [
        "the",
        "meeting",
        "tomorrow",
        "don't",
        "3.14",
        "hello",
        "conversation",
        "about",
        "a",
        "budget",
        "we",
        "agreed",
        "and",
        "then",
    ],
    "Russian": [
        "привет",
        "встреча",
        "завтра",
        "сказал",
        "разговор",
        "и",
        "потом",
        "бюджет",
        "мы",
        "решили",
        "ещё",
    ],
    "Chinese": list("我们明天开会讨论预算然后一起吃饭他说好的没有问题"),
}
WORDS = 150
WORDS_A_SEGMENT = 15
MS_A_WORD = 400


def transcript(vocabulary: Sequence[str], chance: random.Random) -> bytes:
    """A minute of words from `vocabulary`, some with a number behind so that not all are alike."""
    said = [
        f"{chance.choice(vocabulary)}{chance.choice(('', '', chance.randrange(99)))}" for _ in range(WORDS)
    ]
    segments = []
    for first in range(0, WORDS, WORDS_A_SEGMENT):
        spoken = said[first : first + WORDS_A_SEGMENT]
        words = [
            {"start_ms": at * MS_A_WORD, "end_ms": (at + 1) * MS_A_WORD, "text": word}
            for at, word in enumerate(spoken, first)
        ]
        times = {"start_ms": words[0]["start_ms"], "end_ms": words[-1]["end_ms"]}
        segments.append({**times, "text": " ".join(spoken), "words": words})
    return packed({"version": 1, "segments": segments})


def search(transcripts: Sequence[bytes], query: str) -> int:
    """Read and search each, as a call does; the number of hits."""
    sought = parse_query(query)
    return sum(bool(sought.matches(read(plaintext))) for plaintext in transcripts)


def per_thousand(transcripts: Sequence[bytes], query: str) -> Callable[[], float]:
    def measure() -> float:
        start = time.process_time()
        search(transcripts, query)
        return (time.process_time() - start) * 1e6 / len(transcripts)

    return measure


def peak_kib(transcripts: Sequence[bytes], query: str) -> float:
    """What a search holds at most beyond what it was given."""
    tracemalloc.start()
    search(transcripts, query)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transcripts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    chance = random.Random(29)
    rows, slowest, memory = [], 0.0, {}
    for script, vocabulary in VOCABULARIES.items():
        transcripts = [transcript(vocabulary, chance) for _ in range(arguments.transcripts)]
        queries = {
            "in none": "zebra",
            "in all": f"{vocabulary[0]} ",
            "two words and a phrase not there": f'{vocabulary[0]} {vocabulary[1]} -"zebra zebra"',
            "a phrase": f'"{vocabulary[0]} {vocabulary[1]}"',
        }
        measures = {name: per_thousand(transcripts, query) for name, query in queries.items()}
        for name, samples in interleaved(arguments.rounds, measures).items():
            median = percentile(samples, 0.5)
            slowest = max(slowest, median)
            rows.append((f"{script}, {name}", f"{search(transcripts, queries[name])}", f"{median:.0f}"))
        few = peak_kib(transcripts[: len(transcripts) // 10], queries["in all"])
        memory[script] = peak_kib(transcripts, queries["in all"]) / few
    print_table(f"{arguments.transcripts} transcripts", ("query", "hits", "CPU ms per 1000"), rows)
    print_targets(
        [
            Target("slowest query, CPU of 1000 transcripts", slowest, 2000, unit=" ms"),
            Target("memory of all beside that of a tenth", max(memory.values()), 1.2),
        ]
    )


if __name__ == "__main__":
    main()
