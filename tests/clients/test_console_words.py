"""The console finds, renders and corrects words as the service does: both on the same texts, in Node."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from panzoto.transcripts.document import parse
from panzoto.transcripts.rendering import FORMATS, render
from panzoto.transcripts.search import InvalidQuery, Term, parse_query
from panzoto.transcripts.word_times import letters_of
from panzoto.transcripts.words import folded, kind_of, words
from tests.suites import need
from tests.transcripts.support import document
from tests.transcripts.test_words import unicode_cases

ANSWERS = Path(__file__).parent / "words" / "answers.mjs"
SEED = 20
SURROGATES = range(0xD800, 0xE000)
# Where scripts, marks and pictures meet, and what each edition of Unicode has had doubts about.
TRICKY = (
    "aA\u0345\u0316\u0301\u0344\uff9eᾳßİﬃ각ﷺאא''\"\"1カ_東.,: \n\u200d\u00ad👍🅰❤\U0001f3fb"
    "\U0001e8d0\U0001d165ıᏸꭰ𐐀𝐀"
)
SAID = (
    *(
        "a",
        "A",
        "b",
        "ab",
        "the",
        "cat",
        "cat's",
        "co-op",
        "3.14",
        "1,0",
        "Straße",
        "STRASSE",
        "é",
        "e\u0301",
        "ﬁn",
    ),
    *(
        "㍿",
        "株",
        "カナ",
        "ｶﾅ",
        "한국",
        "東京",
        "👍",
        "🅰x",
        "𝐀b",
        "\u0301",
        "ſ",
        "ı",
        "i",
        "İ",
        "x_y",
        "\u200d",
        "\n",
    ),
    *(
        'צה"ל',
        "ג'",
        "00:00:05,000 -->",
        "-->",
        "<b>",
        "&",
        "\u2028",
        "\x1c",
        "\x85x",
        "\ufeffq",
        "𐐀",
        "𐐨",
        "\U0001d165",
    ),
    *("\U0001e8d0", "ᏸ", "ꭰ", ".", "\ud800"),
)
MOMENTS = (0, -0.0, -1, None, True, "5", 2**53 - 1, 2**53, 1e3, 0.5, 1.5, 2.5, 360_000_000)


def answers(**asked: list[Any]) -> dict[str, list[Any]]:
    """Return what the console's modules make of these."""
    done = subprocess.run(
        [need("node"), str(ANSWERS)],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


class Chance:
    """Texts, documents and queries such as nobody would think of."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._of_kind: dict[str, list[str]] = {}
        for code_point in range(0x110000):
            if code_point not in SURROGATES:
                self._of_kind.setdefault(kind_of(chr(code_point)), []).append(chr(code_point))

    def text(self) -> str:
        """Return up to two dozen characters, every kind of Word_Break as likely as the others."""
        pick = self._random.choice
        one = pick((lambda: pick(TRICKY), lambda: pick(self._of_kind[pick(list(self._of_kind))])))
        return "".join(one() for _ in range(self._random.randrange(24)))

    def document(self) -> str:
        segments = [self._segment() for _ in range(self._random.randrange(5))]
        return json.dumps({"version": 1, "segments": segments}, ensure_ascii=True)

    def query(self, written: str) -> str:
        """Return a query that has some chance of finding something in a document."""
        pick, said = self._random.choice, list(SAID)
        said += [
            text[start : start + pick(range(1, 9))]
            for segment in json.loads(written)["segments"]
            if isinstance(segment, dict) and (text := segment["text"])
            for start in (0, len(text) // 2)
        ]
        forms = ("{0}",) * 6 + ('"{0} {1}"', '"{0} {1}"', "-{0}", '-"{0}"', '"{0}')
        parts = [pick(forms).format(pick(said), pick(SAID)) for _ in range(pick((1, 1, 2, 3)))]
        return pick((" ", " ", "\x1c", "")).join(parts) + pick(("", " ", "."))

    def _segment(self) -> object:
        pick = self._random.choice
        spoken = [pick(SAID) + pick((" ", " ", "", " , ", "\n")) for _ in range(self._random.randrange(8))]
        text = pick(("", " ", "\x1f")) + "".join(spoken)
        segment: dict[str, object] = {"start_ms": self._moment(), "end_ms": self._moment(), "text": text}
        if pick((True, False)):
            segment["words"] = [
                {"start_ms": self._moment(), "end_ms": self._moment(), "text": word}
                for word in text.split(" ")
                if self._random.random() < 0.9
            ]
        if pick((True, False, False)):
            segment["speaker"] = pick(("A", "", None, "B\nC", "<x>"))
        return pick((segment,) * 20 + (None, [], 5))

    def _moment(self) -> object:
        return self._random.choice((*MOMENTS, *(self._random.randrange(5000) for _ in range(10))))


@pytest.fixture(scope="module")
def chance() -> Chance:
    return Chance(SEED)


def divided(text: str) -> dict[str, object]:
    letters = folded(text)
    return {"folded": letters, "words": words(letters), "letters": letters_of(text), "end": True}


def test_texts_are_folded_and_divided_alike(chance: Chance) -> None:
    texts = [chance.text() for _ in range(20_000)]
    texts += ["".join(case) for case in unicode_cases()]
    wrong = [
        (text, there, divided(text))
        for text, there in zip(texts, answers(texts=texts)["texts"], strict=True)
        if there != divided(text)
    ]
    assert wrong[:3] == []


def test_every_character_is_folded_alike() -> None:
    texts = [f"a{chr(code_point)}b" for code_point in range(0x110000) if code_point not in SURROGATES]
    folds = [answer["folded"] for answer in answers(texts=texts)["texts"]]
    assert folds == [folded(text) for text in texts]


def asked_for(query: str) -> dict[str, object] | None:
    def terms(of: tuple[Term, ...]) -> list[list[object]]:
        return [[list(term.words), term.is_open] for term in of]

    try:
        parsed = parse_query(query)
    except InvalidQuery:
        return None
    return {"wanted": terms(parsed.wanted), "unwanted": terms(parsed.unwanted)}


QUERIES = (
    *(
        "Two words ",
        '"A phrase" -"not this" -nor',
        'word "never closed ',
        'word -"never closed',
        "co-operate 東京.",
    ),
    *(
        "-co-operate 3.14 ",
        "a - b -- ",
        'a"b c"d ',
        'a "" -"!" ... ',
        "a a A ",
        "bud",
        "co-op",
        "bude\u0301",
        "bud.",
    ),
    *('"bud"', 'bud"', "bud -a", "", '"', "-", "?!", "👍", "-a", '"..."', "_", "-a -b"),
)


def test_queries_ask_for_the_same() -> None:
    found = dict(zip(QUERIES, answers(queries=list(QUERIES))["queries"], strict=True))
    assert found == {query: asked_for(query) for query in QUERIES}


def test_searches_find_the_same(chance: Chance) -> None:
    documents = [chance.document() for _ in range(15_000)]
    searches = [{"json": written, "query": chance.query(written)} for written in documents]
    found = answers(searches=searches)["searches"]
    wrong, hits = [], 0
    for search, there in zip(searches, found, strict=True):
        try:
            here = parse_query(search["query"]).matches(parse(search["json"].encode()))
        except InvalidQuery:
            assert there is None
            continue
        passages = [dataclasses.asdict(match) for match in here]
        hits += bool(passages)
        if there != {"passages": passages, "told": bool(passages)}:
            wrong.append((search, there, passages))
    assert wrong[:3] == []
    assert hits > 500


def test_documents_are_rendered_alike(chance: Chance) -> None:
    documents = [chance.document() for _ in range(5_000)]
    rendered = answers(documents=documents)["documents"]
    wrong = [
        (written, there)
        for written, there in zip(documents, rendered, strict=True)
        if there != {name: render(parse(written.encode()), name).decode() for name in FORMATS}
    ]
    assert wrong[:3] == []


# ---- What the service has no part in -----------------------------------------------------------------------

HEARD = {
    "start_ms": 0,
    "end_ms": 2000,
    "text": "We meet Tom Morrow.",
    "speaker": "A",
    "own": [1],
    "words": [
        {"start_ms": 0, "end_ms": 300, "text": "We"},
        {"start_ms": 300, "end_ms": 700, "text": "meet"},
        {"start_ms": 800, "end_ms": 1100, "text": "Tom", "own": 2},
        {"start_ms": 1200, "end_ms": 1900, "text": "Morrow."},
    ],
}
OTHER = {"start_ms": 2000, "end_ms": 3000, "text": "Yes."}


def corrected(text: str, heard: dict[str, Any] = HEARD) -> dict[str, Any]:
    """Return the document after the first segment's text became `text`."""
    written = {"version": 1, "x": "kept", "source": "engine", "segments": [heard, OTHER]}
    correction = {"json": json.dumps(written), "corrections": [{"place": 0, "text": text}]}
    done: dict[str, Any] = json.loads(answers(corrections=[correction])["corrections"][0])
    return done


def test_a_correction_keeps_what_it_does_not_touch() -> None:
    done = corrected(" We meet tomorrow. ")
    assert (done["x"], done["source"], done["segments"][1]) == ("kept", "client", OTHER)
    segment = done["segments"][0]
    assert (segment["text"], segment["speaker"], segment["own"]) == ("We meet tomorrow.", "A", [1])
    assert segment["words"] == [*HEARD["words"][:2], {"start_ms": 800, "end_ms": 1900, "text": "tomorrow."}]


def test_corrected_words_share_the_time_of_those_they_replace() -> None:
    texts = [
        (word["text"], word["start_ms"])
        for word in corrected("We shall all meet Tom Morrow.")["segments"][0]["words"]
    ]
    assert texts == [("We", 0), ("shall", 300), ("all", 300), ("meet", 300), ("Tom", 800), ("Morrow.", 1200)]
    texts = [
        (word["text"], word["start_ms"])
        for word in corrected("We see our Tom Morrow.")["segments"][0]["words"]
    ]
    assert texts == [("We", 0), ("see", 300), ("our", 500), ("Tom", 800), ("Morrow.", 1200)]


def test_an_emptied_segment_is_taken_out() -> None:
    assert corrected(" \n")["segments"] == [OTHER]


def test_words_that_cannot_be_trusted_are_not_kept() -> None:
    untimed = {**HEARD, "words": [{"text": "We"}]}
    assert "words" not in corrected("We met.", untimed)["segments"][0]


def test_words_stand_at_their_places_in_the_text() -> None:
    places = answers(words=[document(HEARD, OTHER).json.decode()])["words"][0]
    assert places == [[["We", 0], ["meet", 300], ["Tom", 800], ["Morrow", 1200]], []]


# ---- All of an account -------------------------------------------------------------------------------------


def collection(**told: Any) -> dict[str, Any]:
    """Return what searching a collection comes to; ids begin with the moment of their recordings."""
    said = {"3-c": "one two", "1-a": "two three", "2-b": "two two", "2-a": "a tw and more"}
    written = {file_id: said_in(text) for file_id, text in said.items()}
    found: dict[str, Any] = answers(collections=[{"said": written, **told}])["collections"][0]
    return found


def said_in(text: str) -> str:
    return json.dumps({"segments": [{"start_ms": 0, "end_ms": 1, "text": text}]})


NEWEST_FIRST = [["3-c", None, ["two"]], ["2-b", None, ["two", "two"]], ["1-a", None, ["two"]]]


def test_the_newest_is_found_first_and_only_hits_are_opened_again() -> None:
    done = collection(query="two ")
    assert done["found"] == NEWEST_FIRST
    assert (done["counts"], done["opened"], done["openedBySearch"]) == ({"ready": 4, "all": 4}, 4, 3)


def test_what_has_no_room_in_memory_is_found_all_the_same() -> None:
    done = collection(query="two ", most=len("one two"))
    assert done["found"] == NEWEST_FIRST
    assert done["counts"] == {"ready": 4, "all": 4}
    # The newest one fits; the others are opened by the search.
    assert done["openedBySearch"] == 4


def test_beginnings_are_found_and_what_is_gone_or_in_no_list_is_not() -> None:
    assert [hit[0] for hit in collection(query="tw")["found"]] == ["3-c", "2-a", "2-b", "1-a"]
    done = collection(query="tw", gone=["2-a"], unlisted=["2-b"])
    assert [hit[0] for hit in done["found"]] == ["3-c", "1-a"]
    assert done["counts"] == {"ready": 2, "all": 2}


def test_titles_are_found_beside_what_was_said() -> None:
    done = collection(query="two -one", titles={"4-t": "Two\nlines", "3-c": "Number two"})
    assert done["found"] == [
        ["4-t", "Two", []],
        ["3-c", "two", []],
        ["2-b", None, ["two", "two"]],
        ["1-a", None, ["two"]],
    ]
