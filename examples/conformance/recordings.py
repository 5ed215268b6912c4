"""Recordings: what is known of them, the trash, changes and sittings."""

from __future__ import annotations

import base64
import re

from asking import TIME, UUID, expect, has
from basics import audio_file
from world import World

NO_FILE = "00000000-0000-4000-8000-000000000000"


def one(world: World) -> None:
    """GET and PATCH /api/audio-file/{file_id}: seen, named, and nobody else's."""
    ask, token, file_id = world.service.ask, world.token, world.recording["file_id"]
    path = f"/api/audio-file/{file_id}"
    expect(
        audio_file(ask("GET", path, token).good(200)["audio_file"])["file_id"] == file_id, "another recording"
    )
    title = base64.b64encode(b"sealed by the client").decode()
    named = ask("PATCH", path, token, {"title": title, "note": title}).good(200)["audio_file"]
    has(named, "audio_file", title=title, note=title)
    unnamed = ask("PATCH", path, token, {"note": None}).good(200)["audio_file"]
    has(unnamed, "audio_file", title=title, note=None)
    for wrong in ({"title": "no base64!"}, {"duration_ms": -1}, {"recorded_at": "yesterday"}):
        ask("PATCH", path, token, wrong).refused(400)
    too_long = base64.b64encode(bytes(4097)).decode()
    ask("PATCH", path, token, {"title": too_long}).refused(400)
    for method, other in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/restore")):
        body = {} if method != "GET" else None
        ask(method, other, world.stranger["token"], body).refused(404)
    ask("GET", f"/api/audio-file/{NO_FILE}", token).refused(404)


def trash(world: World) -> None:
    """What is deleted lies in the trash, comes back, and goes for good when that is asked for."""
    ask, token = world.service.ask, world.token
    file_id = world.upload_version_2(world.me, b"#!AMR\nto be thrown away")["file_id"]
    path = f"/api/audio-file/{file_id}"

    def ids(where: str) -> set[str]:
        return {kept["file_id"] for kept in ask("GET", where, token).good(200)["audio_files"]}

    binned = ask("DELETE", path, token).good(200)["audio_file"]
    has(audio_file(binned), "audio_file", deleted_at=TIME)
    expect(file_id in ids("/api/user/trash"), "it is not in the trash")
    expect(file_id not in ids("/api/user/audio-files"), "it is still listed")
    has(ask("POST", f"{path}/restore", token).good(200)["audio_file"], "audio_file", deleted_at=None)
    expect(file_id in ids("/api/user/audio-files"), "it is not listed again")
    ask("DELETE", f"{path}?permanent=true", token).good(204)
    ask("GET", path, token).refused(404)
    erased = ask("GET", "/api/user/erasures", token).good(200)["erasures"]
    mine = [entry for entry in erased if entry["file_id"] == file_id]
    expect(len(mine) == 1, "the erasure is not told")
    has(mine[0], "erasure", erased_at=(TIME, None), objects_removed=int, objects_waiting=(int, None))


def changes(world: World) -> None:
    """GET /api/user/changes tells once what is new since, deletions too."""
    ask, token = world.service.ask, world.token
    file_id = world.recording["file_id"]
    known, since = {}, ""
    for _ in range(100):
        page = ask("GET", f"/api/user/changes?limit=3{since}", token).good(200)
        for change in page["changes"]:
            has(change, "change", type=re.compile("upsert|delete"), file_id=UUID, audio_file=(dict, None))
            known[change["file_id"]] = change
        has(page, "changes", next=str, more=bool)
        since = f"&since={page['next']}"
        if not page["more"]:
            break
    expect(known.get(file_id, {}).get("type") == "upsert", "a recording is missing among the changes")
    ask("DELETE", f"/api/audio-file/{file_id}", token).good(200)
    gone = ask("GET", f"/api/user/changes?limit=3{since}", token).good(200)["changes"]
    expect([(one["type"], one["file_id"]) for one in gone] == [("delete", file_id)], "a deletion is not told")
    ask("POST", f"/api/audio-file/{file_id}/restore", token).good(200)
    ask("GET", "/api/user/changes?since=nonsense", token).refused(400, "invalid_cursor")


def timeline(world: World) -> None:
    """GET /api/user/timeline puts together what was recorded together."""
    ask, token = world.service.ask, world.stranger["token"]
    made = [
        world.upload_version_2(
            world.stranger,
            b"#!AMR\n",
            recorded_at=f"2026-05-0{day}T10:{minute:02}:00Z",
            duration_ms=55_000,
            content_type="audio/amr",
        )["file_id"]
        for day, minute in ((1, 0), (1, 1), (2, 0))
    ]
    sittings = ask("GET", "/api/user/timeline?gap=30", token).good(200)["sittings"]
    for sitting in sittings:
        has(sitting, "sitting", started_at=TIME, ended_at=TIME, duration_ms=int, file_ids=list)
    expect(
        [sitting["file_ids"] for sitting in sittings] == [made[2:], made[:2]], "other sittings than recorded"
    )
    expect(sittings[1]["duration_ms"] == 110_000, f"a sitting lasts {sittings[1]['duration_ms']} ms")
    apart = ask("GET", "/api/user/timeline?gap=4", token).good(200)["sittings"]
    expect(len(apart) == 3, "a gap of 5 s lies within a sitting of gap=4")
    for gap in ("-1", "86401", "wide"):
        ask("GET", f"/api/user/timeline?gap={gap}", token).refused(400)


CHECKS = (one, trash, changes, timeline)
