"""The supervisor of `make run`: the service and, where there is no AWS to talk to, a stand-in for it.

The stand-in keeps its state in the data folder and saves the last of it at a clean stop.  Most of this
module sees to it that there is a clean stop: neither child shares the terminal's process group, so a Ctrl-C
reaches only the supervisor, which stops the service first and the stand-in after it.  Should the supervisor
itself be killed, the service is told by the kernel (on Linux) and the stand-in by the end of a pipe
(everywhere).

With an AWS endpoint of the operator's own, or in production, nothing is supervised: this process becomes
gunicorn.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from panzoto.config import Settings, child_environment
from panzoto.errors import SettingsError
from panzoto.processes import Child, ChildEnded, MakeWatch, Signals, end_with_parent
from panzoto.sandbox import hide_memory

ROOT = Path(__file__).resolve().parent.parent
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"), "wsgi:app"]
STAND_IN_PYTHON = ROOT / ".venv-aws" / "bin" / "python"
STAND_IN = [str(STAND_IN_PYTHON), "-I", "-X", "utf8", str(ROOT / "deploy" / "stand_in.py")]
# What the service uses, and `aws sts get-caller-identity`; some of ministack's other services run code or
# containers.
STAND_IN_SERVICES = "dynamodb,s3,ses,sqs,sts"

LOOPBACK = "127.0.0.1"
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - what the service binds, and what is tried before it does

LOCK_SECONDS = 5.0
START_SECONDS = 60.0
# gunicorn gives running requests its graceful_timeout and then ends them; this is beyond that.
SERVICE_STOP_SECONDS = 40.0
STAND_IN_STOP_SECONDS = 60.0


class StartError(Exception):
    """The service cannot start or go on; the sentence says why and what to do."""


class StopRequested(Exception):
    """Somebody asked the service to stop while it was starting."""


def main() -> int:
    """Run until asked to stop; return 0 after that, 1 if it cannot go on, 2 for a setting that is no good."""
    hide_memory()
    try:
        settings = Settings.from_environment()
        if settings.production or settings.custom_aws_endpoint:
            become_the_service(settings)
        run_with_stand_in(settings)
    except SettingsError as error:
        say(f"panzoto: {error}", error=True)
        return 2
    except (StartError, ChildEnded) as error:
        say(f"panzoto: {error}", error=True)
        return 1
    return 0


def say(text: str, *, error: bool = False) -> None:
    """Print `text`; that nobody listens any more must not keep the children from being stopped in order."""
    try:
        print(text, file=sys.stderr if error else sys.stdout, flush=True)
    except OSError:
        return


def become_the_service(settings: Settings) -> None:
    """Replace this process by gunicorn; raise `StartError` when its port is taken."""
    require_free_port(settings.port)
    sys.stdout.flush()
    os.execv(GUNICORN[0], GUNICORN)  # noqa: S606 - our own interpreter with arguments of our own


def run_with_stand_in(settings: Settings) -> None:
    """Run the stand-in and the service until asked to stop; raise `StartError` or `ChildEnded`."""
    if not STAND_IN_PYTHON.exists():
        raise StartError("the AWS stand-in is not installed; `make install` installs it")
    data_dir = settings.data_dir.absolute()
    with Signals() as signals, locked(data_dir, signals) as lock:
        require_free_port(settings.port)
        settings = replace(settings, data_dir=data_dir, metrics_port=metrics_port(settings.metrics_port))
        supervisor = Supervisor(settings, signals, MakeWatch())
        try:
            supervisor.run(lock)
        except StopRequested:
            pass
        finally:
            supervisor.stop()


class Supervisor:
    """Starts the stand-in and the service, watches both, and stops them in the other order."""

    def __init__(self, settings: Settings, signals: Signals, make: MakeWatch) -> None:
        self._settings = settings
        self._signals = signals
        self._make = make
        self._stand_in: Child | None = None
        self._service: Child | None = None

    def run(self, lock: int) -> None:
        """Return when asked to stop; raise `StartError` or `ChildEnded` when a child does not do its part."""
        say("Panzoto is starting ...")
        listener = stand_in_listener(self._settings)
        port: int = listener.getsockname()[1]
        with listener:
            self._stand_in = start_stand_in(self._settings, listener, lock)
        self._wait_for(self._stand_in, port, "/_ministack/health")
        self._service = start_service(self._settings, f"http://{LOOPBACK}:{port}")
        self._wait_for(self._service, self._settings.port, "/api/health")
        say(banner(self._settings, port))
        while not self._asked_to_stop():
            self._stand_in.require_alive()
            self._service.require_alive()
            self._signals.wait(0.5)

    def _asked_to_stop(self) -> bool:
        return self._signals.stops > 0 or self._make.stopped()

    def _wait_for(self, child: Child, port: int, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port, path):
            if self._asked_to_stop():
                raise StopRequested
            child.require_alive()
            if time.monotonic() > deadline:
                raise StartError(
                    f"{child.name} did not answer within {START_SECONDS:.0f} seconds; {child.hint}"
                )
            self._signals.wait(0.1)

    def stop(self) -> None:
        """Stop what runs, the service first; the stand-in saves its state before it goes."""
        if self._service:
            if self._service.process.poll() is None:
                say("\nPanzoto is stopping; Ctrl-C again ends running requests at once.")
            self._service.end(self._signals, SERVICE_STOP_SECONDS, hurry=signal.SIGINT)
        if not self._stand_in:
            return
        in_time = self._stand_in.end(self._signals, STAND_IN_STOP_SECONDS)
        if in_time and self._stand_in.process.returncode == 0:
            say(f"Panzoto has stopped; accounts and recordings are kept in {self._settings.data_dir}")
        else:
            say(f"The AWS stand-in did not stop in order, so its end may be lost; {self._stand_in.hint}")


@contextmanager
def locked(data_dir: Path, signals: Signals) -> Iterator[int]:
    """Hold the data folder for this process and for the stand-in, which inherits the open file.

    So the folder stays taken until both have gone, even if this process was killed and the stand-in still
    saves.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"PANZOTO_DATA_DIR {data_dir} cannot be written: {error.strerror}") from error
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not lock_now(lock):
            if signals.stops or time.monotonic() > deadline:
                raise StartError(
                    f"another service uses the data folder {data_dir}; "
                    "stop it, or choose another folder with PANZOTO_DATA_DIR"
                )
            signals.wait(0.2)
        yield lock
    finally:
        os.close(lock)


def lock_now(lock: int) -> bool:
    """Try to lock the open file; tell whether this process now holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def bound(address: str, port: int) -> socket.socket:
    """Return a TCP socket that listens on `port` (0 for any free one); raise OSError when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As gunicorn does it: connections of a service that has just ended are no reason to refuse.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def require_free_port(port: int) -> None:
    """Raise `StartError`, which names PORT, when the service could not listen there."""
    try:
        bound(EVERY_INTERFACE, port).close()
    except OSError as error:
        raise StartError(
            f"PORT {port} cannot be used: {error.strerror}; "
            f"choose another one, such as PORT={other(port)} make run"
        ) from error


def other(port: int) -> int:
    """Return a neighbour of `port`, to propose."""
    return port + 1 if port < 65535 else port - 1


def metrics_port(wanted: int) -> int:
    """Return `wanted` when it is free, else a free port; 0 means that there are no metrics."""
    try:
        with bound(LOOPBACK, wanted) as listener:
            return wanted and int(listener.getsockname()[1])
    except OSError:
        with bound(LOOPBACK, 0) as listener:
            port = int(listener.getsockname()[1])
        say(f"METRICS_PORT {wanted} is taken, so the metrics are on port {port} this time.")
        return port


def stand_in_listener(settings: Settings) -> socket.socket:
    """Return the socket on which the stand-in will answer; raise `StartError` when a chosen port is taken."""
    try:
        return bound(LOOPBACK, settings.aws_port)
    except OSError as error:
        if settings.aws_port_chosen:
            raise StartError(
                f"PANZOTO_AWS_PORT {settings.aws_port} cannot be used: {error.strerror}; choose another one"
            ) from error
    listener = bound(LOOPBACK, 0)
    port = listener.getsockname()[1]
    say(f"Port {settings.aws_port} is taken, so the AWS stand-in is on port {port} this time.")
    return listener


def start_stand_in(settings: Settings, listener: socket.socket, lock: int) -> Child:
    """Start the stand-in on `listener`, its state in the data folder; `lock` stays held while it lives."""
    folder = settings.data_dir / "aws"
    for name in (".", "state", "objects", "tmp"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / "stand-in.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    # ministack reads far more variables than these, some of which start containers or open ports, so it
    # gets no environment but this.
    environment = child_environment(
        {
            "GATEWAY_PORT": str(listener.getsockname()[1]),
            "SERVICES": STAND_IN_SERVICES,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(folder / "objects"),
            "MINISTACK_REGION": settings.region,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            # A daemon of this machine would be asked for left-over containers otherwise.
            "DOCKER_HOST": f"unix://{folder / 'tmp' / 'no-docker'}",
            "HOME": str(folder / "tmp"),
            "TMPDIR": str(folder / "tmp"),
        },
        inherit=("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"),
    )
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
            [*STAND_IN, str(listener.fileno())],
            # A pipe that nobody writes to: it ends when this process does.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(listener.fileno(), lock),
            start_new_session=True,
            umask=0o077,
        )
    return Child("the AWS stand-in", process, f"see its log, {log}")


def start_service(settings: Settings, endpoint: str) -> Child:
    """Start gunicorn, which finds AWS at the URL `endpoint`."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter with arguments of our own
        GUNICORN,
        stdin=subprocess.DEVNULL,
        env=service_environment(settings, endpoint),
        start_new_session=True,
        preexec_fn=end_with_parent(),  # noqa: PLW1509 - this process has one thread
    )
    return Child("the service", process, "see its messages above")


def service_environment(settings: Settings, endpoint: str) -> dict[str, str]:
    """Return an environment in which botocore can reach the stand-in at `endpoint`, and nothing but it."""
    environment = child_environment(
        {
            "FLASK_ENV": "development",
            "PORT": str(settings.port),
            "METRICS_PORT": str(settings.metrics_port),
            "PANZOTO_DATA_DIR": str(settings.data_dir),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": None,
            "AWS_ENDPOINT_URL_S3": None,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_USE_FIPS_ENDPOINT": None,
            "AWS_USE_DUALSTACK_ENDPOINT": None,
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            # Somebody's real keys have no business in the presigned URLs of a stand-in, nor has their
            # profile.
            "AWS_ACCESS_KEY_ID": "panzoto",
            "AWS_SECRET_ACCESS_KEY": "panzoto",
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_DEFAULT_PROFILE": None,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
    )
    environment["AUTO_CREATE_RESOURCES"] = environment.get("AUTO_CREATE_RESOURCES", "").strip() or "1"
    # A proxy of the user's network cannot reach this machine's loopback interface.
    direct = [environment.get("no_proxy") or environment.get("NO_PROXY"), LOOPBACK]
    environment["NO_PROXY"] = environment["no_proxy"] = ",".join(name for name in direct if name)
    return environment


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` on this machine's `port` gets a 200 within a second."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def banner(settings: Settings, aws_port: int) -> str:
    """Return what a person wants to know once everything runs."""
    base = f"http://{LOOPBACK}:{settings.port}"
    endpoint = f"http://{LOOPBACK}:{aws_port}"
    metrics = f"http://{LOOPBACK}:{settings.metrics_port}/metrics" if settings.metrics_port else "off"
    return f"""
Panzoto is running.

  Service   {base}/api
            An Android emulator says 10.0.2.2, a telephone this machine's own address.
  Docs      {base}/api/docs
  Metrics   {metrics}
  Data      {settings.data_dir}
  AWS       {endpoint}, a stand-in that only this machine reaches.
            Its log is aws/stand-in.log in the data folder. It takes any credentials:

            AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \\
              aws --endpoint-url {endpoint} --region {settings.region} s3 ls

Ctrl-C stops it. Accounts and recordings are kept.
"""


if __name__ == "__main__":
    sys.exit(main())
