"""Answers of speech engines, as they agreed on them and as they come."""

from __future__ import annotations

import json
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panzoto.transcripts.answer import Answer, Segment, clean, read_answer
from panzoto.transcripts.document import Word

PIECE_MS = 10_000
# How long an example takes is the machine's business.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(**said: object) -> tuple[Segment, ...]:
    return read_answer(json.dumps(said).encode(), PIECE_MS).segments


def word(text: str, start: object = None, end: object = None, **more: object) -> dict[str, object]:
    return {"word": text, "start": start, "end": end, **more}


class TestWhereTimesStand:
    def test_words_beside_the_segments_go_into_those_in_which_they_begin(self) -> None:
        told = read(
            text="One two. Three.",
            segments=[{"start": 0, "end": 2, "text": " One two."}, {"start": 2, "end": 4, "text": " Three."}],
            words=[word("One", 0, 0.5), word("two", 1.9, 2.2), word("Three", 2, 3)],
        )
        assert told == (
            Segment(0, 2000, "One two.", (Word(0, 500, "One"), Word(1900, 2200, "two"))),
            Segment(2000, 4000, "Three.", (Word(2000, 3000, "Three"),)),
        )

    def test_words_inside_are_not_doubled_by_those_beside(self) -> None:
        inside = [word("Hi", 0, 1)]
        told = read(text="Hi", words=inside, segments=[{"start": 0, "end": 1, "text": "Hi", "words": inside}])
        assert told == (Segment(0, 1000, "Hi", (Word(0, 1000, "Hi"),)),)

    def test_a_word_inside_that_begins_in_another_segment_goes_there(self) -> None:
        first, second = read(
            segments=[
                {"start": 0, "end": 1, "text": "a b", "words": [word("a", 0, 1), word("b", 1.5, 2)]},
                {"start": 1, "end": 2, "text": "c", "words": [word("c", 1, 2)]},
            ]
        )
        assert first.words == (Word(0, 1000, "a"),)
        assert second.words == (Word(1000, 2000, "c"), Word(1500, 2000, "b"))

    def test_a_word_between_two_segments_goes_to_the_nearer_which_reaches_to_it(self) -> None:
        first, second = read(
            segments=[{"start": 1, "end": 2, "text": "a b"}, {"start": 5, "end": 6, "text": "c d"}],
            words=[word("a", 0.9, 1.5), word("b", 2.1, 2.3), word("c", 4.9, 5.1), word("d", 7, 8)],
        )
        assert first == Segment(900, 2100, "a b", (Word(900, 1500, "a"), Word(2100, 2300, "b")))
        assert second == Segment(4900, 7000, "c d", (Word(4900, 5100, "c"), Word(7000, 8000, "d")))

    def test_a_word_in_a_long_segment_behind_a_short_one_is_found(self) -> None:
        long, short = read(
            segments=[{"start": 0, "end": 9, "text": "a b"}, {"start": 1, "end": 2, "text": "c"}],
            words=[word("b", 5, 6)],
        )
        assert (long.words, short.words) == ((Word(5000, 6000, "b"),), None)

    def test_without_times_there_is_one_segment_over_the_whole_piece(self) -> None:
        whole = (Segment(0, PIECE_MS, "Hello there."),)
        assert read(text=" Hello there. ") == whole
        assert read(text=" Hello there. ", segments=[]) == whole
        assert read(text="Hello there.", segments=None, words=["Hello", "there."]) == whole
        assert read(text="x", segments=[{"text": "Hello"}, {"text": "there.", "start": None}]) == whole
        assert read(segments=["Hello", "there."]) == whole
        assert read(text="Hello there.", segments=[{"start": 0, "end": 1}]) == whole

    def test_words_alone_are_a_segment_over_the_whole_piece(self) -> None:
        told = read(text="", words=[word("Hi", 1, 2)])
        assert told == (Segment(0, PIECE_MS, "Hi", (Word(1000, 2000, "Hi"),)),)

    def test_a_time_that_is_missing_is_filled_from_its_neighbours(self) -> None:
        told = read(
            segments=[
                {"end": 1, "text": "a"},
                {"text": "b"},
                {"start": 3, "text": "c"},
                {"start": 5, "end": 6, "text": "d"},
                {"text": "e"},
            ]
        )
        assert [(one.start_ms, one.end_ms) for one in told] == [
            (0, 1000),
            (1000, 3000),
            (3000, 5000),
            (5000, 6000),
            (6000, PIECE_MS),
        ]
        (segment,) = read(
            segments=[
                {
                    "start": 1,
                    "end": 9,
                    "text": "a b c",
                    "words": [word("a"), word("b", 2, 3), word("c"), "d", 5],
                }
            ]
        )
        assert segment.words == (Word(2000, 2000, "a"), Word(2000, 3000, "b"), Word(3000, 3000, "c"))

    def test_a_segment_that_reaches_back_to_its_word_comes_before_others(self) -> None:
        told = read(
            segments=[
                {"start": 1, "end": 2, "text": "a"},
                {"start": 3, "end": 4, "text": "b", "words": [word("b", 0.1, 0.2)]},
            ]
        )
        assert [(one.start_ms, one.text) for one in told] == [(100, "b"), (1000, "a")]

    def test_words_in_any_shape_cost_no_text(self) -> None:
        for words in (
            "ab",
            5,
            {"a": 1},
            [None],
            [{"word": 5, "start": 1}],
            [{"start": 1}],
            [word(" ", 1, 2)],
        ):
            assert read(text="Hi", words=words) == (Segment(0, PIECE_MS, "Hi"),)
            assert read(segments=[{"start": 0, "end": 1, "text": "Hi", "words": words}]) == (
                Segment(0, 1000, "Hi"),
            )


class TestNumbers:
    def test_strings_are_numbers(self) -> None:
        assert read(segments=[{"start": "1.5", "end": " 2 ", "text": "a"}]) == (Segment(1500, 2000, "a"),)

    def test_what_is_no_time_is_kept_within_the_piece(self) -> None:
        def times(start: object, end: object) -> tuple[int, int]:
            (segment,) = read(segments=[{"start": start, "end": end, "text": "a"}])
            return segment.start_ms, segment.end_ms

        assert times(-5, 3) == (0, 3000)
        assert times(5, 3) == (5000, 5000)
        assert times(5, 99) == (5000, PIECE_MS)
        assert times(50, 99) == (PIECE_MS, PIECE_MS)
        assert times(math.nan, 3) == (0, 3000)
        assert times(-math.inf, math.inf) == (0, PIECE_MS)
        assert times(1, True) == (1000, PIECE_MS)
        assert times(1, "later") == (1000, PIECE_MS)
        assert times(1, 10**400) == (1000, PIECE_MS)
        assert times(1, 1e308) == (1000, PIECE_MS)
        assert times([1], 3) == (0, 3000)

    def test_segments_are_in_order_of_time(self) -> None:
        told = read(segments=[{"start": 5, "end": 6, "text": "b"}, {"start": 1, "end": 2, "text": "a"}])
        assert [one.text for one in told] == ["a", "b"]


class TestNoSpeech:
    def test_what_the_engine_takes_for_no_speech_is_left_out_with_its_words(self) -> None:
        quiet = {"no_speech_prob": 0.61, "avg_logprob": -1.01}
        told = read(
            text="Hello You",
            segments=[
                {"start": 0, "end": 2, "text": "Hello"},
                {"start": 2, "end": 4, "text": "You", **quiet},
            ],
            words=[word("Hello", 0, 1), word("You", 2, 3)],
        )
        assert told == (Segment(0, 2000, "Hello", (Word(0, 1000, "Hello"),)),)
        assert read(text="You", segments=[{"text": "You", **quiet}]) == ()

    def test_a_word_of_a_segment_without_length_is_not_left_out_with_the_silence_around_it(self) -> None:
        said = {"start": 1, "end": -3, "text": "Hello", "words": [word("Hello", 1, 1.4)]}
        silence = {"start": 0, "end": 2, "text": "Thanks!", "no_speech_prob": 0.9, "avg_logprob": -1.5}
        (segment,) = read(segments=[silence, said])
        assert segment.words == (Word(1000, 1400, "Hello"),)

    def test_only_both_signs_together_say_so(self) -> None:
        for signs in (
            {"no_speech_prob": 0.6, "avg_logprob": -2},
            {"no_speech_prob": 0.9, "avg_logprob": -1},
            {"no_speech_prob": 0.9},
            {"avg_logprob": -3},
            {"no_speech_prob": "?", "avg_logprob": -3},
        ):
            assert len(read(segments=[{"start": 0, "end": 1, "text": "a", **signs}])) == 1
        assert read(segments=[{"start": 0, "text": "a", "no_speech_prob": "0.9", "avg_logprob": "-3"}]) == ()

    def test_silence_is_an_answer(self) -> None:
        assert read(text="") == read(segments=[]) == read(text=" ", segments=[{"start": 0, "text": ""}]) == ()


class TestText:
    def test_texts_are_trimmed_and_can_be_written(self) -> None:
        assert clean(" a\x00b\x1b\x85c\ud800 \ud83d\ude00 d\r\n") == "a b  c\ufffd \U0001f600 d"
        body = b'{"segments": [{"start": 0, "end": 1, "text": " \\ud83d a\\u0000 ", "speaker": " A "}]}'
        (segment,) = read_answer(body, PIECE_MS).segments
        assert segment == Segment(0, 1000, "\ufffd a", speaker="A")
        assert json.dumps(segment.text, ensure_ascii=False).encode()

    def test_text_of_a_segment_that_has_words_alone_is_theirs(self) -> None:
        (segment,) = read(segments=[{"start": 0, "end": 1, "words": [word(" a", 0, 1), word(" b", 0.5, 1)]}])
        assert segment.text == "a b"

    def test_the_language_is_a_code_or_nothing(self) -> None:
        assert read_answer(b'{"text": "", "language": "german"}', 1).language == "de"
        assert read_answer(b'{"text": "", "language": {"code": "de"}}', 1) == Answer(None, ())


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "2.5"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
times = st.integers(-2, 15) | st.floats(-2, 15) | anything
words = (
    st.fixed_dictionaries({"word": st.text(max_size=4)}, optional={"start": times, "end": times}) | anything
)
segments = st.fixed_dictionaries(
    {"text": st.none() | st.text(max_size=12)},
    optional={
        "start": times,
        "end": times,
        "words": st.lists(words, max_size=4) | anything,
        "avg_logprob": times,
        "no_speech_prob": times,
    },
)


@UNHURRIED
@given(
    said=st.fixed_dictionaries(
        {"text": st.text(max_size=20), "segments": st.none() | st.lists(segments, max_size=5)},
        optional={"words": st.lists(words, max_size=6) | anything, "language": anything},
    )
)
def test_whatever_comes_is_in_order_and_within_the_piece(said: dict[str, object]) -> None:
    answer = read_answer(json.dumps(said).encode(), PIECE_MS)
    starts = [segment.start_ms for segment in answer.segments]
    assert starts == sorted(starts)
    for segment in answer.segments:
        assert 0 <= segment.start_ms <= segment.end_ms <= PIECE_MS
        assert segment.text == segment.text.strip() != ""
        assert segment.text.encode()
        begins = [word.start_ms for word in segment.words or ()]
        assert begins == sorted(begins)
        for one in segment.words or ():
            assert segment.start_ms <= one.start_ms <= segment.end_ms
            assert one.start_ms <= one.end_ms <= PIECE_MS
            assert one.text
