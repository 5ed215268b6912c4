"""The document in a sealed transcript: what is one, what is damaged, and what is passed over."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panzoto.transcripts.document import (
    MAX_JSON_BYTES,
    DamagedTranscript,
    Segment,
    TranscriptTooLarge,
    Word,
    packed,
    parse,
    read,
)
from panzoto.transcripts.rendering import FORMATS, render
from panzoto.transcripts.search import parse_query
from tests.transcripts.support import document


def deflated(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return b"\x01" + compressor.compress(content) + compressor.flush()


def nested(depth: int) -> bytes:
    """An object and arrays in it, `depth` deep in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def padded(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


class TestPacking:
    @pytest.mark.parametrize("written", [b"{}", b' {"a": 1}\n', '{"a":"é"}'.encode()])
    def test_both_ways_are_read_as_they_were_written(self, written: bytes) -> None:
        assert read(b"\x00" + written).json == written
        assert read(deflated(written)).json == written

    def test_what_is_shorter_is_sealed(self) -> None:
        assert packed({})[0] == 0
        long: dict[str, Any] = {"segments": [{"start_ms": 0, "end_ms": 1, "text": "so " * 500}]}
        assert packed(long)[0] == 1
        assert len(packed(long)) < 100
        assert read(packed(long)).fields == long

    def test_words_are_left_out_of_what_is_too_large(self) -> None:
        words = [{"start_ms": 0, "end_ms": 1, "text": "x" * 1024}] * (MAX_JSON_BYTES // 1024)
        large = {"file_id": "f", "segments": [{"start_ms": 0, "end_ms": 1, "text": "x", "words": words}]}
        assert read(packed(large)).fields == {
            "file_id": "f",
            "segments": [{"start_ms": 0, "end_ms": 1, "text": "x"}],
        }

    def test_what_is_too_large_all_the_same_is_refused(self) -> None:
        with pytest.raises(TranscriptTooLarge):
            packed({"segments": [{"text": "x" * MAX_JSON_BYTES}]})

    def test_half_a_pair_is_written_as_the_sign_for_it(self) -> None:
        assert read(packed({"a": "\ud83d"})).fields == {"a": "\ufffd"}

    @pytest.mark.parametrize(
        "plaintext",
        [
            b"",
            b"\x00",
            b"\x01",
            b"\x02{}",
            b"{}",
            b"\x01{}",
            deflated(b"{}")[:-1],
            deflated(b"{}") + b"x",
            b"\x01" + zlib.compress(b"{}"),
            deflated(b""),
        ],
    )
    def test_anything_else_is_damaged(self, plaintext: bytes) -> None:
        with pytest.raises(DamagedTranscript):
            read(plaintext)

    def test_sixteen_mebibytes_are_the_most(self) -> None:
        most, more = padded(MAX_JSON_BYTES), padded(MAX_JSON_BYTES + 1)
        assert read(b"\x00" + most).json == read(deflated(most)).json == most
        for plaintext in (b"\x00" + more, deflated(more), deflated(b" " * (4 * MAX_JSON_BYTES))):
            with pytest.raises(DamagedTranscript):
                read(plaintext)


class TestJson:
    @pytest.mark.parametrize(
        "written",
        [
            b"[]", b"null", b"1", b'"a"', b"{", b"{}{}", b"{'a':1}", b'{"a":NaN}', b'{"a":-Infinity}',
            b'{"a":01}', b'{"a":"\xff"}',
            b'{"a":"\xed\xa0\x80"}', "{}".encode("utf-16"), b"\xef\xbb\xbf{}", b'{"a":1,}',
            nested(101), b"[" * 200_000, b'{"a":' * 200_000, nested(2000),
        ],
    )  # fmt: skip
    def test_what_is_no_object_is_damaged(self, written: bytes) -> None:
        with pytest.raises(DamagedTranscript):
            parse(written)

    @pytest.mark.parametrize(
        "written",
        [
            b"{}", b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b'{"a":1e999}', b'{"a":-1E-999}', nested(100),
            b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"9" * 5000 + b',"b":"\\ud800"}', b'{"\\ud800":1}',
            b'{"a":"\\u0000"}',
        ],
    )  # fmt: skip
    def test_what_is_odd_and_json_is_read(self, written: bytes) -> None:
        odd = parse(written)
        assert odd.json == written
        assert odd.segments == ()

    def test_half_a_pair_in_a_text_can_be_written(self) -> None:
        odd = parse(b'{"segments":[{"start_ms":0,"end_ms":1,"text":"a \\ud83d b","speaker":"\\ud83d"}]}')
        assert odd.segments == (Segment(0, 1, "a \ufffd b", "\ufffd"),)
        assert render(odd, "text") == "\ufffd: a \ufffd b\n".encode()
        assert [match.text for match in parse_query('"a b"').matches(odd)] == ["a \ufffd b"]


class TestSegments:
    @pytest.mark.parametrize("segments", [None, 1, "ab", {"text": "a"}, True, [], [None, 1, "a", [], {}]])
    def test_what_are_no_segments_are_none(self, segments: object) -> None:
        assert parse(json.dumps({"segments": segments}).encode()).segments == ()

    @pytest.mark.parametrize("time", [None, True, False, "1", -1, 2**53, 1e300, [], {}])
    def test_a_segment_without_times_is_passed_over(self, time: object) -> None:
        assert document({"start_ms": time, "end_ms": 5, "text": "a"}).segments == ()
        assert document({"start_ms": 0, "end_ms": time, "text": "a"}).segments == ()
        assert document({"start_ms": 0, "text": "a"}).segments == ()

    @pytest.mark.parametrize("text", [None, True, 1, "", " \n", [], {}])
    def test_a_segment_without_text_is_passed_over(self, text: object) -> None:
        assert document({"start_ms": 0, "end_ms": 5, "text": text}).segments == ()

    def test_texts_are_trimmed_and_times_put_in_order(self) -> None:
        written = document(
            {"start_ms": 9, "end_ms": 3, "text": " b ", "speaker": " "},
            {"start_ms": 1.5, "end_ms": 7.0, "text": "a", "speaker": "A"},
        )
        assert written.segments == (Segment(2, 7, "a", "A"), Segment(9, 9, "b"))

    def test_malformed_words_are_ignored(self) -> None:
        good = {"start_ms": 0, "end_ms": 1, "text": " a"}
        words = [None, 1, "a", [], {}, {"text": "a"}, {**good, "text": 1}, {**good, "start_ms": True}, good]
        assert document({**good, "words": words}).segments[0].words == (Word(0, 1, "a"),)
        for no_words in (None, 1, "ab", {"a": 1}, True):
            assert document({**good, "words": no_words}).segments[0].words == ()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([10**400, "\ud800"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
times = anything | st.integers(0, 10**6)
texts = anything | st.text(st.sampled_from("ab ßİ東\u0301ﷺ\n\r\u2028->&<\ud800"), max_size=20)
words_of_one = st.lists(
    anything | st.fixed_dictionaries({}, optional={"start_ms": times, "end_ms": times, "text": texts})
)
segments_of_any = anything | st.lists(
    anything
    | st.fixed_dictionaries(
        {"start_ms": times, "end_ms": times, "text": texts},
        optional={"speaker": texts, "words": anything | words_of_one},
    )
)


@settings(deadline=None)  # A busy machine is no fault.
@given(anything | st.fixed_dictionaries({"segments": segments_of_any}), st.text(max_size=30) | texts)
def test_whatever_a_client_wrote_is_read_or_damaged(value: object, query: object) -> None:
    written = json.dumps(value).encode()
    try:
        odd = parse(written)
    except DamagedTranscript:
        return
    for name in FORMATS:
        render(odd, name).decode()
    for sought in ("a", "東京 -b", '"a b"', "ss", str(query) + " a", "i"):
        for match in parse_query(sought).matches(odd):
            assert match.text
            assert 0 <= match.start_ms <= match.end_ms
            json.dumps([match.before, match.text, match.after], ensure_ascii=False).encode()


@settings(deadline=None)  # A busy machine is no fault.
@given(st.binary())
def test_whatever_was_sealed_is_read_or_damaged(plaintext: bytes) -> None:
    try:
        written = read(plaintext).json
    except DamagedTranscript:
        return
    assert isinstance(json.loads(written), dict)
