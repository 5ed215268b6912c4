"""The account: profile, log, password, recovery, letters, address, export, deletion."""

from __future__ import annotations

import io
import re
import secrets
import zipfile

from asking import PASSWORD, TIME, expect, has
from basics import account
from world import NEW_PASSWORD, World

GROUPS = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){13}")


def profile(world: World) -> None:
    """GET /api/user tells the account and what it uses."""
    told = world.service.ask("GET", "/api/user", world.token).good(200)
    has(
        told,
        "the profile",
        user_id=world.me["user_id"],
        email=world.me["email"],
        created_at=TIME,
        email_verified=bool,
        pending_email=(str, None),
        recovery_key_set=bool,
    )
    numbers = dict.fromkeys(("recordings", "bytes", "quota_recordings", "quota_bytes"), int)
    has(told["usage"], "usage", **numbers)


def events(world: World) -> None:
    """GET /api/user/events tells what happened to the account, newest first."""
    ask, token = world.service.ask, world.token
    told = ask("GET", "/api/user/events?limit=1000", token).good(200)["events"]
    for event in told:
        has(event, "event", event_id=str, type=str, at=TIME, session_id=(str, None), address=(str, None))
    types = {event["type"] for event in told}
    for wanted in ("registered", "signed_in"):
        expect(wanted in types, f"there is no event of the type {wanted}")
    times = [event["at"] for event in told]
    expect(times == sorted(times, reverse=True), "the events are not newest first")
    page = ask("GET", "/api/user/events?limit=1", token).good(200)
    after = ask("GET", f"/api/user/events?limit=1&cursor={page['next_cursor']}", token).good(200)
    expect([*page["events"], *after["events"]] == told[:2], "the pages do not add up to the list")
    cursor = f"/api/user/events?cursor={page['next_cursor']}"
    ask("GET", cursor, world.stranger["token"]).refused(400, "invalid_cursor")


def password(world: World) -> None:
    """A new password keeps the vault and all recordings, and ends the other sessions."""
    ask = world.service.ask
    mine = world.somebody()
    old = world.upload_single_shot(mine, b"#!AMR\nbefore the change")
    new = world.upload_version_2(mine, b"#!AMR\nversion 2, before the change")
    other = world.service.login(mine["email"]).good(200)
    wrong = {"password": "not the password", "new_password": NEW_PASSWORD}
    ask("POST", "/api/user/password", mine["token"], wrong).refused(401, sentence="Invalid password")
    short = {"password": PASSWORD, "new_password": "short"}
    ask("POST", "/api/user/password", mine["token"], short).refused(400)
    change = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = account(ask("POST", "/api/user/password", mine["token"], change).good(200))
    expect(changed["key_salt"] != mine["key_salt"], "key_salt stayed the same")
    expect(changed["vault"]["kdf"]["salt"] != mine["vault"]["kdf"]["salt"], "kdf.salt stayed the same")
    expect(changed["vault"]["key_id"] == mine["vault"]["key_id"], "key_id changed")
    refresh = {"refresh_token": other["refresh_token"]}
    ask("POST", "/api/token/refresh", body=refresh).refused(401)
    for recording, plain in (
        (old, b"#!AMR\nbefore the change"),
        (new, b"#!AMR\nversion 2, before the change"),
    ):
        body = {"password": NEW_PASSWORD, "file_id": recording["file_id"]}
        told = ask("POST", "/api/decrypt-audio", changed["token"], body).good(200)
        expect(ask("GET", told["download_url"]).body == plain, "a recording from before sounds different")
    world.service.login(mine["email"], PASSWORD).refused(401)


def recovery(world: World) -> None:
    """The recovery key opens the account without the password, and recordings go on opening."""
    ask = world.service.ask
    mine = world.somebody()
    recording = world.upload_single_shot(mine, b"#!AMR\nkept", 16, "hex")
    made = ask("POST", "/api/user/recovery-key", mine["token"], {"password": PASSWORD}).good(201)
    has(made, "the answer", recovery_key=GROUPS, created_at=TIME)
    expect(ask("GET", "/api/user", mine["token"]).good(200)["recovery_key_set"] is True, "it is not told")
    key = made["recovery_key"]
    wanted = {"email": mine["email"], "recovery_key": key, "new_password": NEW_PASSWORD}
    slip = {**wanted, "recovery_key": key[:-1] + ("0" if key[-1] != "0" else "1")}
    ask("POST", "/api/recover", body=slip).refused(400, "invalid_recovery_key")
    nobody = {**wanted, "email": f"conformance-{secrets.token_hex(8)}@example.com"}
    ask("POST", "/api/recover", body=nobody).refused(401, "recovery_failed")
    forgiven = {**wanted, "recovery_key": key.lower().replace("-", " ").replace("0", "o").replace("1", "l")}
    recovered = account(ask("POST", "/api/recover", body=forgiven).good(200))
    body = {"password": NEW_PASSWORD, "file_id": recording["file_id"]}
    told = ask("POST", "/api/decrypt-audio", recovered["token"], body).good(200)
    expect(
        ask("GET", told["download_url"]).body == b"#!AMR\nkept", "a recording from before sounds different"
    )
    refresh = {"refresh_token": mine["refresh_token"]}
    ask("POST", "/api/token/refresh", body=refresh).refused(401)
    inside = {"recovery_key": key, "new_password": PASSWORD}
    again = account(ask("POST", "/api/user/recover", recovered["token"], inside).good(200))
    expect(again["vault"]["key_id"] == mine["vault"]["key_id"], "key_id changed")
    world.service.login(mine["email"]).good(200)
    slip = {**inside, "recovery_key": key[:-1] + ("0" if key[-1] != "0" else "1")}
    ask("POST", "/api/user/recover", again["token"], slip).refused(400, "invalid_recovery_key")


def letters(world: World) -> None:
    """Calls about letters tell nobody who has an account, and take no code but their own."""
    ask = world.service.ask
    for email in (world.stranger["email"], f"conformance-{secrets.token_hex(8)}@example.com"):
        ask("POST", "/api/password/forgot", body={"email": email}).good(202)
    ask("POST", "/api/user/verify-email", world.token).good(202)
    ask("POST", "/api/verify-email", body={"code": "nonsense"}).refused(400, "invalid_code")
    wanted = {"code": "nonsense", "new_password": NEW_PASSWORD}
    ask("POST", "/api/password/reset", body=wanted).refused(400, "invalid_code")
    ask("POST", "/api/email/undo", body={"code": "nonsense"}).refused(400, "invalid_code")


def address(world: World) -> None:
    """Another address needs the password, and one that nobody has."""
    ask = world.service.ask
    taken = {"password": PASSWORD, "email": world.stranger["email"]}
    ask("POST", "/api/user/email", world.token, taken).refused(409, sentence="User already exists")
    fresh = f"conformance-{secrets.token_hex(8)}@example.com"
    wrong = {"password": "not the password", "email": fresh}
    ask("POST", "/api/user/email", world.token, wrong).refused(401)
    ask("POST", "/api/user/email", world.token, {"password": PASSWORD, "email": "no address"}).refused(400)
    mine = world.somebody()
    moving = {"password": PASSWORD, "email": fresh}
    told = ask("POST", "/api/user/email", mine["token"], moving).good(200)["user"]
    profile = ask("GET", "/api/user", mine["token"]).good(200)
    expect(profile["email"] == told["email"], "the profile and the answer tell two addresses")
    where = (profile["email"], profile["pending_email"])
    expect(
        where in ((mine["email"], fresh), (fresh, None)), "the address has neither moved nor is it pending"
    )
    if profile["pending_email"] is not None:
        back = {"password": PASSWORD, "email": mine["email"]}
        ask("POST", "/api/user/email", mine["token"], back).good(200)
        profile = ask("GET", "/api/user", mine["token"]).good(200)
        expect(profile["pending_email"] is None, "its own address does not take a wish back")
    else:
        ask("DELETE", "/api/user", mine["token"], {"password": PASSWORD}).good(202)


def export(world: World) -> None:
    """GET /api/user/export is a ZIP of everything, encrypted as it lies."""
    file_id = world.recording["file_id"]
    answer = world.service.ask("GET", "/api/user/export", world.token)
    expect(answer.status == 200, f"the export answered {answer.status}")
    kind = answer.headers.get_content_type()
    expect(kind == "application/zip", f"the export is {kind}")
    try:
        with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
            expect(archive.testzip() is None, "a file in the export is damaged")
            names = archive.namelist()
            expect(any(file_id in name for name in names), "a recording is not in the export")
            text = b"".join(archive.read(name) for name in names if name.endswith(".json"))
            expect(world.me["vault"]["wrapped_key"].encode() in text, "the vault is not in the export")
    except zipfile.BadZipFile:
        expect(False, "the export is no ZIP")


def deletion(world: World) -> None:
    """DELETE /api/user needs the password; then the token is dead and the address free."""
    ask = world.service.ask
    mine = world.somebody()
    world.upload_version_2(mine, b"#!AMR\nto go")
    ask("DELETE", "/api/user", mine["token"], {"password": "not the password"}).refused(401)
    ask("DELETE", "/api/user", mine["token"], {"provider_token": "nonsense"}).refused(401)
    told = ask("DELETE", "/api/user", mine["token"], {"password": PASSWORD}).good(202)
    has(told["deletion"], "deletion", status=str, started_at=TIME)
    ask("GET", "/api/user", mine["token"]).refused(401)
    world.service.login(mine["email"]).refused(401)


CHECKS = (profile, events, password, recovery, letters, address, export, deletion)
