"""Transcripts: recordings opened by their own keys, asking, writing, reading and finding what was said."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import panzoto_client
from asking import PASSWORD, TIME, UUID, Answer, expect, has
from playback import open_one
from recordings import NO_FILE
from world import World

KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
STATUS = re.compile(r"queued|running|succeeded|failed|canceled")
TEXT_OR_NONE = (str, None)
SEGMENTS = [
    {"start_ms": 0, "end_ms": 900, "text": "We met by the river,", "speaker": "A"},
    {"start_ms": 1000, "end_ms": 2000, "text": "in Straße & <Park>."},
]


def key_of(world: World, file_id: str) -> str:
    """Return a recording's own key as calls take it, by the header of its object."""
    told = world.service.ask("GET", f"/api/audio-file/{file_id}/download", world.token).good(200)
    header = world.service.ask("GET", told["url"], Range="bytes=0-127").body[:128]
    return base64.b64encode(panzoto_client.open_header(world.vault, header)).decode()


def sealed(world: World, file_id: str, **more: Any) -> str:
    """Return a transcript as calls take it."""
    document = json.dumps({"version": 1, "file_id": file_id, "segments": SEGMENTS, **more})
    user_id = world.me["user_id"]
    made = panzoto_client.seal_transcript(world.vault, user_id, file_id, document.encode())
    return base64.b64encode(made).decode()


def put(world: World, file_id: str, **body: Any) -> Answer:
    return world.service.ask("PUT", f"/api/audio-file/{file_id}/transcript", world.token, body)


def public_key(world: World) -> None:
    """Every `vault` tells the public key for transcripts, which is that of the vault key."""
    own = base64.b64encode(world.vault.transcripts_key.public_key().public_bytes_raw()).decode()
    told = world.service.ask("GET", "/api/user", world.token).good(200)
    for where, vault in (
        ("register", world.me["vault"]),
        ("login", world.service.login(world.me["email"]).good(200)["vault"]),
        ("GET /api/user", told["vault"]),
    ):
        has(vault, f"vault of {where}", transcripts_public_key=own)
    engine = has(told["transcription"], "transcription", available=bool, local=bool)
    has(engine, "transcription", engine=TEXT_OR_NONE, model=TEXT_OR_NONE)


def own_key(world: World) -> None:
    """A recording opens by its own key in place of the password, a sitting by the keys of its clips."""
    ask, token, path = world.service.ask, world.token, "/api/decrypt-audio"
    file_id = world.recording["file_id"]
    key, other = key_of(world, file_id), base64.b64encode(bytes(32)).decode()
    for body in (
        {"file_id": file_id, "file_key": key},
        {"file_ids": [file_id], "file_keys": {file_id: key, NO_FILE: "of nobody"}},
    ):
        told = ask("POST", path, token, body).good(200)
        expect(ask("GET", told["download_url"]).body == world.sound, "it sounds different by its own key")
    ask("POST", path, token, {"file_id": file_id, "file_key": other}).refused(422, "decryption_failed")
    ask("POST", path, token, {"file_id": NO_FILE, "file_key": "short"}).refused(400)
    single = world.upload_single_shot(world.me, b"#!AMR\n of before")["file_id"]
    for wrong in (
        {"file_id": file_id, "file_key": key, "password": PASSWORD},
        {"file_id": file_id, "file_keys": {file_id: key}},
        {"file_ids": [file_id], "file_key": key},
        {"file_ids": [file_id], "file_keys": {}},
        {"file_id": file_id, "file_key": key[:-4]},
        {"file_id": single, "file_key": other},
    ):
        told = ask("POST", path, token, wrong).refused(400)
        expect(isinstance(told.get("fields"), dict), "`fields` do not say what is wrong with the keys")
    open_one(world, file_id=file_id).good(200)


def asking_for_one(world: World) -> None:
    """POST /api/transcriptions takes a job, or says that there is no engine; a recording is stored anyway."""
    ask, token, path = world.service.ask, world.token, "/api/transcriptions"
    file_id = world.upload_version_2(world.me, b"#!AMR\n" + bytes([0x3C]) * 3200)["file_id"]
    body = {"file_id": file_id, "file_key": key_of(world, file_id)}
    for wrong in (
        {"file_id": file_id},
        {**body, "password": PASSWORD},
        {**body, "language": "english"},
        {**body, "vocabulary": ["name"] * 51},
        {**body, "replace": "yes"},
    ):
        ask("POST", path, token, wrong).refused(400)
    ask("POST", path, token, {**body, "file_id": NO_FILE}).refused(404, "audio_file_not_found")
    for method in ("GET", "DELETE"):
        ask(method, f"{path}/none-of-yours", token).refused(404, "transcription_not_found")
    listed = ask("GET", "/api/user/transcriptions?limit=5", token).good(200)
    has(listed, "the list", transcriptions=list, next_cursor=TEXT_OR_NONE)
    ask("GET", "/api/user/transcriptions?status=asleep", token).refused(400)
    engine = ask("GET", "/api/user", token).good(200)["transcription"]
    if engine["available"]:
        _taken(world, body)
    else:
        ask("POST", path, token, body).refused(503, "transcription_unavailable")
        stored = ask("POST", f"/api/uploads/{file_id}/complete", token, {"transcribe": body}).good(200)
        has(stored, "the answer", audio_file=dict, transcription=None, transcribe_error=dict)
        has(stored["transcribe_error"], "transcribe_error", code="transcription_unavailable", error=str)
    wrong = {"transcribe": {"file_key": "no key"}}
    ask("POST", f"/api/uploads/{file_id}/complete", token, wrong).refused(400)


def _taken(world: World, body: dict[str, Any]) -> None:
    ask, token, path = world.service.ask, world.token, "/api/transcriptions"
    job = ask("POST", path, token, body).good(202)["transcription"]
    has(job, "transcription", transcription_id=str, file_ids=[body["file_id"]], status=STATUS, attempts=int)
    has(job, "transcription", created_at=TIME, language=TEXT_OR_NONE, engine=str, error=(dict, None))
    one = f"{path}/{job['transcription_id']}"
    shown = ask("GET", one, token).good(200)["transcription"]
    expect(0 <= shown["progress"] <= 1, f"progress is {shown['progress']}")
    ask("GET", one, world.stranger["token"]).refused(404)
    ended = ask("DELETE", one, token)
    if ended.status != 204:
        ended.refused(409, "finished")


def writing(world: World) -> None:
    """A transcript is written over what its writer has seen, followed by others, and removed."""
    ask, token = world.service.ask, world.token
    file_id = world.upload_version_2(world.me, b"#!AMR\nwhat was said")["file_id"]
    path = f"/api/audio-file/{file_id}/transcript"
    ask("GET", path, token).refused(404, "transcript_not_found")
    put(world, file_id, sealed=sealed(world, file_id), revision="another").refused(409, "conflict")
    mine = sealed(world, file_id)
    first = put(world, file_id, sealed=mine, language="en").good(200)
    has(first, "the transcript", file_id=file_id, revision=str, language="en", created_at=TIME)
    has(first, "the transcript", source="client")
    has(ask("GET", path, token).good(200), "the transcript", sealed=mine, revision=first["revision"])
    since = ask("GET", "/api/user/transcripts", token).good(200)["next"]
    second = put(world, file_id, sealed=mine, revision=first["revision"]).good(200)
    expect(second["revision"] != first["revision"], "the revision is the same after another write")
    put(world, file_id, sealed=mine, revision=first["revision"]).refused(409, "conflict")
    put(world, file_id, sealed="no base64").refused(400)
    short = base64.b64encode(bytes(48)).decode()
    put(world, file_id, sealed=short).refused(422, "decryption_failed")
    put(world, NO_FILE, sealed=mine).refused(404, "audio_file_not_found")
    told = ask("GET", f"/api/audio-file/{file_id}", token).good(200)["audio_file"]["transcript"]
    has(told, "`transcript`", status="succeeded", transcription_id=None, source="client")
    has(told, "`transcript`", revision=second["revision"])
    ask("GET", path, world.stranger["token"]).refused(404)
    ask("DELETE", path, token).good(204)
    ask("DELETE", path, token).refused(404, "transcript_not_found")
    page = ask("GET", f"/api/user/transcripts?since={since}", token).good(200)
    gone = [one for one in page["transcripts"] if one["file_id"] == file_id]
    expect(gone == [{"file_id": file_id, "deleted": True}], "its removal is not told once, at its latest")
    has(page, "the page", next=str, more=bool)
    ask("GET", "/api/user/transcripts?since=nonsense", token).refused(400, "invalid_cursor")


def reading(world: World) -> None:
    """A ticket of POST /api/transcripts/unlock reads transcripts in four formats, in its session alone."""
    ask, token = world.service.ask, world.token
    file_id = world.upload_version_2(world.me, b"#!AMR\nto be read")["file_id"]
    put(world, file_id, sealed=sealed(world, file_id)).good(200)
    path, unlock = f"/api/audio-file/{file_id}/transcript", "/api/transcripts/unlock"
    private = base64.b64encode(world.vault.transcripts_key.private_bytes_raw()).decode()
    ticket = ask("POST", unlock, token, {"transcripts_key": private}).good(200)
    has(ticket, "the ticket", ticket=str, expires_at=TIME)
    by_ticket = {"ticket": ticket["ticket"]}
    text = "A: We met by the river,\nin Straße & <Park>.\n"
    for name, kind, content in (
        ("text", "text/plain", text),
        ("srt", "application/x-subrip", "00:00:01,000 --> 00:00:02,000\nin Straße & <Park>."),
        ("vtt", "text/vtt", "00:00:01.000 --> 00:00:02.000\nin Straße &amp; &lt;Park&gt;."),
        ("json", "application/json", '"We met by the river,"'),
    ):
        read = ask("POST", path, token, {**by_ticket, "format": name})
        expect(read.status == 200, f"{name} answered {read.status}")
        expect(read.headers.get_content_type() == kind, f"{name} is {read.headers.get_content_type()}")
        expect(content in read.body.decode(), f"{name} does not hold what was said")
    expect(ask("POST", path, token, {"password": PASSWORD}).status == 200, "the password does not read it")
    ask("POST", path, token, {"password": "not the password"}).refused(401, "invalid_password")
    elsewhere = world.service.login(world.me["email"]).good(200)["token"]
    ask("POST", path, elsewhere, by_ticket).refused(401, "invalid_ticket")
    ask("POST", path, token, {"ticket": "none"}).refused(401, "invalid_ticket")
    ask("POST", unlock, token, {"transcripts_key": base64.b64encode(bytes(31) + b"\1").decode()}).refused(
        422, "decryption_failed"
    )
    for wrong in ({}, {**by_ticket, "password": PASSWORD}, {**by_ticket, "format": "pdf"}):
        ask("POST", path, token, wrong).refused(400)
    for wrong in ({}, {"transcripts_key": private[:-4]}):
        ask("POST", unlock, token, wrong).refused(400)


def finding(world: World) -> None:
    """POST /api/search finds words, phrases, beginnings and what must not occur, whatever their case."""
    ask, token = world.service.ask, world.token
    file_id = world.upload_version_2(world.me, b"#!AMR\nto be found")["file_id"]
    put(world, file_id, sealed=sealed(world, file_id)).good(200)

    def found(query: str) -> list[dict[str, Any]]:
        body = {"password": PASSWORD, "query": query}
        told = ask("POST", "/api/search", token, body).good(200)
        has(told, "the answer", hits=list, next_cursor=TEXT_OR_NONE, searched=int, total=int)
        return [hit for hit in told["hits"] if hit["file_id"] == file_id]

    for query, match in (
        ("RIVER ", "river"),
        ("stras", "Straße"),
        ("strasse ", "Straße"),
        ('"river in"', "river, in"),
        ("river -mountain ", "river"),
    ):
        hits = found(query)
        expect(len(hits) == 1, f"{query!r} finds {len(hits)} instead of 1")
        has(hits[0], "the hit", recorded_at=TIME, file_id=UUID)
        matches = [one["text"] for one in hits[0]["matches"]]
        expect(match in matches, f"{query!r} matches {matches}")
    for query in ("stras ", "mountain", "river -park", '"by river"'):
        expect(found(query) == [], f"{query!r} finds what it should not")
    for query in ("", "-river", "...", "a" * 1001):
        ask("POST", "/api/search", token, {"password": PASSWORD, "query": query}).refused(400)
    ask("POST", "/api/search", token, {"query": "river"}).refused(400)
    ask("POST", "/api/search", token, {"ticket": "none", "query": "river"}).refused(401, "invalid_ticket")


CHECKS = (public_key, own_key, asking_for_one, writing, reading, finding)
