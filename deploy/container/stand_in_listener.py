"""Starts the AWS stand-in in its container, with the sockets, input and secrets that it wants."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

from deploy.local.stand_in_settings import ACCESS_KEY, StandInSettings

PORT = int(os.environ.get("STAND_IN_PORT") or "5566")
DATA = Path(os.environ.get("STAND_IN_DATA", "/data"))
SECRETS = Path(os.environ.get("STAND_IN_SECRETS", "/secrets"))
# Only these are passed on, since ministack reads far more variables.
INHERITED = ("PATH", "HOME", "TMPDIR", "TZ")


def kept(name: str) -> str:
    """Return the secret of this name, made at the first start and kept in the volume."""
    path = SECRETS / name
    if not path.exists():
        draft = SECRETS / f".{name}"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        draft.replace(path)
    return path.read_text()


def tell_the_others(secret_access_key: str) -> None:
    """Write what the other containers read, as a shell does: a SECRET_KEY of the operator's own stands."""
    draft = SECRETS / ".service.env"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f': "${{SECRET_KEY:={kept("secret_key")}}}"\n')
        file.write(f"AWS_ACCESS_KEY_ID={ACCESS_KEY}\nAWS_SECRET_ACCESS_KEY={secret_access_key}\n")
    draft.replace(SECRETS / "service.env")


def main() -> None:
    """Listen, and become the stand-in."""
    # Every interface of the container; compose.yaml says who reaches it.
    listener = socket.create_server(("0.0.0.0", PORT), backlog=128)  # noqa: S104
    listener.set_inheritable(True)
    # The end of standard input would tell the stand-in that its supervisor has died. A container has none, so
    # the stand-in itself keeps the other end.
    reading, writing = os.pipe()
    os.dup2(reading, 0, inheritable=True)
    os.set_inheritable(writing, True)
    region = os.environ.get("AWS_REGION") or "us-east-1"
    bucket = os.environ.get("S3_BUCKET") or "panzoto-audio-dev"
    secret_access_key = kept("secret_access_key")
    settings = StandInSettings(DATA, PORT, region, bucket, secret_access_key)
    settings.make_folders()
    tell_the_others(secret_access_key)
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    program = str(Path(__file__).parent / "deploy" / "local" / "stand_in.py")
    os.execve(  # noqa: S606 - our own interpreter with arguments of our own
        sys.executable,
        [sys.executable, "-X", "utf8", program, str(listener.fileno())],
        environment | settings.environment(),
    )


if __name__ == "__main__":
    main()
