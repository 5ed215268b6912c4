"""What the checks share: two accounts, made when they are first needed, and recordings in them."""

from __future__ import annotations

import io
import secrets
from functools import cached_property
from typing import Any

import panzoto_client
from asking import PASSWORD, FellShort, Service, Unreachable, expect

AMR_FRAME = b"\x3c" + bytes(31)


class World:
    """One run against one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._made: list[dict[str, Any]] = []

    @cached_property
    def me(self) -> dict[str, Any]:
        """The account that most checks use; its password does not change."""
        return self.somebody()

    @cached_property
    def stranger(self) -> dict[str, Any]:
        return self.somebody()

    @cached_property
    def token(self) -> str:
        return str(self.me["token"])

    def somebody(self, **more: Any) -> dict[str, Any]:
        """Return a fresh account, which is deleted at the end."""
        account = self.service.register(**more)
        self._made.append(account)
        return account

    def close(self) -> None:
        """Delete what was made; what a check has deleted already, or changed, may refuse."""
        for account in self._made:
            for password in (PASSWORD, NEW_PASSWORD):
                try:
                    answer = self.service.login(account["email"], password)
                    if answer.status == 200:
                        token = answer.json()["token"]
                        self.service.ask("DELETE", "/api/user", token, {"password": password})
                        break
                except (FellShort, Unreachable, KeyError):
                    break

    def upload(self, account: dict[str, Any], encrypted: bytes, **more: Any) -> dict[str, Any]:
        """Announce, PUT and complete one object that is encrypted already; return its `audio_file`."""
        announced = self.announce(account, len(encrypted), **more)
        self.put(announced["upload"], encrypted)
        return self.complete(account, announced["file_id"])

    def announce(self, account: dict[str, Any], size: int, **more: Any) -> dict[str, Any]:
        wanted = {"file_size": size, "client_id": secrets.token_hex(8), **more}
        return self.service.ask("POST", "/api/uploads", account["token"], wanted).good(201)

    def put(self, upload: dict[str, Any], body: bytes) -> None:
        expect(upload["type"] == "single", f"the upload is {upload['type']} instead of single")
        headers = {name.replace("-", "_"): value for name, value in upload["headers"].items()}
        # urllib would add one of a form.
        headers.setdefault("Content_Type", "application/octet-stream")
        answer = self.service.ask(upload["method"], upload["url"], raw=body, **headers)
        expect(answer.status == 200, f"the PUT to `upload.url` was answered {answer.status}")

    def complete(self, account: dict[str, Any], file_id: str) -> dict[str, Any]:
        path = f"/api/uploads/{file_id}/complete"
        done: dict[str, Any] = self.service.ask("POST", path, account["token"], {}).good(200)["audio_file"]
        return done

    def upload_version_2(self, account: dict[str, Any], plain: bytes, **more: Any) -> dict[str, Any]:
        announced = self.announce(account, panzoto_client.encrypted_size(len(plain)), **more)
        vault = panzoto_client.open_vault(account, PASSWORD)
        pieces = panzoto_client.encrypt_recording(vault, announced["s3_key"], io.BytesIO(plain))
        self.put(announced["upload"], b"".join(pieces))
        return self.complete(account, announced["file_id"])

    def upload_single_shot(
        self, account: dict[str, Any], plain: bytes, iv: int = 12, salt: str = "raw", **more: Any
    ) -> dict[str, Any]:
        key = panzoto_client.direct_key(account, PASSWORD, salt)
        return self.upload(
            account, b"".join(panzoto_client.encrypt_single(key, io.BytesIO(plain), iv)), **more
        )

    @cached_property
    def vault(self) -> panzoto_client.Vault:
        """The opened vault of `me`."""
        return panzoto_client.open_vault(self.me, PASSWORD)

    @cached_property
    def sound(self) -> bytes:
        """Some AMR sound: a clip of a second and more, over several segments' border."""
        return b"#!AMR\n" + AMR_FRAME * 2500

    @cached_property
    def recording(self) -> dict[str, Any]:
        """A version 2 recording of `me`, whose plain bytes are `sound`."""
        moments = {"recorded_at": "2026-05-01T10:00:00Z", "duration_ms": 50_000, "content_type": "audio/amr"}
        return self.upload_version_2(self.me, self.sound, **moments)


NEW_PASSWORD = "a short walk along the sea"
