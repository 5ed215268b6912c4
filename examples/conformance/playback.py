"""Opening and hearing recordings of every format, whole and in ranges, and what must not open."""

from __future__ import annotations

import urllib.parse

from asking import PASSWORD, TIME, Answer, expect, has
from basics import audio_file
from recordings import NO_FILE
from world import World

WRONG = "not the password"


def open_one(world: World, **which: object) -> Answer:
    body = {"password": PASSWORD, **which}
    return world.service.ask("POST", "/api/decrypt-audio", world.token, body)


def hear(world: World, file_id: str) -> bytes:
    return world.service.ask("GET", open_one(world, file_id=file_id).good(200)["download_url"]).body


def opened(world: World) -> None:
    """POST /api/decrypt-audio opens by file_id and by s3_key, and its address needs nothing else."""
    recording = world.recording
    for which in ({"file_id": recording["file_id"]}, {"s3_key": recording["s3_key"]}):
        told = open_one(world, **which).good(200)
        has(
            told,
            "the answer",
            status="ready_for_transcription",
            message=str,
            download_url=str,
            expires_at=TIME,
        )
        expect(
            audio_file(told["file_info"])["file_id"] == recording["file_id"], "file_info is another recording"
        )
        expect(told["file_info"]["format"] == "v2", f"the format is {told['file_info']['format']}")
        expect(urllib.parse.urlsplit(told["download_url"]).scheme in ("http", "https"), "no absolute address")
        heard = world.service.ask("GET", told["download_url"])
        expect(heard.status == 200, f"its address answered {heard.status}")
        expect(heard.body == world.sound, "what is heard is not what was recorded")


def ranges(world: World) -> None:
    """A player may seek: HEAD, byte ranges, If-Range, 416."""
    ask, sound = world.service.ask, world.sound
    url = open_one(world, file_id=world.recording["file_id"]).good(200)["download_url"]
    whole = ask("GET", url)
    etag = whole.headers.get("ETag", "")
    expect(etag, "there is no ETag")
    expect(whole.headers.get("Accept-Ranges") == "bytes", "Accept-Ranges is not bytes")
    expect("no-store" in whole.headers.get("Cache-Control", ""), "plain sound may be kept by caches")
    expect(whole.headers.get_content_type().startswith("audio/"), f"it is {whole.headers.get_content_type()}")
    head = ask("HEAD", url)
    expect((head.status, head.body) == (200, b""), "HEAD is no GET without a body")
    expect(head.headers.get("Content-Length") == str(len(sound)), "HEAD tells another length")
    for asked, first, last in (
        ("bytes=0-3", 0, 3),
        ("bytes=65470-65500", 65470, 65500),
        ("bytes=-100", len(sound) - 100, len(sound) - 1),
        (f"bytes={len(sound) - 1}-", len(sound) - 1, len(sound) - 1),
        (f"bytes=10-{10 * len(sound)}", 10, len(sound) - 1),
    ):
        part = ask("GET", url, Range=asked)
        expect(part.status == 206, f"{asked} answered {part.status} instead of 206")
        expect(part.body == sound[first : last + 1], f"{asked} gave other bytes")
        told = part.headers.get("Content-Range")
        expect(told == f"bytes {first}-{last}/{len(sound)}", f"{asked}: Content-Range is {told}")
    beyond = ask("GET", url, Range=f"bytes={len(sound)}-")
    beyond.refused(416)
    expect(beyond.headers.get("Content-Range") == f"bytes */{len(sound)}", "416 does not tell the length")
    expect(ask("GET", url, Range="bytes=0-3", If_Range=etag).status == 206, "If-Range with the ETag: no 206")
    other = ask("GET", url, Range="bytes=0-3", If_Range='"another"')
    expect((other.status, other.body) == (200, sound), "If-Range with another ETag is not the whole")


def formats(world: World) -> None:
    """All four variants of the earlier phones open, and version 2 of every awkward length."""
    for iv in (12, 16):
        for salt in ("raw", "hex"):
            plain = f"#!AMR\n{iv} {salt}".encode() * 3000
            made = world.upload_single_shot(world.me, plain, iv, salt)
            expect(
                hear(world, made["file_id"]) == plain,
                f"a single-shot recording ({iv}, {salt}) sounds different",
            )
            path = f"/api/audio-file/{made['file_id']}"
            told = world.service.ask("GET", path, world.token).good(200)["audio_file"]["format"]
            expect(told == f"single-iv{iv}-{salt}-salt", f"its format is {told}")
    for length in (0, 1, 65479, 65480, 65481, 131000, 131001):
        plain = bytes(range(256)) * (length // 256 + 1)
        made = world.upload_version_2(world.me, plain[:length])
        expect(hear(world, made["file_id"]) == plain[:length], f"{length} bytes sound different")


def upgrade(world: World) -> None:
    """POST …/upgrade rewrites a single-shot recording as version 2, which sounds the same."""
    plain = b"#!AMR\nto be rewritten" * 5000
    made = world.upload_single_shot(world.me, plain, 16, "hex")
    path = f"/api/audio-file/{made['file_id']}/upgrade"
    world.service.ask("POST", path, world.token, {"password": WRONG}).refused(401)
    upgraded = world.service.ask("POST", path, world.token, {"password": PASSWORD}).good(200)["audio_file"]
    has(upgraded, "audio_file", format="v2", file_id=made["file_id"])
    expect(upgraded["s3_key"] != made["s3_key"], "the s3_key stayed the same")
    expect(hear(world, made["file_id"]) == plain, "the upgraded recording sounds different")
    again = world.service.ask("POST", path, world.token, {"password": PASSWORD}).good(200)["audio_file"]
    expect(again["s3_key"] == upgraded["s3_key"], "version 2 was rewritten once more")


def refused(world: World) -> None:
    """What is wrong with a request to open is told in the contract's own words."""
    ask, token, file_id = world.service.ask, world.token, world.recording["file_id"]
    path = "/api/decrypt-audio"
    ask("POST", path, token, {"file_id": file_id}).refused(400, sentence="Password required for decryption")
    ask("POST", path, token, {"password": PASSWORD}).refused(400, sentence="file_id or s3_key required")
    wrong = {"password": WRONG, "file_id": file_id}
    ask("POST", path, token, wrong).refused(401, sentence="Invalid password")
    ask("POST", path, body=wrong).refused(401, sentence="Token is missing")
    open_one(world, file_id=NO_FILE).refused(404, sentence="Audio file not found")
    open_one(world, s3_key="users/x/none").refused(404, sentence="Audio file not found")
    theirs = {"password": PASSWORD, "file_id": file_id}
    ask("POST", path, world.stranger["token"], theirs).refused(404, sentence="Audio file not found")
    ask("GET", "/api/playback/no-ticket-of-yours").refused(404)


def damaged(world: World) -> None:
    """What is missing is 404 object_not_found; what is damaged is 422, and not a byte of it is served."""
    key = f"users/test-user/never-uploaded-{world.recording['file_id']}.3gp"
    body = {"s3_key": key, "file_size": 10}
    made = world.service.ask("POST", "/api/audio-file", world.token, body).good(201)["audio_file"]
    open_one(world, file_id=made["file_id"]).refused(404, "object_not_found")
    for rubbish in (b"", b"short", b"PNZ2" + bytes(300), bytes(70_000)):
        made = world.upload(world.me, rubbish)
        answer = open_one(world, file_id=made["file_id"])
        answer.refused(422)
        expect(answer.json()["code"] in ("decryption_failed", "unsupported_format"), "422 of another code")


def sitting(world: World) -> None:
    """POST /api/decrypt-audio with file_ids plays clips as one."""
    frames = [bytes([0x3C]) + bytes([number]) * 31 for number in range(1, 4)]
    made = [world.upload_version_2(world.me, b"#!AMR\n" + frame * 50)["file_id"] for frame in frames]
    told = open_one(world, file_ids=made).good(200)
    expect(
        [audio_file(one)["file_id"] for one in told["file_info"]] == made,
        "file_info is not the list asked for",
    )
    heard = world.service.ask("GET", told["download_url"])
    expect(
        heard.body == b"#!AMR\n" + b"".join(frame * 50 for frame in frames), "the clips do not play as one"
    )
    part = world.service.ask("GET", told["download_url"], Range="bytes=6-37")
    expect((part.status, part.body) == (206, frames[0]), "a range of a sitting is not its bytes")
    for wrong in ([], [made[0], made[0]], "x", [7]):
        open_one(world, file_ids=wrong).refused(400)
    open_one(world, file_ids=[made[0], NO_FILE]).refused(404)
    open_one(world, file_ids=made, file_id=made[0]).refused(400)


def download(world: World) -> None:
    """GET …/download leads to the encrypted object as it lies in the bucket."""
    path = f"/api/audio-file/{world.recording['file_id']}/download"
    told = world.service.ask("GET", path, world.token).good(200)
    has(told, "download", url=str, expires_at=TIME, etag=str, size=int)
    lies = world.service.ask("GET", told["url"])
    expect((lies.status, len(lies.body)) == (200, told["size"]), "the address does not lead to the object")
    expect(lies.body[:4] == b"PNZ2", "what lies there is not what was uploaded")
    world.service.ask("GET", path, world.stranger["token"]).refused(404)


CHECKS = (opened, ranges, formats, upgrade, refused, damaged, sitting, download)
