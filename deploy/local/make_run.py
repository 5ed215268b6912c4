"""The supervisor of `make run`: every role of the service and, where there is no AWS, a stand-in for it.

The roles are those of a deployment: the web, which sends letters by itself, the workers on the bucket's
events and on transcripts, and the chores, which are done at the start and every hour. Beside them is an
engine that hears what is said, where the service has no other.

The stand-in keeps its state in the data folder and saves the last of it at a clean stop.  Most of this
module sees to it that there is a clean stop: no child shares the terminal's process group, so a Ctrl-C
reaches only the supervisor, which stops the roles first and the stand-in after them.  Should the supervisor
itself be killed, the roles are told by the kernel (on Linux) and the stand-in by the end of a pipe
(everywhere).

With an AWS endpoint of the operator's own, or in production, nothing is supervised: this process becomes
gunicorn.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import stand_in_launch
from deploy.local.console_libraries import Console
from deploy.local.hourly_chores import Chores
from deploy.local.listening import (
    EVERY_INTERFACE,
    LOOPBACK,
    NO_BROWSER_OPENS,
    address_in_network,
    bound,
    on_every_interface,
    port_of,
)
from deploy.local.roles import (
    GUNICORN,
    command_environment,
    start_events,
    start_service,
    start_transcriptions,
)
from deploy.local.speech.launch import Speech, is_wanted, require_model
from deploy.serving.processes import Child, ChildEnded, MakeWatch, Signals
from panzoto.config import Settings
from panzoto.errors import SettingsError
from panzoto.host import aws_credentials, stand_in_address
from panzoto.host.sandbox import hide_memory

ROOT = Path(__file__).resolve().parents[2]
LOCK_SECONDS = 5.0
START_SECONDS = 60.0
# gunicorn gives running requests its graceful_timeout and then ends them; this is beyond that.
SERVICE_STOP_SECONDS = 40.0
STAND_IN_STOP_SECONDS = 60.0
NO_CREDENTIALS = (
    "panzoto: there are no credentials for AWS here, and without them nothing works. Set AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or leave AWS_ENDPOINT_URL unset for a stand-in."
)


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
    try:
        bound(EVERY_INTERFACE, settings.port).close()
    except OSError as error:
        raise taken(settings, error) from error
    if not settings.production and not aws_credentials.are_there():
        # They may come later, so this is no reason to end.
        say(NO_CREDENTIALS, error=True)
    sys.stdout.flush()
    os.execv(GUNICORN[0], [*GUNICORN, "wsgi:app"])  # noqa: S606 - our own interpreter with arguments of our own


def run_with_stand_in(settings: Settings) -> None:
    """Run the stand-in and the service until asked to stop; raise `StartError` or `ChildEnded`."""
    if not stand_in_launch.PYTHON.exists():
        raise StartError("the AWS stand-in is not installed; `make install` installs it")
    require_model(settings)
    require_ports_for_browsers(settings)
    require_ports_of_their_own(settings)
    data_dir = settings.data_dir.absolute()
    with Signals() as signals, locked(data_dir, signals) as lock:
        stand_in_address.remove(data_dir)
        listeners = service_listeners(settings)
        settings = replace(settings, data_dir=data_dir, metrics_port=metrics_port(settings))
        note_holder(lock, settings)
        supervisor = Supervisor(settings, signals, MakeWatch())
        try:
            supervisor.run(lock, listeners)
        except StopRequested:
            pass
        finally:
            stand_in_address.remove(data_dir)
            supervisor.stop()


class Supervisor:
    """Starts the stand-in and the roles, watches all of them, and stops them in the other order."""

    def __init__(self, settings: Settings, signals: Signals, make: MakeWatch) -> None:
        self._settings = settings
        self._signals = signals
        self._make = make
        self._stand_in: Child | None = None
        self._service: Child | None = None
        self._workers: list[Child] = []
        self._chores: Chores | None = None
        self._speech = Speech(settings, say) if is_wanted(settings) else None
        self._console = Console(settings, say) if settings.console else None

    def run(self, lock: int, listeners: list[socket.socket]) -> None:
        """Return when asked to stop; raise `StartError` or `ChildEnded` when a child does not do its part."""
        say("Panzoto is starting ...")
        with ExitStack() as ours:
            # The children have copies; a port of ours would look open when they have gone.
            for_service = [ours.enter_context(listener) for listener in listeners]
            for_stand_in = [ours.enter_context(listener) for listener in stand_in_listeners(self._settings)]
            port = port_of(for_stand_in[0])
            self._stand_in = stand_in_launch.start(self._settings, for_stand_in, lock)
            self._wait_for(self._stand_in, lambda: answers(port, stand_in_launch.HEALTH))
            more = self._speech.variables() if self._speech else {}
            self._service, ready = start_service(self._settings, port, for_service, more)
        with os.fdopen(ready, "rb") as pipe:
            self._wait_for(self._service, lambda: bool(select.select([pipe], [], [], 0)[0]))
        self._workers.append(start_events(self._settings, port, more))
        transcriptions = start_transcriptions(self._settings, port, more)
        if transcriptions:
            self._workers.append(transcriptions)
        self._chores = Chores(command_environment(self._settings, port, more), say)
        found_by = stand_in_launch.aws_variables(self._settings, port) | more
        stand_in_address.write(self._settings.data_dir, found_by)
        say(banner(self._settings, port, self._console, self._speech.url if self._speech else None))
        while not self._asked_to_stop():
            for child in (self._stand_in, self._service, *self._workers):
                child.require_alive()
            self._chores.go_on()
            if self._console:
                self._console.go_on()
            if self._speech:
                self._speech.go_on()
            self._signals.wait(0.5)

    def _asked_to_stop(self) -> bool:
        return self._signals.stops > 0 or self._make.stopped()

    def _wait_for(self, child: Child, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self._asked_to_stop():
                raise StopRequested
            child.require_alive()
            if time.monotonic() > deadline:
                raise StartError(
                    f"{child.name} did not answer within {START_SECONDS:.0f} seconds; {child.hint}"
                )
            self._signals.wait(0.1)
        child.require_alive()

    def stop(self) -> None:
        """Stop what runs, the roles first; the stand-in saves its state before it goes."""
        roles = [role for role in (*self._workers, self._service) if role]
        if any(role.process.poll() is None for role in roles):
            say("\nPanzoto is stopping; Ctrl-C again ends running requests at once.")
        if self._console:
            self._console.end(self._signals)
        if self._speech:
            self._speech.end(self._signals)
        if self._chores:
            self._chores.end(self._signals)
        for role in roles:
            # All are asked before any is waited for.
            role.process.terminate()
        for role in roles:
            role.end(self._signals, SERVICE_STOP_SECONDS, hurry=signal.SIGINT)
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
        lock = os.open(data_dir / stand_in_address.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(f"PANZOTO_DATA_DIR {data_dir} cannot be written: {error.strerror}") from error
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        is_free = lock_now(lock)
        if not is_free:
            say("Another service uses the data folder; waiting some seconds, in case it is just stopping ...")
        while not is_free:
            if signals.stops or time.monotonic() > deadline:
                raise StartError(
                    f"another service uses the data folder {data_dir}{holder(lock)}; "
                    "stop it, or choose another folder with PANZOTO_DATA_DIR"
                )
            signals.wait(0.2)
            is_free = lock_now(lock)
        # Who held it before has left its name in it.
        os.ftruncate(lock, 0)
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


def note_holder(lock: int, settings: Settings) -> None:
    """Write into the locked file who holds it, for whoever wants the folder meanwhile."""
    os.pwrite(lock, f"it is at http://{LOOPBACK}:{settings.port}, process {os.getpid()}".encode(), 0)


def holder(lock: int) -> str:
    """Return who holds the folder, as a clause of a sentence; nothing where that is not known yet."""
    told = os.pread(lock, 200, 0).decode("utf-8", "replace")
    return f" ({told})" if told.isprintable() and told else ""


def taken(settings: Settings, error: OSError) -> StartError:
    """Return what to say when the service's port cannot be used."""
    port = settings.port
    return StartError(
        f"PORT {port} cannot be used: {error.strerror}; "
        f"choose another one, such as PORT={other(port)} make run"
    )


def require_ports_for_browsers(settings: Settings) -> None:
    """See that a browser opens the console, and reaches the bucket from it; raise `StartError` else."""
    chosen = {"PORT": settings.port}
    if settings.aws_port_chosen:
        chosen["PANZOTO_AWS_PORT"] = settings.aws_port
    for name, port in chosen.items():
        if settings.console and port in NO_BROWSER_OPENS:
            raise StartError(
                f"{name} {port} is one that no browser opens (ERR_UNSAFE_PORT); choose another one, such as "
                f"{name}={other(port)} make run, or leave the console out with CONSOLE=0"
            )


def require_ports_of_their_own(settings: Settings) -> None:
    """See that no port was chosen twice; raise `StartError` else."""
    names = {settings.port: "PORT"}
    chosen = {
        "PANZOTO_AWS_PORT": settings.aws_port if settings.aws_port_chosen else 0,
        "METRICS_PORT": settings.metrics_port if settings.metrics_port_chosen else 0,
    }
    for name, port in chosen.items():
        if port in names:
            raise StartError(
                f"{names[port]} and {name} are both {port}; choose another one, such as "
                f"{name}={other(port)} make run"
            )
        if port:
            names[port] = name


def service_listeners(settings: Settings) -> list[socket.socket]:
    """Return the sockets of the service; raise `StartError`, which names PORT, when its port is taken."""
    try:
        return on_every_interface(settings.port)
    except OSError as error:
        raise taken(settings, error) from error


def other(port: int) -> int:
    """Return a neighbour of `port` that browsers open, to propose."""
    neighbours = (*range(port + 1, 65536), *range(port - 1, 0, -1))
    return next(neighbour for neighbour in neighbours if neighbour not in NO_BROWSER_OPENS)


def metrics_port(settings: Settings) -> int:
    """Return the port for metrics, a free one when the usual one is taken; 0 means that there are none.

    Raises `StartError` when a chosen port is taken.
    """
    wanted = settings.metrics_port
    try:
        with bound(LOOPBACK, wanted) as listener:
            return wanted and port_of(listener)
    except OSError as error:
        if settings.metrics_port_chosen:
            raise StartError(
                f"METRICS_PORT {wanted} cannot be used: {error.strerror}; choose another one, such as "
                f"METRICS_PORT={other(wanted)} make run, or leave the metrics out with METRICS_PORT=0"
            ) from error
        with bound(LOOPBACK, 0) as listener:
            port = port_of(listener)
        say(f"Port {wanted} is taken, so the metrics are on port {port} this time.")
        return port


def stand_in_listeners(settings: Settings) -> list[socket.socket]:
    """Return the sockets of the stand-in; raise `StartError` when a chosen port is taken."""
    try:
        return on_every_interface(settings.aws_port)
    except OSError as error:
        if settings.aws_port_chosen:
            raise StartError(
                f"PANZOTO_AWS_PORT {settings.aws_port} cannot be used: {error.strerror}; choose another one, "
                f"such as PANZOTO_AWS_PORT={other(settings.aws_port)} make run"
            ) from error
    listeners = on_every_interface(0)
    port = port_of(listeners[0])
    say(f"Port {settings.aws_port} is taken, so the AWS stand-in is on port {port} this time.")
    return listeners


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


def engine_elsewhere(settings: Settings) -> str:
    """Return where sound is turned into words when this machine does not; no key stands in a host's name."""
    url = settings.transcription.url
    return f"the engine at {urlsplit(url).hostname}, by TRANSCRIPTION_URL" if url else "off, by SPEECH"


def banner(settings: Settings, aws_port: int, console: Console | None, speech: str | None) -> str:
    """Return what a person wants to know once everything runs."""
    base = f"http://{LOOPBACK}:{settings.port}"
    endpoint = stand_in_launch.endpoint(aws_port)
    metrics = f"http://{LOOPBACK}:{settings.metrics_port}/metrics" if settings.metrics_port else "off"
    address = address_in_network()
    network = f"http://{address}:{settings.port}/api" if address else "this machine has no address in one"
    letters = f"{settings.data_dir}/mail, a file for each letter, with its code"
    mail = letters if settings.mail == "files" else f"{settings.mail}, by MAIL"
    first = f"\n{console.opening()}\n" if console else ""
    return f"""{first}
Panzoto is running: the service, its workers, and hourly the chores.

  Console   {console.release() if console else "off, by CONSOLE"}
  Service   {base}/api
            An Android emulator says 10.0.2.2 instead of {LOOPBACK}.
  Network   {network}
            Open to everybody in it: the service on port {settings.port}, and on
            port {aws_port} what it has signed, the upload or download of one
            recording. Tables, queue and metrics are not.
  Docs      {base}/api/docs
  Metrics   {metrics}
  Speech    {speech or engine_elsewhere(settings)}
  Data      {settings.data_dir}
  Mail      {mail}
  AWS       {endpoint}, a stand-in.
            Its log is aws/stand-in.log in the data folder. From this machine
            it takes calls signed with any key; signed addresses are the
            service's alone.

            AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \\
              aws --endpoint-url {endpoint} --region {settings.region} s3 ls

  Commands  .venv/bin/flask panzoto --help
            From a second terminal in this folder, with the same
            PANZOTO_DATA_DIR where one is set.

Ctrl-C stops it. Accounts and recordings are kept.
"""


if __name__ == "__main__":
    sys.exit(main())
