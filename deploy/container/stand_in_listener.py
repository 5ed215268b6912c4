"""Starts the AWS stand-in in its container, with the socket and the input that `stand_in.py` wants."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

PORT = int(os.environ.get("STAND_IN_PORT", "5566"))
DATA = Path(os.environ.get("STAND_IN_DATA", "/data"))
# As `make run` sets it up.
SETTINGS = {
    "GATEWAY_PORT": str(PORT),
    "SERVICES": "dynamodb,s3,ses,sqs,sts",
    "PERSIST_STATE": "1",
    "STATE_DIR": str(DATA / "state"),
    "S3_PERSIST": "1",
    "S3_DATA_DIR": str(DATA / "objects"),
    "MINISTACK_REGION": os.environ.get("AWS_REGION", "us-east-1"),
    "SFTP_ENABLED": "0",
    "IOT_MTLS_ENABLED": "0",
    # A daemon would be asked for left-over containers otherwise.
    "DOCKER_HOST": f"unix://{DATA / 'no-docker'}",
}
# ministack reads far more variables, some of which start containers or open ports, so it gets no others.
INHERITED = ("PATH", "HOME", "TMPDIR", "TZ")


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
    for name in ("STATE_DIR", "S3_DATA_DIR"):
        Path(SETTINGS[name]).mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    program = str(Path(__file__).with_name("stand_in.py"))
    os.execve(  # noqa: S606 - our own interpreter with arguments of our own
        sys.executable,
        [sys.executable, "-X", "utf8", program, str(listener.fileno())],
        environment | SETTINGS,
    )


if __name__ == "__main__":
    main()
