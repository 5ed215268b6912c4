"""Words of any script: how they are folded for comparison, and where they begin and end.

Borders are those of the default rules of Unicode's annex 29 (https://www.unicode.org/reports/tr29/), without
any dictionary, so that a browser finds the same. They are found in the folded text: what is equal once folded
is then divided alike, however it was written (5㎏ and 5kg). Of the pieces between borders those
are words that hold a letter or a number, which are the characters of categories L and N.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# It knows Unicode's properties, where Python's own `re` and `unicodedata` do not. Its `\b` is not annex 29's:
# it finds no border behind half a flag.
import regex

# Real texts get by with a few thousand; whoever writes every character of Unicode shall not fill the memory.
_MOST_REMEMBERED = 16_384
# How many characters of a long text are folded at one time.
PART = 65_536
# No document has more bytes. A text grows beyond that only by characters that stand for whole sentences (ﷺ);
# what lies behind is not sought.
MOST_FOLDED = 16 * 1024 * 1024


def folded(text: str) -> str:
    """Return `text` for comparison: NFKD, full case folding, NFKD again, and nothing of category M.

    Each character is folded by itself. That gives the same, since the order of marks is all that a neighbour
    could change, and it keeps a text of marks alone from being sorted, which takes the square of its length.
    """
    return text.lower() if text.isascii() else text.translate(_FOLDINGS)


def folded_lengths(text: str) -> Iterator[int]:
    """Yield how many characters each character of `text` becomes, 0 for a mark."""
    return map(len, map(_FOLDINGS.__getitem__, map(ord, text)))


def folded_parts(text: str) -> Iterator[str]:
    """Yield the folded forms of `PART` characters of `text` at a time, up to `MOST_FOLDED`."""
    size = 0
    for start in range(0, len(text), PART):
        if size >= MOST_FOLDED:
            return
        part = folded(text[start : start + PART])
        size += len(part)
        yield part


def borders(folded_text: str) -> Iterator[tuple[int, int]]:
    """Yield where the words of a folded text lie, as pairs of start and end."""
    return (piece for piece in pieces(folded_text) if is_word(folded_text, *piece))


def pieces(folded_text: str) -> Iterator[tuple[int, int]]:
    """Yield where pieces between borders lie that may be words."""
    return (found.span() for found in _PIECE.finditer(folded_text.translate(_KINDS)))


def is_word(folded_text: str, start: int, end: int) -> bool:
    """Whether a piece is a word.

    A connector alone is none, nor is a letter in a box, which Unicode counts among the symbols.
    """
    return folded_text[start].isalnum() or _LETTER_OR_NUMBER.search(folded_text, start, end) is not None


def words(folded_text: str) -> list[str]:
    """Return the words of a folded text in order."""
    return [folded_text[start:end] for start, end in borders(folded_text)]


def kind_of(character: str) -> str:
    """Return the letter that stands for a character's part in the rules of borders; a dot for none."""
    found = _KIND.match(character)
    return (found and found.lastgroup) or "."


class _Foldings(dict[int, str]):
    """What each character becomes; worked out when it is met first."""

    def __missing__(self, code_point: int) -> str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        decomposed = unicodedata.normalize("NFKD", chr(code_point))
        lowered = unicodedata.normalize("NFKD", decomposed.casefold())
        kept = "".join(each for each in lowered if unicodedata.category(each)[0] != "M")
        return self.setdefault(code_point, kept)


class _Kinds(dict[int, int]):
    """The letter under which `_PIECE` knows a character; worked out when it is met first."""

    def __missing__(self, code_point: int) -> int:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        return self.setdefault(code_point, ord(kind_of(chr(code_point))))


_FOLDINGS = _Foldings()
_KINDS = _Kinds()

# Annex 29's Word_Break property, a letter a value. `O` are letters and numbers of which it says nothing: the
# scripts that are written without spaces, where each character is a word.
_KIND = regex.compile(
    r"""(?V1x)
      (?<Z>\p{WB=ZWJ}) | (?<E>[\p{WB=Extend}\p{WB=Format}])
    | (?<H>\p{WB=Hebrew_Letter}) | (?<A>\p{WB=ALetter}) | (?<N>\p{WB=Numeric}) | (?<K>\p{WB=Katakana})
    | (?<X>\p{WB=ExtendNumLet})
    | (?<l>\p{WB=MidLetter}) | (?<n>\p{WB=MidNum}) | (?<b>\p{WB=MidNumLet})
    | (?<q>\p{WB=Single_Quote}) | (?<d>\p{WB=Double_Quote})
    | (?<P>\p{Extended_Pictographic}) | (?<O>[\p{L}\p{N}])
    """
)


def _piece() -> re.Pattern[str]:
    """The rules of annex 29 as one pattern over kinds, all of it in atomic groups: nothing is tried twice."""
    extended = _any_number("[EZ]")  # WB4
    letter_between = rf"[lbq]{extended}(?=[AH])"  # WB6, WB7
    number_between = rf"[nbq]{extended}(?=N)"  # WB11, WB12
    letters_numbers = (
        rf"(?:{_some('A')}{extended}{_perhaps(letter_between)}"  # WB5, WB9
        rf"|{_some('N')}{extended}{_perhaps(number_between)}"  # WB8, WB10
        rf"|H{extended}(?:{letter_between}|d{extended}(?=H)|(?!q)))"  # WB7b, WB7c
    )
    quoted = rf"H{extended}q{extended}"  # WB7a: the quote belongs to the letter, and nothing follows it.
    run = rf"(?:{_some(letters_numbers)}|{_some(f'K{extended}')})"  # WB13
    connectors = _some(f"X{extended}")  # WB13a, WB13b
    end = _perhaps(rf"{_any_number(letters_numbers)}{quoted}|{run}")
    picture = _perhaps(rf"(?<=Z)P{extended}")  # WB3c
    linked = _perhaps(connectors) + _any_number(run + connectors)
    # What most words are: letters, and behind them nothing of which any rule says that it belongs to them.
    plain = rf"{_some('A')}(?![AEHKNXZlbq])"
    return re.compile(rf"{plain}|(?=[ANHKX]){linked}{end}{picture}|O{extended}{picture}")


# Not `*+` and its like, which Python before 3.11.5 matches wrongly:
# https://github.com/python/cpython/issues/106052
def _any_number(pattern: str) -> str:
    return f"(?>(?:{pattern})*)"


def _some(pattern: str) -> str:
    return f"(?>(?:{pattern})+)"


def _perhaps(pattern: str) -> str:
    return f"(?>(?:{pattern})?)"


_PIECE = _piece()
_LETTER_OR_NUMBER = regex.compile(r"(?V1)[\p{L}\p{N}]")
