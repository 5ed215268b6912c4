"""Word error rate and processor time of the speech engine of `make run`, on espeak-ng and on recorded speech.

`--recordings` is the folder of a corpus: WAV files, each with a text beside it (`name.wav`, `name.txt`), as
the source of the package pocketsphinx has one in test/data/librivox.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.support import process
from bench.support.report import Target, print_table, print_targets
from deploy.local.speech import fetching, weights
from deploy.local.speech.front import listener_command
from tests.support.processes import children
from tests.support.speech import front
from tests.support.waiting import eventually

VOICES = ("en-us", "en-gb", "en-gb-x-rp")
TEXT = """
We met on Tuesday morning to talk about the garden behind the old library. My sister said that the roses
need water every second day, and that nobody has cut the hedge since March. In the afternoon the rain
stopped, so we walked along the river to the bridge. There we saw two boats, a grey heron, and a man who
was painting the mill. He told us that he had lived in this village since he was a child. Please remember
to send the letter to my brother before Friday. Everybody should bring a pencil and a sheet of paper.
After lunch we will decide who takes care of the money. I would like to thank all of you for your
patience.
"""


@dataclass(frozen=True)
class Spoken:
    """A sound, and what is said in it."""

    name: str
    wav: bytes
    text: str
    seconds: float


def by_espeak(folder: Path) -> Iterator[Spoken]:
    text = " ".join(TEXT.split())
    for voice in VOICES:
        path = folder / f"{voice}.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(path), text], check=True)
        yield Spoken(f"espeak-ng {voice}", path.read_bytes(), text, seconds_of(path))


def recorded(folder: Path) -> Iterator[Spoken]:
    for path in sorted(folder.glob("*.wav")):
        if (said := path.with_suffix(".txt")).exists():
            yield Spoken(path.stem, path.read_bytes(), said.read_text(), seconds_of(path))


def seconds_of(path: Path) -> float:
    with closing(wave.open(str(path))) as file:
        return float(file.getnframes()) / file.getframerate()


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", re.sub(r"<[^>]*>|\([^)]*\)", " ", text.lower()))


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words are to be put in, left out or replaced (Levenshtein's distance)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        corner, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            corner, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, corner + (word != other))
    return row[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=Path, help="a folder of recorded English")
    parser.add_argument("--model", type=Path, help="another model than the one that was fetched")
    arguments = parser.parse_args()
    model = arguments.model or weights.found(fetching.models_in(fetching.ENVIRONMENT))
    if model is None:
        sys.exit("The speech engine is not there: make speech")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sounds = [*by_espeak(folder), *(recorded(arguments.recordings) if arguments.recordings else [])]
        with front(folder, listener_command(fetching.ENVIRONMENT, model.absolute())) as running:
            eventually(lambda: running.health().status_code == 200, "it is not ready")
            (listener,) = children(running.process.pid)
            loaded = process.cpu_seconds(listener)
            rows, wrong, all_words = [], 0, 0
            for sound in sounds:
                before = process.cpu_seconds(listener)
                heard = words_of(running.ask(sound.wav, language="en").json()["text"])
                cost = process.cpu_seconds(listener) - before
                said = words_of(sound.text)
                mistakes = errors(said, heard)
                wrong, all_words = wrong + mistakes, all_words + len(said)
                rate, minutes = mistakes / len(said), sound.seconds / 60
                rows.append((sound.name, f"{sound.seconds:.0f} s", f"{rate:.1%}", f"{cost / minutes:.1f} s"))
            spent = process.cpu_seconds(listener) - loaded
            memory = process.resident_mib(listener)
    print_table(model.name, ("sound", "length", "wrong words", "CPU a minute"), rows)
    a_minute = spent / sum(sound.seconds for sound in sounds) * 60
    targets = [
        Target("wrong words of all", wrong / all_words, 0.10),
        Target("CPU seconds a minute of sound", a_minute, 15.0),
        Target("memory of the process, MiB", memory, 700.0),
    ]
    return 0 if print_targets(targets) else 1


if __name__ == "__main__":
    sys.exit(main())
