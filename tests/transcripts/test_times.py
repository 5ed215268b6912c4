"""From pieces of a conversation back to the recordings that it was made of."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panzoto.transcripts.answer import Answer, Segment
from panzoto.transcripts.document import Word, without_words
from panzoto.transcripts.times import Heard, Origin, Stretch, detected, documents

# How long an example takes is the machine's business.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A second each, half a second apart.
TWO_CLIPS = [(0, 1000), (1500, 1000)]
ORIGIN = Origin("api.example", "whisper-1", "2026-11-28T12:00:00Z")


def told(
    answers: list[Heard], borders: list[tuple[int, int]], origin: Origin = ORIGIN
) -> list[dict[str, Any]]:
    return documents(answers, borders, [f"file-{number}" for number in range(len(borders))], origin)


def heard(*segments: Segment, start: int = 0, length: int = 60_000, language: str | None = "en") -> Heard:
    return Stretch(start, length), Answer(language, segments)


def spoken(document: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [(one["start_ms"], one["end_ms"], one["text"]) for one in document["segments"]]


def test_a_document_says_what_it_is() -> None:
    segment = Segment(500, 1500, "Hello there.", (Word(500, 900, "Hello"),), "A")
    assert told([heard(segment, Segment(2000, 3000, "Bye."))], [(0, 60_000)]) == [
        {
            "version": 1,
            "file_id": "file-0",
            "language": "en",
            "duration_ms": 60_000,
            "engine": "api.example",
            "model": "whisper-1",
            "created_at": "2026-11-28T12:00:00Z",
            "source": "engine",
            "segments": [
                {
                    "start_ms": 500,
                    "end_ms": 1500,
                    "text": "Hello there.",
                    "speaker": "A",
                    "words": [{"start_ms": 500, "end_ms": 900, "text": "Hello"}],
                },
                {"start_ms": 2000, "end_ms": 3000, "text": "Bye."},
            ],
        }
    ]


def test_times_of_pieces_are_put_together() -> None:
    answers = [
        heard(Segment(0, 1000, "one"), start=0, length=10_000),
        heard(Segment(0, 1000, "two", (Word(0, 1000, "two"),)), start=10_000, length=10_000),
    ]
    (document,) = told(answers, [(0, 20_000)])
    assert spoken(document) == [(0, 1000, "one"), (10_000, 11_000, "two")]
    assert document["segments"][1]["words"] == [{"start_ms": 10_000, "end_ms": 11_000, "text": "two"}]


def test_silence_is_a_document_without_segments() -> None:
    first, second = told([heard(Segment(0, 900, "one"))], [(0, 1000), (1500, 1000)])
    assert spoken(first) == [(0, 900, "one")]
    assert (second["segments"], second["language"], second["duration_ms"]) == ([], None, 1000)
    assert told([], [(0, 1000)])[0]["segments"] == []
    assert told([], []) == []


class TestStraddling:
    def test_a_segment_without_words_goes_where_more_of_it_is(self) -> None:
        first, second = told([heard(Segment(500, 1900, "a"), Segment(700, 2500, "b"))], TWO_CLIPS)
        assert spoken(first) == [(500, 1000, "a")]
        assert spoken(second) == [(0, 1000, "b")]

    def test_of_equal_parts_the_first_has_it(self) -> None:
        first, second = told([heard(Segment(900, 1600, "a"))], TWO_CLIPS)
        assert (spoken(first), spoken(second)) == ([(900, 1000, "a")], [])

    def test_a_word_goes_where_more_of_it_is_and_splits_its_segment(self) -> None:
        words = (Word(800, 950, "One"), Word(960, 1700, "two"), Word(1800, 1900, "three"))
        first, second = told([heard(Segment(700, 2000, "“One, two; three.”", words))], TWO_CLIPS)
        assert first["segments"] == [
            {
                "start_ms": 700,
                "end_ms": 950,
                "text": "“One,",
                "words": [{"start_ms": 800, "end_ms": 950, "text": "One"}],
            }
        ]
        assert second["segments"] == [
            {
                "start_ms": 0,
                "end_ms": 500,
                "text": "two; three.”",
                "words": [
                    {"start_ms": 0, "end_ms": 200, "text": "two"},
                    {"start_ms": 300, "end_ms": 400, "text": "three"},
                ],
            }
        ]

    def test_a_segment_whose_words_are_all_in_one_goes_there_whole(self) -> None:
        segment = Segment(0, 1700, "Well, two", (Word(1600, 1700, "two"),))
        first, second = told([heard(segment)], TWO_CLIPS)
        assert (spoken(first), spoken(second)) == ([], [(0, 200, "Well, two")])

    def test_what_lies_in_the_gap_goes_to_the_nearer(self) -> None:
        answers = [heard(Segment(1100, 1200, "a"), Segment(1300, 1400, "b"), Segment(1450, 1450, "c"))]
        first, second = told(answers, TWO_CLIPS)
        assert spoken(first) == [(1000, 1000, "a")]
        assert spoken(second) == [(0, 0, "b"), (0, 0, "c")]

    def test_what_begins_where_two_meet_belongs_to_the_second(self) -> None:
        first, second = told([heard(Segment(1000, 1000, "a"))], [(0, 1000), (1000, 1000)])
        assert (spoken(first), spoken(second)) == ([], [(0, 0, "a")])

    def test_one_word_may_be_said_over_many(self) -> None:
        borders = [(number * 100, 100) for number in range(10)]
        words = (Word(50, 90, "a"), Word(120, 890, "b"), Word(905, 990, "c"))
        documents_ = told([heard(Segment(50, 990, "a b c", words))], borders)
        assert [len(one["segments"]) for one in documents_] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]

    def test_text_whose_words_are_spelled_otherwise_is_not_lost(self) -> None:
        words = (
            Word(800, 900, "we"),
            Word(910, 990, "are"),
            Word(1600, 1700, "twenty"),
            Word(1800, 1900, "now"),
        )
        first, second = told([heard(Segment(700, 2000, "We are 20 now.", words))], TWO_CLIPS)
        assert [one["text"] for one in first["segments"] + second["segments"]] == ["We are", "20 now."]

    def test_text_that_has_nothing_of_its_words_is_told_by_them(self) -> None:
        words = (Word(800, 900, "ein"), Word(1600, 1700, "zwei"))
        first, second = told([heard(Segment(700, 2000, "12", words))], TWO_CLIPS)
        assert [one["text"] for one in first["segments"] + second["segments"]] == ["ein", "zwei"]

    def test_text_without_spaces_is_cut_between_its_words(self) -> None:
        words = (Word(800, 900, "東京"), Word(1600, 1700, "大阪"))
        first, second = told([heard(Segment(700, 2000, "東京、大阪。", words))], TWO_CLIPS)
        assert [one["text"] for one in first["segments"] + second["segments"]] == ["東京、", "大阪。"]


class TestLanguage:
    def test_it_is_that_of_most_sound(self) -> None:
        answers = [
            heard(Segment(0, 1, "a"), length=4000, language="de"),
            heard(Segment(0, 1, "b"), start=4000, length=6000, language="fr"),
            heard(Segment(0, 1, "c"), start=10_000, length=9000, language=None),
            heard(Segment(0, 1, "d"), start=19_000, length=3000, language="de"),
        ]
        assert detected(answers) == "de"
        assert [one["language"] for one in told(answers, [(0, 10_000), (10_000, 12_000)])] == ["fr", "de"]

    def test_where_the_engine_tells_none_it_is_the_one_that_was_asked_for(self) -> None:
        asked = Origin("engine", None, "2026-11-28T12:00:00Z", "it")
        assert told([heard(Segment(0, 1, "a"), language=None)], [(0, 10)], asked)[0]["language"] == "it"
        assert told([heard(Segment(0, 1, "a"), language=None)], [(0, 10)])[0]["language"] is None
        assert detected([heard(language=None)]) is None


def test_words_can_be_left_out_of_a_document() -> None:
    (document,) = told([heard(Segment(0, 10, "a", (Word(0, 10, "a"),), "A"))], [(0, 100)])
    bare = without_words(document)
    assert bare["segments"] == [{"start_ms": 0, "end_ms": 10, "text": "a", "speaker": "A"}]
    assert {**bare, "segments": document["segments"]} == document


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Heard], list[tuple[int, int]]]:
    borders, clock = [], 0
    for gap, length in draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 90)), min_size=1, max_size=6)
    ):
        borders.append((clock + gap, length))
        clock += gap + length
    answers: list[Heard] = []
    start = 0
    while start < clock:
        length = draw(st.integers(1, clock - start))
        answers.append(
            (Stretch(start, length), Answer("en", tuple(draw(st.lists(segments(length), max_size=4)))))
        )
        start += length
    return answers, borders


@st.composite
def segments(draw: st.DrawFn, most: int) -> Segment:
    """One as answers are read: its words begin in it, in order, and no word occurs twice anywhere."""
    start, end = sorted((draw(st.integers(0, most)), draw(st.integers(0, most))))
    begins = sorted(draw(st.lists(st.integers(start, end), max_size=5)))
    words = tuple(Word(begin, draw(st.integers(begin, most)), draw(names)) for begin in begins)
    text = ", ".join(word.text for word in words) + "." if words else draw(names)
    return Segment(start, end, text, words or None)


names = st.uuids().map(str)


@UNHURRIED
@given(conversations())
def test_nothing_is_lost_and_all_is_in_order_and_within(
    conversation: tuple[list[Heard], list[tuple[int, int]]],
) -> None:
    answers, borders = conversation
    made = told(answers, borders)
    kept = [segment for document in made for segment in document["segments"]]
    expected = [segment for _, answer in answers for segment in answer.segments]
    words = [word.text for segment in expected for word in segment.words or ()]
    assert sorted(word["text"] for segment in kept for word in segment.get("words", ())) == sorted(words)
    written = " ".join(segment["text"] for segment in kept)
    assert [name for name in words if name not in written] == []
    assert [one.text for one in expected if not one.words and one.text not in written] == []
    for document in made:
        starts = [segment["start_ms"] for segment in document["segments"]]
        assert starts == sorted(starts)
        for segment in document["segments"]:
            begins = [word["start_ms"] for word in segment.get("words", ())]
            assert begins == sorted(begins)
            assert all(segment["start_ms"] <= begin <= segment["end_ms"] for begin in begins)
            for one in (segment, *segment.get("words", ())):
                assert 0 <= one["start_ms"] <= one["end_ms"] <= document["duration_ms"]
                assert one["text"] == one["text"].strip() != ""


@UNHURRIED
@given(conversations())
def test_each_word_is_where_most_of_it_was_said(
    conversation: tuple[list[Heard], list[tuple[int, int]]],
) -> None:
    answers, borders = conversation

    def share(number: int, word: Word, moved: int) -> int:
        start, length = borders[number]
        return min(start + length, word.end_ms + moved) - max(start, word.start_ms + moved)

    home = {
        word["text"]: number
        for number, document in enumerate(told(answers, borders))
        for segment in document["segments"]
        for word in segment.get("words", ())
    }
    for span, answer in answers:
        for word in (word for segment in answer.segments for word in segment.words or ()):
            most = max(share(number, word, span.start_ms) for number in range(len(borders)))
            assert share(home[word.text], word, span.start_ms) == most
