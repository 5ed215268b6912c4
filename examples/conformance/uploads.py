"""Uploads: announced, sent, completed, given up."""

from __future__ import annotations

import secrets

from asking import TIME, UUID, expect, has
from basics import audio_file
from world import World

MIB = 1024 * 1024


def single(world: World) -> None:
    """A small upload is one PUT, and every step may be repeated."""
    ask, token = world.service.ask, world.token
    body = b"not even encrypted: the service does not look"
    wanted = {"file_size": len(body), "client_id": secrets.token_hex(8), "content_type": "audio/3gpp"}
    first = ask("POST", "/api/uploads", token, wanted).good(201)
    has(first, "upload", file_id=UUID, s3_key=str, upload=dict)
    has(first["upload"], "`upload`", type="single", method="PUT", url=str, headers=dict, expires_at=TIME)
    again = ask("POST", "/api/uploads", token, wanted).good(200)
    for name in ("file_id", "s3_key"):
        expect(again[name] == first[name], f"the same client_id has another {name}")
    path = f"/api/uploads/{first['file_id']}"
    state = ask("GET", path, token).good(200)
    has(state, "state", status="pending", upload=dict, stored_parts=[])
    ask("GET", path, world.stranger["token"]).refused(404)
    early = ask("POST", f"{path}/complete", token, {}).refused(409, "upload_incomplete")
    expect(isinstance(early.get("missing_parts"), list), "`missing_parts` is not told")
    world.put(again["upload"], body)
    done = audio_file(world.complete(world.me, first["file_id"]))
    has(done, "audio_file", status="stored", file_size=len(body), content_type="audio/3gpp")
    expect(world.complete(world.me, first["file_id"]) == done, "completed again, it is another")
    expect(ask("POST", "/api/uploads", token, wanted).good(200)["upload"] is None, "a stored upload has URLs")
    ask("DELETE", path, token).refused(409)


def multipart(world: World) -> None:
    """A large upload comes in parts that add up, and can be given up."""
    ask, token = world.service.ask, world.token
    size = 150 * MIB + 1
    first = ask("POST", "/api/uploads", token, {"file_size": size, "client_id": secrets.token_hex(8)}).good(
        201
    )
    upload = has(first["upload"], "`upload`", type="multipart", part_size=int, parts=list, expires_at=TIME)
    numbers = [part["part_number"] for part in upload["parts"]]
    count = -(-size // upload["part_size"])
    expect(numbers == list(range(1, count + 1)), "the parts do not add up to the object")
    path = f"/api/uploads/{first['file_id']}"
    early = ask("POST", f"{path}/complete", token, {}).refused(409, "upload_incomplete")
    expect(early.get("missing_parts") == numbers, "`missing_parts` are not all of them")
    ask("DELETE", path, token).good(204)
    ask("GET", path, token).refused(404)


def refused(world: World) -> None:
    """An announcement is checked, and a quota is told with its numbers."""
    ask, token = world.service.ask, world.token
    for wrong in (
        {},
        {"file_size": -1},
        {"file_size": 1, "sha256": "short"},
        {"file_size": 1, "recorded_at": "now"},
    ):
        ask("POST", "/api/uploads", token, wrong).refused(400)
    ask("POST", "/api/uploads", body={"file_size": 1}).refused(401)
    full = ask("POST", "/api/uploads", token, {"file_size": 5 * 1024**4}).refused(413, "quota_exceeded")
    usage = dict.fromkeys(("recordings", "bytes", "quota_recordings", "quota_bytes"), int)
    has(full.get("usage"), "`usage` of quota_exceeded", **usage)


CHECKS = (single, multipart, refused)
