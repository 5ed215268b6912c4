"""Many clips that play as one: joined without re-encoding, sought in, and refused where they cannot be."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto import segments, vault
from panzoto.crypto.permits import HashPermits
from tests.conftest import UNLIMITED
from tests.support import clips, rows
from tests.support.fault_proxy import Cut, Fault, FaultProxy
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, Service, run_service
from tests.support.waiting import eventually

Account = dict[str, Any]
KINDS = {
    "mp4-aac": ("mp4", "aac", 16000, "audio/mp4"),
    "3gp-aac": ("3gp", "aac", 44100, "audio/3gpp"),
    "3gp-amr": ("3gp", "libopencore_amrnb", 8000, "audio/3gpp"),
}


def keep(service: Service, account: Account, plain: bytes, number: int = 0) -> str:
    """Encrypt a clip in one of the ways phones do, store it and return its file_id."""
    s3_key = f"users/{account['user_id']}/audio-{uuid.uuid4().int}.3gp"
    if number % 3 == 0:
        data = version_2(account, PASSWORD, s3_key, plain)
    else:
        data = single_shot(
            PASSWORD, account["key_salt"], plain, 12 if number % 3 == 1 else 16, number % 2 == 0
        )
    return store(service, account, s3_key, data)


def keep_all(service: Service, account: Account, plain: list[bytes]) -> list[str]:
    return [keep(service, account, clip, number) for number, clip in enumerate(plain)]


def open_sitting(service: Service, account: Account, file_ids: Any, **more: Any) -> requests.Response:
    body = {"password": PASSWORD, "file_ids": file_ids, **more}
    return service.call("POST", "/api/decrypt-audio", account["token"], json=body)


def url_of(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["download_url"]
    return url


@dataclass
class Joined:
    """A sitting that was opened: where it plays, its clips, and what it plays."""

    url: str
    file_ids: list[str]
    plain: list[bytes]
    content_type: str
    heard: requests.Response


@pytest.fixture(scope="module")
def owner(service: Service) -> Account:
    return service.register(f"sittings-{uuid.uuid4()}@example.com")


@pytest.fixture(scope="module", params=KINDS)
def joined(request: pytest.FixtureRequest, service: Service, owner: Account) -> Joined:
    container, codec, rate, content_type = KINDS[request.param]
    # The longest has more than one segment and is more than the first read of an object fetches.
    lengths = (1.5, 40 if codec == "aac" else 3, 0.3)
    plain = [
        clips.encoded(container, codec, rate, seconds, 300 + 100 * number)
        for number, seconds in enumerate(lengths)
    ]
    file_ids = keep_all(service, owner, plain)
    url = url_of(open_sitting(service, owner, file_ids))
    return Joined(url, file_ids, plain, content_type, requests.get(url, timeout=60))


def boxes(data: bytes) -> Iterator[bytes]:
    while data:
        size, kind = struct.unpack(">I4s", data[:8])
        yield kind
        data = data[size:]


class TestContainers:
    def test_every_frame_is_there_as_it_was(self, joined: Joined) -> None:
        assert joined.heard.status_code == 200
        expected = [packet for clip in joined.plain for packet in clips.packets(clip)]
        assert clips.packets(joined.heard.content) == expected
        assert joined.heard.headers["Content-Type"] == joined.content_type

    def test_it_decodes_to_the_end_and_is_as_long_as_the_clips_together(self, joined: Joined) -> None:
        # A decoder gives whole frames, whatever the table says of a clip's last one.
        frames = sum(len(clips.packets(clip)) for clip in joined.plain)
        assert clips.samples(joined.heard.content) == frames * (
            160 if b"samr" in joined.heard.content else 1024
        )

    def test_a_player_can_seek_before_it_has_all(self, joined: Joined) -> None:
        assert list(boxes(joined.heard.content)) == [b"ftyp", b"moov", b"mdat"]

    def test_ranges_are_parts_of_the_whole(self, joined: Joined) -> None:
        whole = joined.heard.content
        dice = random.Random(7)
        wanted = [sorted(dice.sample(range(len(whole)), 2)) for _ in range(6)]
        for first, last in [*wanted, [0, 0], [len(whole) - 1, len(whole) - 1]]:
            part = requests.get(joined.url, headers={"Range": f"bytes={first}-{last}"}, timeout=60)
            assert part.status_code == 206
            assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"
            assert part.content == whole[first : last + 1]
        suffix = requests.get(joined.url, headers={"Range": "bytes=-333"}, timeout=60)
        assert (suffix.status_code, suffix.content) == (206, whole[-333:])

    def test_outside_and_conditions_are_as_for_one_recording(self, joined: Joined) -> None:
        whole = joined.heard.content
        outside = requests.get(joined.url, headers={"Range": f"bytes={len(whole)}-"}, timeout=60)
        assert outside.status_code == 416
        assert outside.headers["Content-Range"] == f"bytes */{len(whole)}"
        told = requests.head(joined.url, timeout=60)
        assert told.status_code == 200
        assert told.headers["Content-Length"] == str(len(whole))
        assert told.headers["Accept-Ranges"] == "bytes"
        assert told.headers["Cache-Control"] == "no-store"
        matching = {"Range": "bytes=5-9", "If-Range": told.headers["ETag"]}
        assert requests.get(joined.url, headers=matching, timeout=60).content == whole[5:10]
        other = {"Range": "bytes=5-9", "If-Range": '"another"'}
        assert requests.get(joined.url, headers=other, timeout=60).content == whole

    def test_opened_again_it_is_the_same(self, service: Service, owner: Account, joined: Joined) -> None:
        again = requests.get(url_of(open_sitting(service, owner, joined.file_ids)), timeout=60)
        assert again.content == joined.heard.content
        assert again.headers["ETag"] == joined.heard.headers["ETag"]
        fewer = requests.get(url_of(open_sitting(service, owner, joined.file_ids[:2])), timeout=60)
        assert fewer.headers["ETag"] != joined.heard.headers["ETag"]


class TestFrames:
    def test_adts(self, service: Service, owner: Account) -> None:
        plain = [clips.encoded("adts", "aac", 16000, seconds, 500) for seconds in (1, 2, 0.5)]
        # The phone was stopped in the middle of a frame.
        file_ids = keep_all(service, owner, [plain[0], plain[1] + plain[2][:50], plain[2]])
        heard = requests.get(url_of(open_sitting(service, owner, file_ids)), timeout=60)
        assert heard.content == b"".join(plain)
        assert heard.headers["Content-Type"] == "audio/aac"
        frames = sum(len(clips.packets(clip, format="aac")) for clip in plain)
        assert clips.samples(heard.content, format="aac") == frames * 1024

    def test_wide_band_amr(self, service: Service, owner: Account) -> None:
        plain = [clips.amr(seed, 50, wide=True) for seed in range(3)]
        heard = requests.get(
            url_of(open_sitting(service, owner, keep_all(service, owner, plain))), timeout=60
        )
        assert heard.content == b"#!AMR-WB\n" + b"".join(clip[9:] for clip in plain)
        assert heard.headers["Content-Type"] == "audio/amr-wb"

    def test_five_hundred_clips(self, service: Service, new_account: Callable[..., Account]) -> None:
        account = new_account()
        plain = [clips.amr(seed, 40 + seed % 7) for seed in range(500)]
        # Some phones were stopped in the middle of a frame.
        cut = [clip + b"\x3c\x00\x00" if number % 5 == 0 else clip for number, clip in enumerate(plain)]

        file_ids = self.keep_quickly(service, account, cut)
        answer = open_sitting(service, account, file_ids)
        url = url_of(answer)
        assert len(url) < 2000
        assert [shown["file_id"] for shown in answer.json()["file_info"]] == file_ids
        assert {shown["format"] for shown in answer.json()["file_info"]} == {"v2", "single-iv12-raw-salt"}
        expected = b"#!AMR\n" + b"".join(clip[6:] for clip in plain)
        heard = requests.get(url, timeout=60)
        assert heard.content == expected
        assert heard.headers["Content-Type"] == "audio/amr"
        for first in random.Random(3).sample(range(len(expected) - 3000), 5):
            part = requests.get(url, headers={"Range": f"bytes={first}-{first + 2999}"}, timeout=60)
            assert part.content == expected[first : first + 3000]

    def keep_quickly(self, service: Service, account: Account, plain: list[bytes]) -> list[str]:
        """Store clips with one client and one derivation of the keys.

        They have all been opened before, so that opening them writes nothing into five hundred rows.
        """
        encrypt, s3, dynamodb = encryptions(account), service.s3(), service.dynamodb()
        names = ("v2", "single-iv12-raw-salt")
        puts = []
        for number, clip in enumerate(plain):
            s3_key = f"users/{account['user_id']}/audio-{number}.3gp"
            s3.put_object(Bucket=BUCKET, Key=s3_key, Body=encrypt[number % 2](s3_key, clip))
            item = {
                "file_id": {"S": str(uuid.uuid4())},
                "user_id": {"S": account["user_id"]},
                "s3_key": {"S": s3_key},
                "uploaded_at": {"N": str(1700000000 + number)},
                "format": {"S": names[number % 2]},
            }
            puts.append({"PutRequest": {"Item": item}})
        for start in range(0, len(puts), 25):
            dynamodb.batch_write_item(RequestItems={rows.FILES_TABLE: puts[start : start + 25]})
        return [put["PutRequest"]["Item"]["file_id"]["S"] for put in puts]


def encryptions(account: Account) -> list[Callable[[str, bytes], bytes]]:
    """Return the account's version 2 and single-shot encryption, their keys derived once."""
    stored = vault.Vault.from_stored(account["vault"])
    vault_key = vault.unwrap(stored, account["user_id"], PASSWORD, HashPermits(1, 5))
    salt = bytes.fromhex(account["key_salt"])
    direct = AESGCM(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 100_000, 32))

    def single(_: str, plain: bytes) -> bytes:
        iv = os.urandom(12)
        return iv + direct.encrypt(iv, plain, None)

    return [lambda s3_key, plain: b"".join(segments.encrypt(vault_key, s3_key, [plain])), single]


class TestRecord:
    def test_the_owner_finds_what_was_opened_and_how(self, service: Service, account: Account) -> None:
        file_ids = keep_all(service, account, [clips.amr(seed, 20) for seed in range(13)])
        answer = open_sitting(service, account, file_ids[::-1])
        shown = answer.json()["file_info"]
        assert [clip["file_id"] for clip in shown] == file_ids[::-1]
        names = {clip["file_id"]: clip["format"] for clip in shown}
        assert {names[file_id] for file_id in file_ids[::3]} == {"v2"}
        assert {names[file_id] for file_id in file_ids[1::3]} == {
            "single-iv12-raw-salt",
            "single-iv12-hex-salt",
        }
        # Phones that ask for changes hear of each once.
        changes = service.call("GET", "/api/user/changes", account["token"]).json()["changes"]
        assert [change["file_id"] for change in changes] == file_ids[::-1]
        assert {change["file_id"]: change["audio_file"]["format"] for change in changes} == names
        assert self.events(service, account) == [{"file_ids": file_ids[::-1]}]
        # What is remembered already is not written again.
        assert open_sitting(service, account, file_ids).json()["file_info"] == shown[::-1]
        again = service.call("GET", "/api/user/changes", account["token"]).json()
        assert again["changes"] == changes
        assert len(self.events(service, account)) == 2

    def events(self, service: Service, account: Account) -> list[dict[str, Any]]:
        events = service.call("GET", "/api/user/events", account["token"]).json()["events"]
        return [event["detail"] for event in events if event["type"] == "recording_decrypted"]


@pytest.fixture(scope="module")
def good(service: Service, owner: Account) -> list[str]:
    """Two clips that can be joined."""
    return keep_all(service, owner, [clips.amr(seed, 30) for seed in (1, 2)])


def aac(rate: int, container: str = "mp4") -> bytes:
    return clips.encoded(container, "aac", rate, 0.5, 400)


# Pairs of clips of which the second does not fit the first.
UNFIT: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "amr-bands": lambda: (clips.amr(1, 20), clips.amr(1, 20, wide=True)),
    "amr-3gp": lambda: (clips.amr(1, 20), clips.encoded("3gp", "libopencore_amrnb", 8000, 0.5, 400)),
    "mp4-amr": lambda: (aac(16000), clips.amr(1, 20)),
    "rates": lambda: (aac(16000), aac(44100)),
    "cut-mp4": lambda: (aac(16000), aac(16000)[:-400]),
    "adts-rates": lambda: (aac(16000, "adts"), aac(44100, "adts")),
    # The beginning of a frame whose sampling frequency is none.
    "adts-no-rate": lambda: (aac(16000, "adts"), b"\xff\xf9\xff\x7f"),
    "no-frames": lambda: (clips.amr(1, 20), b"#!AMR\n" + b"\x6c" * 50),
    "empty": lambda: (clips.amr(1, 20), b""),
}


class TestRefusals:
    def refused(self, answer: requests.Response, status: int, code: str, file_id: str | None) -> None:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json().get("file_id") == file_id
        assert "download_url" not in answer.json()

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_damaged_clip(self, service: Service, owner: Account, good: list[str], number: int) -> None:
        damaged = keep(service, owner, clips.amr(3, 30), number)
        s3_key = service.call("GET", f"/api/audio-file/{damaged}", owner["token"]).json()["audio_file"][
            "s3_key"
        ]
        data = bytearray(service.s3().get_object(Bucket=BUCKET, Key=s3_key)["Body"].read())
        data[len(data) // 2] ^= 1
        service.put_object(s3_key, bytes(data))
        answer = open_sitting(service, owner, [good[0], damaged, good[1]])
        self.refused(answer, 422, "decryption_failed", damaged)

    def test_a_clip_of_somebody_else_or_of_nobody(
        self, service: Service, owner: Account, good: list[str], account: Account
    ) -> None:
        foreign = keep(service, account, clips.amr(3, 30))
        for file_id in (foreign, str(uuid.uuid4()), "", "x" * 3000):
            answer = open_sitting(service, owner, [good[0], file_id])
            self.refused(answer, 404, "audio_file_not_found", file_id)

    def test_a_clip_that_is_not_in_the_bucket(
        self, service: Service, owner: Account, good: list[str]
    ) -> None:
        missing = rows.put_file(service, owner["user_id"], f"users/{owner['user_id']}/{uuid.uuid4()}")
        self.refused(open_sitting(service, owner, [*good, missing]), 404, "object_not_found", missing)

    @pytest.mark.parametrize("name", UNFIT)
    def test_clips_that_do_not_fit(self, service: Service, owner: Account, name: str) -> None:
        file_ids = keep_all(service, owner, list(UNFIT[name]()))
        self.refused(open_sitting(service, owner, file_ids), 422, "clips_not_joinable", file_ids[1])

    @pytest.mark.parametrize(
        "plain",
        [b"Notes of the day", b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 500, b"\x00\x00\x00\x18ftyp3gp4"],
        ids=["text", "broken-mp4", "head-only"],
    )
    def test_what_is_no_sound(self, service: Service, owner: Account, plain: bytes) -> None:
        file_id = keep(service, owner, plain)
        self.refused(open_sitting(service, owner, [file_id]), 422, "clips_not_joinable", file_id)

    def test_a_broken_clip_before_long_ones(self, service: Service, owner: Account) -> None:
        long = clips.encoded("mp4", "aac", 16000, 60, 400)
        file_ids = keep_all(service, owner, [b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 500, long, long])
        self.refused(open_sitting(service, owner, file_ids), 422, "clips_not_joinable", file_ids[0])

    @pytest.mark.parametrize(
        "body",
        [
            {"file_ids": []},
            {"file_ids": [str(uuid.UUID(int=number)) for number in range(501)]},
            {"file_ids": ["a", "b", "a"]},
            {"file_ids": ["a"], "file_id": "a"},
            {"file_ids": ["a"], "s3_key": "users/a/b"},
            {"file_ids": [], "file_id": "a"},
            {"file_ids": "a"},
            {"file_ids": {"a": 1}},
            {"file_ids": [1]},
            {"file_ids": [None]},
            {"file_ids": [["a"]]},
            {"file_ids": ["\ud800"]},
            {"file_ids": 7},
            {"file_ids": False},
            {"file_ids": None},
        ],
        ids=lambda body: json.dumps(body)[:40],
    )
    def test_what_cannot_be_understood(self, service: Service, owner: Account, body: dict[str, Any]) -> None:
        answer = service.call(
            "POST", "/api/decrypt-audio", owner["token"], json={"password": PASSWORD, **body}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text

    def test_a_wrong_password(self, service: Service, owner: Account, good: list[str]) -> None:
        answer = open_sitting(service, owner, good, password="not this one")
        assert (answer.status_code, answer.json()["error"]) == (401, "Invalid password")


class TestAfterwards:
    @pytest.fixture
    def opened(self, service: Service, account: Account) -> tuple[str, list[str]]:
        """A sitting of three clips of an account of its own."""
        file_ids = keep_all(service, account, [clips.amr(seed, 400) for seed in range(3)])
        return url_of(open_sitting(service, account, file_ids)), file_ids

    def replace(self, service: Service, account: Account, file_id: str) -> None:
        shown = service.call("GET", f"/api/audio-file/{file_id}", account["token"]).json()["audio_file"]
        plain = single_shot(PASSWORD, account["key_salt"], clips.amr(9, 500))
        service.put_object(shown["s3_key"], plain)

    def test_it_ends_with_its_session(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        assert requests.get(opened[0], timeout=60).status_code == 200
        assert service.call("POST", "/api/logout", account["token"]).status_code == 204
        ended = requests.get(opened[0], timeout=60)
        assert (ended.status_code, ended.json()["code"]) == (410, "playback_expired")

    def test_a_first_clip_that_was_replaced_is_an_error(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        self.replace(service, account, opened[1][0])
        answer = requests.get(opened[0], timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (409, "object_changed")
        assert requests.head(opened[0], timeout=60).status_code == 409

    def test_a_later_clip_that_was_replaced_cuts_the_stream(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        whole = requests.get(opened[0], timeout=60).content
        self.replace(service, account, opened[1][2])
        with requests.get(opened[0], timeout=60, stream=True) as answer:
            got = bytearray()
            with pytest.raises(requests.RequestException):
                got.extend(byte for piece in answer.iter_content(1000) for byte in piece)
        assert whole.startswith(got)
        assert len(got) < len(whole)
        # What does not touch it plays on.
        begin = requests.get(opened[0], headers={"Range": "bytes=0-2000"}, timeout=60)
        assert begin.content == whole[:2001]

    def test_what_is_stored_tells_nothing_and_goes(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        prefix = f"sittings/{account['user_id']}/"
        listed = service.s3().list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
        assert len(listed) == 1
        plan = service.s3().get_object(Bucket=BUCKET, Key=listed[0]["Key"])["Body"].read()
        for file_id in opened[1]:
            assert file_id.encode() not in plan
        assert b"users/" not in plan
        service.s3().delete_object(Bucket=BUCKET, Key=listed[0]["Key"])
        swept = requests.get(opened[0], timeout=60)
        assert (swept.status_code, swept.json()["code"]) == (410, "playback_expired")

    def test_a_deleted_account_leaves_no_plan(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        answer = service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
        assert answer.status_code == 202
        eventually(lambda: self.plans(service, account) == [], lambda: self.plans(service, account))
        assert requests.get(opened[0], timeout=60).status_code == 410

    def plans(self, service: Service, account: Account) -> list[Any]:
        found = service.s3().list_object_versions(Bucket=BUCKET, Prefix=f"sittings/{account['user_id']}/")
        return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]

    def test_a_forged_plan_is_refused(
        self, service: Service, account: Account, opened: tuple[str, list[str]]
    ) -> None:
        prefix = f"sittings/{account['user_id']}/"
        s3_key = service.s3().list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"][0]["Key"]
        plan = bytearray(service.s3().get_object(Bucket=BUCKET, Key=s3_key)["Body"].read())
        plan[300] ^= 1
        service.put_object(s3_key, bytes(plan))
        answer = requests.get(opened[0], timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (409, "object_changed")


@pytest.fixture(scope="module")
def proxy(moto: str) -> Iterator[FaultProxy]:
    """A proxy in front of AWS that breaks what a test asks for."""
    with FaultProxy(moto) as running:
        yield running


@pytest.fixture(scope="module")
def shaky(proxy: FaultProxy, moto: str) -> Iterator[Service]:
    """The service behind the proxy; what a test asks of AWS itself goes the straight way."""
    with run_service(proxy.url, create_at=moto, MAIL="off", **UNLIMITED) as running:
        yield dataclasses.replace(running, aws_url=moto)


def test_s3_may_break(proxy: FaultProxy, shaky: Service) -> None:
    account = shaky.register(f"shaky-{uuid.uuid4()}@example.com")
    plain = [clips.encoded("mp4", "aac", 16000, 30, 300 + 50 * number) for number in range(3)]
    file_ids = keep_all(shaky, account, plain)
    shown = shaky.call("GET", f"/api/audio-file/{file_ids[1]}", account["token"]).json()["audio_file"]
    second = {"method": "GET", "path": re.escape(f"/{BUCKET}/{shown['s3_key']}") + "$"}
    # While it is opened: an object that cannot be read is not one that cannot be joined.
    proxy.add(Fault(Cut(100), **second))
    refused = open_sitting(shaky, account, file_ids)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "file_id" not in refused.json()
    proxy.clear()
    url = url_of(open_sitting(shaky, account, file_ids))
    whole = requests.get(url, timeout=60).content
    assert clips.packets(whole) == [packet for clip in plain for packet in clips.packets(clip)]
    # While it plays: once, it goes on; for good, the connection is cut.
    cut = proxy.add(Fault(Cut(50_000), times=1, **second))
    assert requests.get(url, timeout=60).content == whole
    assert cut.applied == 1
    proxy.add(Fault(Cut(50_000), **second))
    with requests.get(url, timeout=60, stream=True) as answer, pytest.raises(requests.RequestException):
        print(len(answer.content))
    proxy.clear()
