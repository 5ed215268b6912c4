"""Starting the AWS stand-in, and how others reach it: by the one key that it and the service share."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.local.listening import LOOPBACK, port_of
from deploy.local.stand_in_settings import ACCESS_KEY, StandInSettings
from deploy.serving.processes import Child
from panzoto.config import Settings, child_environment

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-aws" / "bin" / "python"
COMMAND = [str(PYTHON), "-I", "-X", "utf8", str(ROOT / "deploy" / "local" / "stand_in.py")]
HEALTH = "/_ministack/health"


def secret_of(settings: Settings) -> str:
    """Return the secret access key of this data folder, the same from one start to the next.

    Other machines reach the stand-in, so it is as secret as what signs tokens.
    """
    return hmac.new(settings.secret_key.encode(), b"panzoto: the stand-in of AWS", hashlib.sha256).hexdigest()


def start(settings: Settings, listeners: Sequence[socket.socket], lock: int | None = None) -> Child:
    """Start the stand-in on sockets of one port, its state in the data folder; `lock` stays held meanwhile.

    Raises `OSError`.
    """
    folder = settings.data_dir / "aws"
    wanted = StandInSettings(
        folder, port_of(listeners[0]), settings.region, settings.bucket, secret_of(settings)
    )
    wanted.make_folders()
    scratch = folder / "tmp"
    scratch.mkdir(mode=0o700, exist_ok=True)
    log = folder / "stand-in.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    environment = child_environment(
        {**wanted.environment(), "HOME": str(scratch), "TMPDIR": str(scratch)},
        inherit=("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"),
    )
    numbers = [listener.fileno() for listener in listeners]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
            [*COMMAND, *map(str, numbers)],
            # A pipe that nobody writes to: it ends when this process does.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(*numbers, *([] if lock is None else [lock])),
            start_new_session=True,
            umask=0o077,
        )
    return Child("the AWS stand-in", process, f"see its log, {log}")


def endpoint(port: int) -> str:
    """Return where programs of this machine reach the stand-in."""
    return f"http://{LOOPBACK}:{port}"


def aws_variables(settings: Settings, port: int) -> dict[str, str]:
    """Return the variables by which botocore finds the stand-in, and none of the user's own settings."""
    return {
        "AWS_ENDPOINT_URL": endpoint(port),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        # Somebody's real keys have no business in the presigned URLs of a stand-in, nor has their profile.
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": secret_of(settings),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # A proxy of the user's network cannot reach this machine's loopback interface.
        **direct_to_loopback(),
    }


def direct_to_loopback() -> dict[str, str]:
    """Return the variables that keep this machine's loopback interface from being asked of a proxy."""
    inherited = child_environment({}, inherit=("no_proxy", "NO_PROXY"))
    names = [inherited.get("no_proxy") or inherited.get("NO_PROXY"), LOOPBACK]
    direct = ",".join(name for name in names if name)
    return {"NO_PROXY": direct, "no_proxy": direct}
