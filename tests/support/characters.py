"""Unicode's properties of all characters as the service's search knows them, written down for the browser.

A browser has other editions of Unicode than the service, and no property of word borders at all. So that both
find the same, the console has this table. It is written anew, where the service gets another edition, by
`python -m tests.support.characters`.
"""

from __future__ import annotations

import itertools
import sys
import textwrap
import unicodedata
from pathlib import Path

import regex

from panzoto.transcripts.words import kind_of

FILE = Path(__file__).resolve().parents[2] / "panzoto" / "console" / "words" / "characters.js"
# How wide the table is laid out, within the quotes and the indent.
WIDTH = 104
_LETTER_OR_NUMBER = regex.compile(r"(?V1)[\p{L}\p{N}]")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_HEAD = """\
// Unicode's properties of all characters, as the service's search knows them. Written by a program, and
// compared with the service by a test; docs/architecture.md says how to write it anew.
//
// Runs of characters in the order of their code points: how many in base 36 (none for one), then a capital
// that stands for the entry of that place in `PROPERTIES`. An entry is the kind of Word_Break (`Z` ZWJ, `E`
// Extend and Format, `H` Hebrew_Letter, `A` ALetter, `N` Numeric, `K` Katakana, `X` ExtendNumLet, `l`
// MidLetter, `n` MidNum, `b` MidNumLet, `q` Single_Quote, `d` Double_Quote, `P` Extended_Pictographic, `O`
// other letters and numbers, `.` the rest), then `w` for letters and numbers, then `u` for what the service
// does not decompose.
"""


def properties(code_point: int) -> str:
    """Return a character's kind, with `w` for a letter or number and `u` where Python does not know it."""
    character = chr(code_point)
    is_written = bool(_LETTER_OR_NUMBER.match(character))
    is_unknown = unicodedata.category(character) == "Cn"
    return kind_of(character) + "w" * is_written + "u" * is_unknown


def written() -> str:
    """Return the table as a module of JavaScript."""
    runs = [
        (name, len(list(run))) for name, run in itertools.groupby(map(properties, range(sys.maxunicode + 1)))
    ]
    names = sorted({name for name, _ in runs})
    letters = {name: chr(ord("A") + place) for place, name in enumerate(names)}
    table = "".join(f"{_base_36(length) if length > 1 else ''}{letters[name]}" for name, length in runs)
    lines = (f'  "{line}"' for line in textwrap.wrap(table, WIDTH))
    listed = "\n  ".join(textwrap.wrap(", ".join(f'"{name}"' for name in names), WIDTH))
    runs_written = " +\n".join(lines)
    return f"{_HEAD}\nexport const PROPERTIES = [\n  {listed},\n];\n\nexport const RUNS =\n{runs_written};\n"


def _base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


if __name__ == "__main__":
    FILE.write_text(written(), "utf-8")
