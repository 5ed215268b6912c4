"""What every command does when it is called wrongly, and when the service fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from panzoto.operations.cli import panzoto as commands
from panzoto.queues.consumer import PAUSE_SECONDS
from tests.support.aws import aws_environment, free_port
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.faults import Answer
from tests.support.forked_commands import ROOT, forked
from tests.support.waiting import eventually


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `flask panzoto` with these words where there is no AWS but what `environment` names."""
    environment = around(folder, **environment)
    return forked().run_module(environment, "flask", "panzoto", *words, folder=folder)


def around(folder: Path, **environment: str) -> dict[str, str]:
    """The environment of a command where there is no AWS but what `environment` names."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PANZOTO_DATA_DIR": str(folder / "data"),
        "FLASK_ENV": "development",
        "FLASK_APP": str(ROOT / "wsgi.py"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-east-1",
        **environment,
    }


def test_without_a_word_all_commands_are_listed(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert ran.returncode == 0, ran.stderr
    for name in commands.commands:
        assert f"\n  {name} " in ran.stdout


def test_a_noun_alone_lists_what_can_be_done_with_it(tmp_path: Path) -> None:
    ran = run(tmp_path, "resources")
    assert ran.returncode == 0, ran.stderr
    resources = commands.commands["resources"]
    assert isinstance(resources, click.Group)
    for name in resources.commands:
        assert f"\n  {name} " in ran.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("resource",), "flask panzoto resources`?"),
        (("resources", "creat"), "There are: create, delete, list, optimize, prepare."),
        (("accounts", "find"), "flask panzoto accounts find [OPTIONS] ADDRESS"),
        (("backup", "drill", "--to", "yesterday"), "a moment such as 2026-11-20T21:14:59Z"),
    ],
)
def test_a_wrong_use_says_what_is_right(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    ran = run(tmp_path, *words)
    assert ran.returncode == 2
    assert told in ran.stderr


# One of each noun that asks AWS first.
ASKING = [
    ("accounts", "find", "somebody@example.com"),
    ("accounts", "sweep"),
    ("recordings", "recount"),
    ("recordings", "aside", "list"),
    ("resources", "list"),
    ("sweeps", "status"),
    ("backup", "verify"),
]


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_an_aws_that_does_not_answer_is_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    nobody = aws_environment(f"http://127.0.0.1:{free_port()}")
    ran = run(tmp_path, *words, **nobody)
    assert ran.returncode == 1, ran.stderr
    assert [line for line in ran.stderr.splitlines() if line.startswith("Error: ")] != []
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("dynamodb", "s3", "remedy"),
    [
        ("UnrecognizedClientException", "InvalidAccessKeyId", "are not valid (any more)"),
        ("AccessDeniedException", "AccessDenied", "lack the right to it"),
        ("ExpiredTokenException", "ExpiredToken", "have expired, so renew them"),
    ],
)
def test_whose_credentials_are_refused_is_told_so(
    tmp_path: Path, moto: str, dynamodb: str, s3: str, remedy: str
) -> None:
    with FaultProxy(moto) as proxy:
        proxy.add(Fault(Answer.dynamodb(dynamodb), where=lambda asked: asked.operation is not None))
        proxy.add(Fault(Answer.s3(403, s3), where=lambda asked: asked.operation is None))
        for words in ASKING:
            ran = run(tmp_path, *words, **aws_environment(proxy.url))
            assert ran.returncode == 1, words
            assert f"the AWS credentials {remedy}" in ran.stderr, words
            assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("words", [("sweeps", "status"), ("resources", "list")], ids=" ".join)
def test_who_has_no_credentials_is_told_which_variables_there_are(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = run(tmp_path, *words)
    assert ran.returncode == 1, ran.stderr
    assert "AWS_ACCESS_KEY_ID" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_profile_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    ran = run(tmp_path, "sweeps", "status", AWS_PROFILE="nowhere")
    assert ran.returncode != 0
    assert ran.stderr.startswith("panzoto: What is set of AWS cannot be used: ")
    assert "(nowhere) could not be found" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_so_is_a_file_of_aws_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no section")
    ran = run(tmp_path, "sweeps", "status", AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert ran.returncode != 0
    assert str(tmp_path / "config") in ran.stderr
    assert "Traceback" not in ran.stderr


WORKERS = [("events",), ("mail", "work"), ("chores", "work"), ("transcriptions", "work")]


@pytest.mark.parametrize("words", WORKERS, ids=" ".join)
def test_a_worker_without_credentials_is_told_the_same_and_once(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    errors = tmp_path / "errors"
    errors.touch()
    environment = around(tmp_path, TRANSCRIPTION_URL="http://127.0.0.1:9/v1")
    worker = forked().start_module(
        environment, "flask", "panzoto", *words, folder=tmp_path, output=tmp_path / "output", errors=errors
    )
    try:
        eventually(
            lambda: "; trying again" in errors.read_text("utf-8") or worker.poll() is not None,
            lambda: errors.read_text("utf-8"),
        )
        # Two of its tries more.
        time.sleep(2.2 * PAUSE_SECONDS)
        assert worker.poll() is None, errors.read_text("utf-8")
    finally:
        worker.terminate()
        worker.wait(60)
    told = errors.read_text("utf-8")
    assert told.count("There are no credentials for AWS here") == 1
    assert told.count("trying again") == 1
    assert "please" not in told
    assert (tmp_path / "output").read_text("utf-8") == ""


def test_a_worker_at_a_terminal_says_that_it_works_and_how_it_is_stopped(tmp_path: Path) -> None:
    nobody = aws_environment(f"http://127.0.0.1:{free_port()}")
    with at_a_terminal(around(tmp_path, **nobody), "-m", "flask", "panzoto", "events") as (worker, read):
        text = ""
        while "trying again" not in text:
            text += read()
        worker.terminate()
        assert worker.wait(60) == 0
    assert text.startswith("Working on queue panzoto-bucket-events; Ctrl-C stops")


def test_ids_in_a_table_are_whole_however_narrow_the_terminal_is(tmp_path: Path) -> None:
    """Whoever is to type `cancel ID` has to see the id; Rich would cut it, and put dots into its place."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    code = (
        "from panzoto.operations.command_output import show, table_of\n"
        "table = table_of('Transcription', 'Account', 'Asked', 'Error', whole=('Transcription', 'Account'))\n"
        f"table.add_row(*{ids!r}, '2026-11-20 21:14:59', 'a reason of many words ' * 9)\n"
        "show(table)\n"
    )
    text = ""
    with at_a_terminal(around(tmp_path), "-c", code) as (printing, read):
        while piece := read():
            text += piece
        assert printing.wait(60) == 0
    assert all(one in text for one in ids), text
    assert text.split().count("reason") == 9, text
    assert "…" not in text


@pytest.mark.parametrize("kind", ["development", "production"])
def test_whoever_runs_one_at_a_terminal_reads_words_and_no_json(tmp_path: Path, kind: str) -> None:
    settings = {"FLASK_ENV": kind, "MAIL": "off", "SECRET_KEY": "x7" * 32, "S3_BUCKET_NAME": "a-bucket"}
    words, text = ("-m", "flask", "panzoto", "accounts", "find", "somebody@example.com"), ""
    with at_a_terminal(around(tmp_path, **settings), *words, columns=400) as (finding, read):
        while piece := read():
            text += piece
        assert finding.wait(60) == 1, text
    assert "There are no credentials for AWS here" in text
    assert "credentials_missing" in text
    assert '"event"' not in text


@contextmanager
def at_a_terminal(
    environment: dict[str, str], *words: str, columns: int = 80
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """Run Python with these words at a terminal; what it shows is read piece by piece until it ends."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, columns))

    def read() -> str:
        try:
            return os.read(ours, 65_536).decode()
        except OSError:
            # Linux says so when nobody has the other end any more.
            return ""

    with subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            yield process, read
        finally:
            process.kill()
            os.close(ours)


def test_who_cannot_be_asked_for_a_password_is_told_so(tmp_path: Path) -> None:
    # What it is forked from leads a session of its own, so there is no terminal, whoever runs the tests.
    ran = run(tmp_path, "recordings", "verify", "somebody@example.com")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (1, 1), ran.stderr
    assert "There is no terminal to ask on" in ran.stderr
    assert "--password-file" in ran.stderr


def test_what_a_command_prints_is_all_of_its_standard_output(tmp_path: Path) -> None:
    nobody = aws_environment(f"http://127.0.0.1:{free_port()}")
    ran = run(tmp_path, "sweeps", "status", **nobody)
    assert "dynamodb_failure" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.usefixtures("console_libraries")
def test_a_command_that_needs_no_aws_looks_for_no_credentials(tmp_path: Path) -> None:
    ran = run(tmp_path, "console", "release")
    assert ran.returncode == 0, ran.stderr
    assert "credentials" not in ran.stderr
    assert re.fullmatch("[0-9a-f]{32}\n", ran.stdout)
