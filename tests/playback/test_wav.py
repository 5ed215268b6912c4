"""AMR played as WAV: the right samples in the right number, the same whatever range asks for them."""

from __future__ import annotations

import random
import re
import struct
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

import av
import pytest
import requests

from panzoto.media.frames import AMR_NARROW, AMR_WIDE
from tests.support import clips, sounds
from tests.support.recordings import decrypt, single_shot, store, version_2
from tests.support.service import PASSWORD, Service

Account = dict[str, Any]
HEAD = 44
BLOCK, PREPARING = 500, 25
DECODERS = {8000: "libopencore_amrnb", 16000: "libopencore_amrwb"}
# More blocks than are decoded at first, and a part of one.
SECONDS = 25
SID, NO_DATA = b"\x44" + bytes(5), b"\x7c"


def continuous(frames: list[bytes], rate: int) -> bytes:
    """What one decoder makes of frames that follow one another, as 16-bit samples."""
    decoder: Any = av.CodecContext.create(DECODERS[rate], "r")
    heard = (made for frame in frames for made in decoder.decode(av.Packet(frame)))
    return b"".join(bytes(made.planes[0])[: 2 * made.samples] for made in heard)


def in_blocks(frames: list[bytes], rate: int) -> bytes:
    """The samples by the rule of blocks: ten seconds each, by a decoder that begins half a second earlier."""
    made = b""
    for begin in range(0, len(frames), BLOCK):
        prepared = min(PREPARING, begin)
        heard = continuous(frames[begin - prepared : begin + BLOCK], rate)
        made += heard[prepared * rate // 50 * 2 :]
    return made


def riff(samples: int, rate: int) -> bytes:
    """The header of a WAV of 16 bits and one channel."""
    size = 2 * samples
    described = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + described + struct.pack("<4sI", b"data", size)


def frames_of(bare: bytes) -> list[bytes]:
    """The whole frames of bare AMR."""
    is_wide = bare.startswith(clips.AMR_WIDE_MAGIC)
    at, sizes = (9, AMR_WIDE) if is_wide else (6, AMR_NARROW)
    found = []
    while at < len(bare) and at + sizes[bare[at] >> 3 & 15] <= len(bare):
        found.append(bare[at : at + sizes[bare[at] >> 3 & 15]])
        at += len(found[-1])
    return found


def with_pauses(seconds: float, tone: int) -> bytes:
    """Speech of the lowest and SID and NO_DATA in turn, as a phone that saves power in pauses writes them."""
    spoken = frames_of(clips.encoded("amr", "libopencore_amrnb", 8000, seconds, tone))
    dice = random.Random(tone)
    made: list[bytes] = []
    for frame in spoken:
        made.append(frame)
        if dice.random() < 0.03:
            made += [SID if number % 8 == 0 else NO_DATA for number in range(dice.randrange(3, 60))]
    return clips.AMR_MAGIC + b"".join(made)


def keep(service: Service, account: Account, plain: bytes, as_phone: bool = False) -> str:
    s3_key = f"users/{account['user_id']}/audio-{uuid.uuid4().int}.3gp"
    if as_phone:
        return store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], plain))
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, plain))


def opened(service: Service, account: Account, *file_ids: str) -> dict[str, Any]:
    body = {"password": PASSWORD, "file_ids": list(file_ids)}
    if len(file_ids) == 1:
        answer = decrypt(service, account["token"], file_ids[0], PASSWORD)
    else:
        answer = service.call("POST", "/api/decrypt-audio", account["token"], json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60
    )


@pytest.fixture(scope="module")
def owner(service: Service) -> Account:
    return service.register(f"wav-{uuid.uuid4()}@example.com")


@dataclass(frozen=True)
class Heard:
    """What was recorded, frame by frame, where it plays, and the WAV of it as it came."""

    frames: list[bytes]
    rate: int
    answer: dict[str, Any]
    whole: requests.Response

    @property
    def url(self) -> str:
        url: str = self.answer["wav_url"]
        return url


def bare(narrow: bool = True) -> bytes:
    """More than a megabyte of it as WAV, of frames of every kind and length."""
    return clips.amr(11 + narrow, 3333 if narrow else 1700, wide=not narrow)


def in_3gp(**how: str) -> bytes:
    return clips.encoded("3gp", "libopencore_amrnb", 8000, SECONDS, 400, options=how)


def of_packets(data: bytes) -> list[bytes]:
    return [frame for frame, _ in clips.packets(data)]


def single(data: bytes) -> tuple[list[bytes], list[bytes], int]:
    return (
        [data],
        frames_of(data) or of_packets(data),
        16000 if data.startswith(clips.AMR_WIDE_MAGIC) else 8000,
    )


# Made when the first of them is heard: many processes read this file, and one of them plays it.
@cache
def everything() -> dict[str, tuple[list[bytes], list[bytes], int]]:
    """By its name the clips, the frames that are heard of them, and the rate."""
    speech = clips.encoded("amr", "libopencore_amrnb", 8000, SECONDS, 400)
    pauses, wide, plain = with_pauses(25, 300), bare(narrow=False), in_3gp()
    return {
        "bare, of one length": single(speech),
        "bare, of all kinds": single(bare()),
        "bare, with pauses": single(pauses),
        "bare, wide": single(wide),
        "bare, without a frame": single(clips.AMR_MAGIC),
        "cut in the last frame": ([speech[:-5]], frames_of(speech)[:-1], 8000),
        "garbage behind the last frame": ([wide + b"\x60garbage"], frames_of(wide), 16000),
        "3gp": ([plain], of_packets(plain), 8000),
        "3gp, moov first": ([sounds.rebuilt(plain, 8000)], of_packets(plain), 8000),
        "3gp, ten frames a sample": ([sounds.rebuilt(plain, 8000, 10)], of_packets(plain), 8000),
        "3gp, one fragment": ([in_3gp(movflags="frag_keyframe+empty_moov")], of_packets(plain), 8000),
        "3gp, many fragments": (
            [in_3gp(movflags="frag_keyframe", frag_duration="1000000")],
            of_packets(plain),
            8000,
        ),
        "3gp, cut in the last frame": ([sounds.rebuilt(plain, 8000)[:-3]], of_packets(plain)[:-1], 8000),
        "3gp, garbage behind": ([plain + random.Random(5).randbytes(999)], of_packets(plain), 8000),
        "sitting of bare clips": (
            [speech, pauses, speech[:-5]],
            [*frames_of(speech), *frames_of(pauses), *frames_of(speech)[:-1]],
            8000,
        ),
        "sitting of clips of one length": ([speech, speech], frames_of(speech) * 2, 8000),
        "sitting, wide": ([wide, wide], frames_of(wide) * 2, 16000),
        "sitting of 3gp": ([plain, sounds.rebuilt(plain, 1000, 10)], of_packets(plain) * 2, 8000),
    }


EVERYTHING = (
    "bare, of one length",
    "bare, of all kinds",
    "bare, with pauses",
    "bare, wide",
    "bare, without a frame",
    "cut in the last frame",
    "garbage behind the last frame",
    "3gp",
    "3gp, moov first",
    "3gp, ten frames a sample",
    "3gp, one fragment",
    "3gp, many fragments",
    "3gp, cut in the last frame",
    "3gp, garbage behind",
    "sitting of bare clips",
    "sitting of clips of one length",
    "sitting, wide",
    "sitting of 3gp",
)


@pytest.fixture(scope="module", params=EVERYTHING)
def heard(request: pytest.FixtureRequest, service: Service, owner: Account) -> Heard:
    assert tuple(everything()) == EVERYTHING
    data, frames, rate = everything()[request.param]
    file_ids = [keep(service, owner, clip, number % 2 == 1) for number, clip in enumerate(data)]
    answer = opened(service, owner, *file_ids)
    return Heard(frames, rate, answer, get(answer["wav_url"]))


class TestSound:
    def test_the_address_is_the_one_that_plays_it_as_it_is(self, heard: Heard) -> None:
        assert heard.url == heard.answer["download_url"] + "?as=wav"

    def test_it_is_twenty_milliseconds_for_each_frame(self, heard: Heard) -> None:
        assert heard.whole.status_code == 200
        samples = len(heard.frames) * heard.rate // 50
        assert heard.whole.headers["Content-Length"] == str(HEAD + 2 * samples)
        assert heard.whole.content[:HEAD] == riff(samples, heard.rate)
        assert len(heard.whole.content) == HEAD + 2 * samples

    def test_the_samples_are_those_of_the_decoder(self, heard: Heard) -> None:
        sound = heard.whole.content[HEAD:]
        assert sound == in_blocks(heard.frames, heard.rate)
        first = BLOCK * heard.rate // 50 * 2
        assert sound[:first] == continuous(heard.frames[:BLOCK], heard.rate)

    def test_a_range_is_that_part_of_the_whole(self, heard: Heard) -> None:
        whole = heard.whole.content
        dice = random.Random(len(whole))
        wanted = [sorted(dice.choices(range(len(whole)), k=2)) for _ in range(2)]
        wanted += [[first, min(first + dice.randrange(4000), len(whole) - 1)] for first, _ in wanted]
        for first, last in [*wanted, [0, 0], [0, 43], [40, 50], [len(whole) - 1] * 2]:
            part = get(heard.url, Range=f"bytes={first}-{last}")
            stop = min(last + 1, len(whole))
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{len(whole)}"
            assert part.headers["Content-Length"] == str(stop - first)
            assert part.content == whole[first:stop]
        assert get(heard.url, Range="bytes=-7").content == whole[-7:]

    def test_head_tells_what_get_does(self, heard: Heard) -> None:
        told = requests.head(heard.url, timeout=60)
        assert (told.status_code, told.content) == (200, b"")
        of_request = {"Date", "X-Request-ID"}
        kept = {name: value for name, value in heard.whole.headers.items() if name not in of_request}
        assert {name: value for name, value in told.headers.items() if name not in of_request} == kept


@pytest.fixture(scope="module")
def speech(service: Service, owner: Account) -> Heard:
    data, frames, rate = everything()["bare, of one length"]
    answer = opened(service, owner, keep(service, owner, data[0]))
    return Heard(frames, rate, answer, get(answer["wav_url"]))


class TestHeaders:
    def test_they_are_those_of_the_recording_but_for_what_it_is(self, speech: Heard) -> None:
        as_it_is = get(speech.answer["download_url"]).headers
        differing = {"Date", "X-Request-ID", "Content-Type", "Content-Length", "Content-Disposition", "ETag"}
        assert {name: value for name, value in as_it_is.items() if name not in differing} == {
            name: value for name, value in speech.whole.headers.items() if name not in differing
        }
        assert speech.whole.headers["Content-Type"] == "audio/wav"
        assert re.fullmatch(
            r'inline; filename="audio-[0-9]+\.wav"', speech.whole.headers["Content-Disposition"]
        )

    def test_the_tag_is_strong_and_its_own(self, service: Service, owner: Account, speech: Heard) -> None:
        tag = speech.whole.headers["ETag"]
        assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
        assert tag != get(speech.answer["download_url"]).headers["ETag"]
        again = opened(service, owner, speech.answer["file_info"]["file_id"])
        assert get(again["wav_url"]).headers["ETag"] == tag

    def test_a_download_goes_on_while_it_is_the_same(self, speech: Heard) -> None:
        tag, whole = speech.whole.headers["ETag"], speech.whole.content
        same = get(speech.url, Range="bytes=500-599", If_Range=tag)
        assert (same.status_code, same.content) == (206, whole[500:600])
        other = get(
            speech.url, Range="bytes=500-599", If_Range=get(speech.answer["download_url"]).headers["ETag"]
        )
        assert (other.status_code, other.content) == (200, whole)

    def test_outside_is_416(self, speech: Heard) -> None:
        outside = get(speech.url, Range=f"bytes={len(speech.whole.content)}-")
        assert outside.status_code == 416
        assert outside.headers["Content-Range"] == f"bytes */{len(speech.whole.content)}"

    def test_the_answer_is_the_one_of_before_and_one_address_more(self, speech: Heard) -> None:
        assert set(speech.answer) == {
            "status", "file_info", "message", "download_url", "expires_at", "wav_url",
        }  # fmt: skip
        assert get(speech.answer["download_url"]).content == everything()["bare, of one length"][0][0]


class TestRefused:
    @pytest.mark.parametrize("asked", ["as=mp3", "as=", "as=WAV", "as=wav&as=wav", "as=wav&as=mp3"])
    def test_other_kinds_are_400(self, speech: Heard, asked: str) -> None:
        for method in ("GET", "HEAD"):
            answer = requests.request(method, f"{speech.answer['download_url']}?{asked}", timeout=60)
            assert answer.status_code == 400
        refused = get(f"{speech.answer['download_url']}?{asked}").json()
        assert refused["code"] == "invalid_request"
        assert set(refused) == {"error", "code", "request_id", "fields"}
        assert set(refused["fields"]) == {"as"}

    def test_a_broken_ticket_is_what_it_is_without(self, service: Service) -> None:
        for asked in ("as=wav", "as=mp3"):
            answer = get(f"{service.url}/api/playback/nothing?{asked}")
            assert (answer.status_code, answer.json()["code"]) == (404, "playback_not_found")

    @pytest.mark.parametrize(
        "name", ["m4a", "3gp, AAC", "wav", "adts", "mp3", "ogg, Opus", "mp4 in fragments", "midi"]
    )
    def test_other_sound_has_none(self, service: Service, owner: Account, name: str) -> None:
        answer = opened(service, owner, keep(service, owner, sounds.shapes()[name].data))
        assert "wav_url" not in answer
        refused = get(answer["download_url"] + "?as=wav")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
        assert set(refused.json()["fields"]) == {"as"}
        assert get(answer["download_url"]).content == sounds.shapes()[name].data

    @pytest.mark.parametrize(
        "data",
        [
            # Types that are not assigned tell no length.
            clips.amr(3, 50) + b"\x64" * 100 + clips.amr(4, 50)[6:],
            clips.amr(3, 50, wide=True) + b"\x5c" * 100,
            b"#!AMR_MC1.0\n" + bytes(100),
        ],
    )
    def test_what_cannot_be_counted_has_none(self, service: Service, owner: Account, data: bytes) -> None:
        answer = opened(service, owner, keep(service, owner, data))
        assert "wav_url" not in answer
        assert get(answer["download_url"] + "?as=wav").status_code == 400
        assert get(answer["download_url"]).content == data

    def test_a_long_one_that_is_damaged_is_heard_up_to_there_as_before(
        self, service: Service, owner: Account
    ) -> None:
        data = clips.AMR_MAGIC + (b"\x3c" + bytes(31)) * 150_000
        s3_key = f"users/{owner['user_id']}/audio-{uuid.uuid4().int}.amr"
        sealed = bytearray(version_2(owner, PASSWORD, s3_key, data))
        sealed[3_000_000] ^= 1
        answer = opened(service, owner, store(service, owner, s3_key, bytes(sealed)))
        assert "wav_url" not in answer
        assert get(answer["download_url"], Range="bytes=0-999999").content == data[:1_000_000]

    def test_sittings_of_other_sound_have_none(self, service: Service, owner: Account) -> None:
        m4a = sounds.shapes()["m4a"].data
        answer = opened(service, owner, keep(service, owner, m4a), keep(service, owner, m4a))
        assert "wav_url" not in answer
        assert get(answer["download_url"] + "?as=wav").status_code == 400


class TestObjects:
    def test_a_replaced_object_is_409_whatever_is_asked_for(self, service: Service, owner: Account) -> None:
        data = everything()["bare, of one length"][0][0]
        answer = opened(service, owner, keep(service, owner, data))
        s3_key = answer["file_info"]["s3_key"]
        service.put_object(s3_key, version_2(owner, PASSWORD, s3_key, data))
        for asked in ({}, {"Range": "bytes=0-43"}, {"Range": "bytes=-100"}):
            changed = get(answer["wav_url"], **asked)
            assert (changed.status_code, changed.json()["code"]) == (409, "object_changed")
        assert requests.head(answer["wav_url"], timeout=60).status_code == 409
