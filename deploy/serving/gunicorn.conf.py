"""How gunicorn serves Panzoto, in development and in production, by `gunicorn -c` and this file.

Every name here that is also the name of a gunicorn setting is that setting.
"""

from __future__ import annotations

import atexit
import logging
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

# How glibc allocates (its manual, "Memory Allocation Tunables").  With huge pages the 64 MiB of an Argon2
# computation take 32 page faults and not 16384, which makes it a fifth faster where the kernel grants them.
# What is larger than 4 MiB goes back to the system as soon as it is freed: by itself glibc would keep up to
# 32 MiB of a freed block, in as many arenas as eight for each core, hundreds of MiB after a crowd.  Up to as
# much stays at an arena's end, since a player frees and takes a megabyte again with each of its pieces.
TUNABLES = ":".join(
    f"glibc.malloc.{tunable}"
    for tunable in ("hugetlb=1", "mmap_threshold=4194304", "trim_threshold=4194304", "arena_max=4")
)


def allocate_by(tunables: str) -> None:
    """Start this very process anew with `tunables`, which glibc reads only at a process's start.

    Whoever has set glibc's tunables of malloc already, we or the operator, has them as they are.
    """
    given = os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or "glibc.malloc." in given:
        return
    os.environ["GLIBC_TUNABLES"] = f"{tunables}:{given}" if given else tunables
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line


allocate_by(TUNABLES)


def make_metrics_folder() -> Path:
    """Return this master's own folder for its workers' counters, which goes when the master goes.

    prometheus-client looks for it in the environment when it is first imported, so this comes before our own
    imports.  A reload runs this file again in the same process, and finds the folder of the first time.
    """
    owner = os.getpid()
    prefix = f"panzoto-metrics-{owner}-"
    known = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if known.name.startswith(prefix):
        return known
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)

    @atexit.register
    def remove() -> None:
        # The workers, forks of the master, inherit this; the folder is not theirs to remove.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    return folder


METRICS_FOLDER = make_metrics_folder()

from prometheus_client import CollectorRegistry, Metric, start_http_server  # noqa: E402 - as said above
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402

from deploy.serving.worker import JsonLogger, Worker  # noqa: E402
from panzoto.config import Settings  # noqa: E402
from panzoto.console.release import LibrariesMissing, release  # noqa: E402
from panzoto.edge import cors  # noqa: E402
from panzoto.errors import SettingsError  # noqa: E402
from panzoto.host.sandbox import hide_memory  # noqa: E402
from panzoto.lifecycle.unfinished_deletions import take_up_soon  # noqa: E402
from panzoto.telemetry import logs  # noqa: E402

# The workers, forks of this process, inherit it.
hide_memory()

try:
    settings = Settings.from_environment()
except SettingsError as error:
    print(f"panzoto: {error}", file=sys.stderr)
    sys.exit(2)

logs.init(settings.log_level, settings.production)
Worker.cors = cors.before_a_request(settings.cors_origins)

METRICS_ADDRESS = "127.0.0.1"
# What a listener has not yet taken waits in the kernel and not in one of our threads.  Measured with 500 KB
# (a minute of sound) read at 8 KB/s over a link of 2 Mbit/s and 80 ms, a thread was busy for 0.05 s with
# this, and for 14 s with the buffer that Linux tunes by itself.  Linux grants net.core.wmem_max at most:
# its usual value of 208 KiB, which the kernel doubles, holds 400 KB.
SEND_BUFFER_BYTES = 512 * 1024
# Connections that wait for their next request need no thread, but a descriptor each.
WAITING_CONNECTIONS = 1000

wsgi_app = "wsgi:app"
pythonpath = str(ROOT)
# Every interface, in development too: a telephone in the same network is what this service is for, and a
# container is reached from outside.  What must stay on this machine (metrics, stand-in) binds loopback only.
bind = f"0.0.0.0:{settings.port}"
workers = settings.workers
worker_class = Worker
threads = settings.threads
worker_connections = settings.threads + WAITING_CONNECTIONS
# Each worker makes its application after the fork: the threads, locks and open connections of boto3's
# clients do not survive one.  The modules are imported before it all the same, by this file, so their
# memory is shared.
preload_app = False
# A worker's main thread only accepts and polls, so this asks whether it lives, not how long an answer takes.
timeout = 60
graceful_timeout = 30 if settings.production else 10
# Longer than load balancers keep a connection (60 s), so that it is they who close it, between two requests.
keepalive = 75
# A playback address holds a sealed ticket of up to 4 KB.
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
max_requests = 0
# On a disk, the workers' sign of life would wait for the disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
# No forwarding header is believed here; TRUSTED_PROXIES tells the application how many of them to believe.
forwarded_allow_ips = ""
# A socket for remote control, which all services of one user would share; signals do.
control_socket_disable = True
# The application writes one line for each request, and knows what must not be in it.
accesslog = None
logger_class = JsonLogger
# gunicorn's debug messages hold addresses, so there are none.  In development `make run` tells of the start.
loglevel = "info" if settings.production else "warning"
proc_name = "panzoto"

NAME_ORIGIN = "browsers will not reach the bucket: set PUBLIC_URL, then `flask panzoto resources optimize`"
FETCH_LIBRARIES = "python3 -m deploy.packages.console fetches them; CONSOLE=0 does without"


def pre_request(_worker: Any, _req: Any) -> None:
    """Do nothing, where gunicorn's own hook writes the request's address to the debug log."""


def on_starting(_server: Any) -> None:
    """Allow as many open files as the threads, their connections to AWS and waiting clients may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * (WAITING_CONNECTIONS + settings.threads)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def when_ready(server: Any) -> None:
    for listener in server.LISTENERS:
        # Accepted connections inherit it from the socket that listens.
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if settings.metrics_port:
        serve_metrics(server)
    if settings.console:
        tell_of_console()


def tell_of_console() -> None:
    """Write the hash over the console's files to the log, by which anybody can compare what they are given.

    The workers, forks of this process, have the files from it.
    """
    log = logging.getLogger("panzoto.console")
    try:
        digest = release().digest
    except LibrariesMissing as error:
        # `make run` fetches them beside us and tells of it, and the workers look again at each request.
        if settings.production:
            log.warning("console_missing", extra={"files": str(error), "hint": FETCH_LIBRARIES})
    else:
        # `make run` begins with the address, and tells the rest below it.
        if settings.production or "PANZOTO_READY_FD" not in os.environ:
            log.info("console", extra={"release": digest})
    if settings.production and not settings.public_origin and ("*",) not in settings.bucket_origins:
        log.warning("console_without_bucket", extra={"hint": NAME_ORIGIN})


def post_worker_init(worker: Any) -> None:
    """Tell a supervisor that there is somebody now who takes requests, and finish what others left."""
    # Benches and tests serve applications of their own by this file, for comparison.
    services = getattr(worker.wsgi, "extensions", {}).get("panzoto")
    if services is not None:
        take_up_soon(services.deletion)
        if services.post is not None:
            services.post.attend()
    descriptor = os.environ.get("PANZOTO_READY_FD")
    if descriptor:
        # A worker that replaces another one finds that nobody reads any longer.
        with suppress(OSError):
            os.write(int(descriptor), b"1")


def child_exit(_server: Any, worker: Any) -> None:
    mark_process_dead(worker.pid, str(METRICS_FOLDER))


class WorkersMetrics(Collector):
    """The sum of all workers' metrics, read under `lock`, which is also held during each fork.

    A fork copies the locks of other threads as they stand, so a worker that is forked while the metrics'
    thread holds one could wait for it for ever; this way none is held then.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        release = self.lock.release
        os.register_at_fork(before=self.lock.acquire, after_in_parent=release, after_in_child=release)

    def collect(self) -> Iterable[Metric]:
        with self.lock:
            collector = MultiProcessCollector(None, str(METRICS_FOLDER))
            return list(collector.collect())


def serve_metrics(server: Any) -> None:
    """Serve the metrics for as long as this master has listeners, which it closes when it is asked to end.

    During a change of release the master before still has the port, so it is asked for again and again.
    """
    registry, metrics = CollectorRegistry(), WorkersMetrics()
    registry.register(metrics)
    web: Any = None

    def take_port() -> None:
        nonlocal web
        # A worker that is forked in the middle of this would hold a socket that `let_go` does not know.
        with metrics.lock:
            web = start_http_server(settings.metrics_port, METRICS_ADDRESS, registry)[0]

    def let_go() -> None:
        # A worker that is left to finish its downloads would keep the port from the master after this one.
        if web is not None:
            web.socket.close()

    os.register_at_fork(after_in_child=let_go)
    try:
        take_port()
    except OSError as error:
        port, reason = settings.metrics_port, error.strerror
        again = "it is tried again every second"
        server.log.warning(
            "There are no metrics: METRICS_PORT %d cannot be used: %s; %s", port, reason, again
        )

    def keep() -> None:
        while server.LISTENERS:
            time.sleep(1)
            if web is None:
                with suppress(OSError):
                    take_port()
        if web is not None:
            web.shutdown()
            web.server_close()

    threading.Thread(target=keep, name="metrics", daemon=True).start()
