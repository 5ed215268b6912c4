"""The service itself, in real gunicorn processes on a free loopback port, and a client that speaks to it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from tests.support import canaries, least_hashes, overheard
from tests.support.aws import FILLED, REGION, acting_as, aws_environment, free_port
from tests.support.forked_commands import Process, forked
from tests.support.processes import children
from tests.support.waiting import comes_up

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "panzoto-audio-dev"
# The quickest of OWASP's minima, so that a test's login costs a fraction of a user's.
CHEAP_HASHES = {"ARGON2_TIME_COST": "5", "ARGON2_MEMORY_KIB": "7168", "ARGON2_PARALLELISM": "1"}
# The settings of hashes that cost hardly anything.
LEAST_HASHES = {
    "ARGON2_TIME_COST": str(least_hashes.TIME_COST),
    "ARGON2_MEMORY_KIB": str(least_hashes.MEMORY_KIB),
    "ARGON2_PARALLELISM": "1",
}
PASSWORD = "a quiet Tuesday walk"
# As `PUBLIC_URL`: the address on which the service then runs.
ITSELF = "itself"


@dataclass
class Service:
    """A running service: where it is, its process, its AWS and what it has logged."""

    url: str
    process: Process
    aws_url: str
    log_path: Path
    data_dir: Path
    environment: dict[str, str] = field(repr=False)

    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace")

    def secret_key(self) -> str:
        """Return what the service has made for itself, and signs and seals with."""
        return (self.data_dir / "secret_key").read_text().strip()

    def worker_pids(self) -> list[int]:
        return children(self.process.pid)

    def s3(self) -> Any:
        return aws_client("s3", self.aws_url)

    def dynamodb(self) -> Any:
        return aws_client("dynamodb", self.aws_url)

    def put_object(self, s3_key: str, body: bytes) -> None:
        self.s3().put_object(Bucket=BUCKET, Key=s3_key, Body=body)

    def call(self, method: str, path: str, token: str | None = None, **how: Any) -> requests.Response:
        """Send one request; `json=` for a body, `token` for the bearer header."""
        headers = how.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        url = path if path.startswith("http") else self.url + path
        with requests.Session() as session:
            # Nothing of this machine decides about it: no proxy, and no .netrc, to be read each time.
            session.trust_env = False
            answer = session.request(method, url, headers=headers, timeout=60, **how)
        if answer.ok and method != "HEAD" and answer.headers.get("Content-Type") == "application/json":
            canaries.note(how.get("json"), answer.json())
        return answer

    def register(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = self.call("POST", "/api/register", json={"email": email, "password": password})
        assert answer.status_code == 201, answer.text
        account: dict[str, Any] = answer.json()
        overheard.account(account, password)
        return account


# What tables, bucket and queue depend on, beside the names of the tables.
MADE_BY = ("AWS_REGION", "S3_BUCKET", "CORS_ORIGINS", "PUBLIC_URL", "EVENTS_QUEUE")
_hashes = CHEAP_HASHES
# For each stand-in, what was last made there: by which settings, and the tables that it had then.
_made: dict[str, tuple[dict[str, str], set[str]]] = {}


def let_hashes_cost_least() -> None:
    """Give services that are started from now on `LEAST_HASHES`, unless they are told otherwise."""
    global _hashes  # noqa: PLW0603 - as `_made`, it is about all services of this process
    _hashes = LEAST_HASHES


@functools.cache
def aws_client(name: str, url: str) -> Any:
    """Return a boto3 client of the stand-in at `url`."""
    return boto3.client(
        name,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 6, "mode": "standard"},
            # By itself botocore writes one for each request.
            user_agent="tests",
        ),
    )


def empty_tables(url: str) -> None:
    """Delete all items of all tables of the stand-in at `url`; then fail when a secret was among them.

    The tests' own stand-in tells which tables have any, and empties them at once.
    """
    dynamodb = aws_client("dynamodb", url)
    told = requests.get(url + FILLED, timeout=60)
    names = told.json() if told.ok else dynamodb.list_tables()["TableNames"]
    were: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name in names:
        for page in dynamodb.get_paginator("scan").paginate(TableName=name):
            were[name] += page["Items"]
        if not told.ok:
            _delete(dynamodb, name, were[name])
    if told.ok:
        requests.delete(url + FILLED, timeout=60).raise_for_status()
    for name, items in were.items():
        canaries.check_table(name, items)


def _delete(dynamodb: Any, table: str, items: list[dict[str, Any]]) -> None:
    if not items:
        return
    keys = [key["AttributeName"] for key in dynamodb.describe_table(TableName=table)["Table"]["KeySchema"]]
    deletes = [{"DeleteRequest": {"Key": {key: item[key] for key in keys}}} for item in items]
    for start in range(0, len(deletes), 25):
        dynamodb.batch_write_item(RequestItems={table: deletes[start : start + 25]})


@contextmanager
def run_service(
    aws_url: str, create_at: str | None = None, *, anew: bool = False, **settings: str
) -> Iterator[Service]:
    """Run gunicorn with the project's own configuration while the block runs.

    It is forked from a process that has the code, or with `anew` started as
    operators start it. `aws_url` is where the service finds AWS. Tables and bucket are made there
    first, or at `create_at` when something unreliable stands in between.
    Raises `RuntimeError` with the log when the service does not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            **aws_environment(aws_url),
            **(CHEAP_HASHES if anew else _hashes),
            "FLASK_ENV": "development",
            "PANZOTO_DATA_DIR": folder + "/data",
            "PORT": str(port),
            "METRICS_PORT": "0",
            "PYTHONPATH": str(ROOT),
            # Each its own: services of different secrets would throw away each other's letters.
            "MAIL_QUEUE": f"{port}-mail",
            **settings,
        }
        if settings.get("PUBLIC_URL") == ITSELF:
            environment["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
        # What stands in for S3 alone may be a server that only reads.
        making = {name: value for name, value in environment.items() if name != "AWS_ENDPOINT_URL_S3"}
        _make_resources(making | {"AWS_ENDPOINT_URL": create_at or aws_url})
        if "MAIL_QUEUE" not in settings:
            make_mail_queue(create_at or aws_url, environment["MAIL_QUEUE"])
        log_path = Path(folder) / "service.log"
        # A stand-in that judges signatures knows one key, which then is given.
        signing = environment if "AWS_ACCESS_KEY_ID" in settings else acting_as("web", environment)
        process = start(signing, log_path) if anew else start_forked(signing, log_path)
        service = Service(
            f"http://127.0.0.1:{port}", process, aws_url, log_path, Path(folder) / "data", environment
        )
        try:
            wait_until_healthy(service)
            yield service
        finally:
            # Not the process of above: a test may have killed that one and started another.
            _stop(service.process)
        canaries.check_files(service.log(), service.data_dir)


SERVE = ("gunicorn", "-c", "deploy/serving/gunicorn.conf.py", "wsgi:app")


def start(environment: Mapping[str, str], log_path: Path) -> Process:
    """Start gunicorn as operators do; it leads a session of its own, and adds to the log."""
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *SERVE],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def start_forked(environment: Mapping[str, str], log_path: Path) -> Process:
    """Start the same from a process that has the code."""
    return forked().start_module(environment, *SERVE, output=log_path, leads_a_session=True)


def _make_resources(environment: dict[str, str]) -> None:
    """Make tables and bucket, unless the last to make them had the same settings and the tables are there."""
    settings = {
        name: value for name, value in environment.items() if name in MADE_BY or name.endswith("_TABLE")
    }
    url = environment["AWS_ENDPOINT_URL"]
    dynamodb = aws_client("dynamodb", url)
    if _made.get(url) == (settings, set(dynamodb.list_tables()["TableNames"])):
        return
    status, printed = forked().run(acting_as("deploy", environment), "resources", "create")
    assert status == 0, printed
    _made[url] = settings, set(dynamodb.list_tables()["TableNames"])


def make_mail_queue(aws_url: str, name: str) -> None:
    """Make a queue of letters and that of the letters that came to nothing."""
    for queue in (name, f"{name}-dead"):
        aws_client("sqs", aws_url).create_queue(QueueName=queue)


def wait_until_healthy(service: Service) -> None:
    """Raises `RuntimeError` with the end of its log when it does not come up."""
    if not comes_up(service.process, f"{service.url}/api/health"):
        raise RuntimeError("the service did not start:\n" + service.log()[-4000:])


def _stop(process: Process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
