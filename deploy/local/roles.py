"""The processes of which the service consists, as `make run` starts them beside its stand-in for AWS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from deploy.local import stand_in_launch
from deploy.serving.processes import Child, end_with_parent
from panzoto.config import Settings, child_environment

ROOT = Path(__file__).resolve().parents[2]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "serving" / "gunicorn.conf.py")]
COMMANDS = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "panzoto"]


def start_service(
    settings: Settings, aws_port: int, listeners: list[socket.socket], more: Mapping[str, str]
) -> tuple[Child, int]:
    """Start gunicorn on sockets that listen already; it finds AWS at the stand-in, and `more` variables.

    The number returned is that of a pipe, to which a worker writes when it takes
    requests.  Asking over the sockets would only queue up questions until then.
    """
    numbers = [listener.fileno() for listener in listeners]
    binds = [word for number in numbers for word in ("--bind", f"fd://{number}")]
    ready, say_ready = os.pipe()
    try:
        environment = (
            service_environment(settings, aws_port) | dict(more) | {"PANZOTO_READY_FD": str(say_ready)}
        )
        command = [*GUNICORN, *binds, "wsgi:app"]
        return start_role("the service", command, environment, [*numbers, say_ready]), ready
    finally:
        os.close(say_ready)


def start_events(settings: Settings, aws_port: int, more: Mapping[str, str]) -> Child:
    """Start the worker that commits the uploads of which the bucket tells."""
    command = [*COMMANDS, "events"]
    return start_role("the events worker", command, command_environment(settings, aws_port, more))


def start_transcriptions(settings: Settings, aws_port: int, more: Mapping[str, str]) -> Child | None:
    """Start the worker that turns sound into words, where there is an engine to ask."""
    if not (more.get("TRANSCRIPTION_URL") or settings.transcription.url):
        return None
    command = [*COMMANDS, "transcriptions", "work"]
    return start_role("the transcription worker", command, command_environment(settings, aws_port, more))


def start_role(
    name: str,
    command: list[str],
    environment: dict[str, str],
    inherited: Sequence[int] = (),
    output: IO[bytes] | None = None,
) -> Child:
    """Start one process of the service, which ends with this one; `inherited` are descriptors for it."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        env=environment,
        pass_fds=inherited,
        start_new_session=True,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - this process has one thread
    )
    return Child(name, process, "see its messages above")


def service_environment(settings: Settings, aws_port: int) -> dict[str, str]:
    """Return an environment in which botocore can reach the stand-in, and nothing but it."""
    environment = child_environment(
        {
            "FLASK_ENV": "development",
            "PORT": str(settings.port),
            "METRICS_PORT": str(settings.metrics_port),
            "PANZOTO_DATA_DIR": str(settings.data_dir),
            "AWS_ENDPOINT_URL_DYNAMODB": None,
            "AWS_ENDPOINT_URL_S3": None,
            "AWS_ENDPOINT_URL_SQS": None,
            "AWS_USE_FIPS_ENDPOINT": None,
            "AWS_USE_DUALSTACK_ENDPOINT": None,
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_DEFAULT_PROFILE": None,
            **stand_in_launch.aws_variables(settings, aws_port),
        }
    )
    environment["AUTO_CREATE_RESOURCES"] = environment.get("AUTO_CREATE_RESOURCES", "").strip() or "1"
    return environment


def command_environment(settings: Settings, aws_port: int, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `flask panzoto …` beside the service, which has made the tables already."""
    return service_environment(settings, aws_port) | dict(more) | {"AUTO_CREATE_RESOURCES": "0"}
