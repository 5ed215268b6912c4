"""Sessions: tokens that are renewed, and devices that are signed out."""

from __future__ import annotations

from asking import TIME, UUID, expect, has
from world import World


def refresh(world: World) -> None:
    """A refresh token is for one use; asked again at once, it gives the same successor."""
    ask = world.service.ask
    mine = world.service.login(world.me["email"], device_name="conformance: refresh").good(200)
    body = {"refresh_token": mine["refresh_token"]}
    first = ask("POST", "/api/token/refresh", body=body).good(200)
    has(first, "refresh", token=str, refresh_token=str, expires_at=TIME, session_id=mine["session_id"])
    expect(first["refresh_token"] != mine["refresh_token"], "the refresh token stayed the same")
    again = ask("POST", "/api/token/refresh", body=body).good(200)
    expect(again["refresh_token"] == first["refresh_token"], "a repeated refresh has another successor")
    ask("GET", "/api/user", first["token"]).good(200)
    for wrong in ("nonsense", mine["token"]):
        body = {"refresh_token": wrong}
        ask("POST", "/api/token/refresh", body=body).refused(401, "invalid_refresh_token")
    ask("GET", "/api/user", first["refresh_token"]).refused(401)


def devices(world: World) -> None:
    """Sessions are listed with their devices and end one by one."""
    ask, token = world.service.ask, world.token
    other = world.service.login(world.me["email"], device_name="conformance: tablet").good(200)
    listed = ask("GET", "/api/user/sessions", token).good(200)["sessions"]
    for one in listed:
        has(
            one, "session", session_id=UUID, device_name=str, created_at=TIME, last_seen_at=TIME, current=bool
        )
    current = [one["session_id"] for one in listed if one["current"]]
    expect(current == [world.me["session_id"]], "not this session alone is `current`")
    named = {one["session_id"]: one["device_name"] for one in listed}
    expect(named.get(other["session_id"]) == "conformance: tablet", "the device's name was not kept")
    path = f"/api/user/sessions/{other['session_id']}"
    ask("DELETE", path, world.stranger["token"]).refused(404)
    ask("DELETE", path, token).good(204)
    left = ask("GET", "/api/user/sessions", token).good(200)["sessions"]
    expect(other["session_id"] not in {one["session_id"] for one in left}, "an ended session is listed")
    ask("POST", "/api/token/refresh", body={"refresh_token": other["refresh_token"]}).refused(401)


def logout(world: World) -> None:
    """Signing out ends this session, or all others."""
    ask = world.service.ask
    one = world.service.login(world.stranger["email"]).good(200)
    ask("POST", "/api/logout", one["token"]).good(204)
    ask("POST", "/api/token/refresh", body={"refresh_token": one["refresh_token"]}).refused(401)
    two = world.service.login(world.stranger["email"]).good(200)
    ask("POST", "/api/logout-others", world.stranger["token"]).good(204)
    ask("POST", "/api/token/refresh", body={"refresh_token": two["refresh_token"]}).refused(401)
    ask("GET", "/api/user", world.stranger["token"]).good(200)


CHECKS = (refresh, devices, logout)
