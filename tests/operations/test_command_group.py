"""What every command does when it is called wrongly, and when the service fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import click
import pytest

from panzoto.operations.cli import panzoto as commands
from tests.support.aws import aws_environment, free_port
from tests.support.forked_commands import ROOT, forked


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `flask panzoto` with these words where there is no AWS but what `environment` names."""
    around = {
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
    return forked().run_module(around, "flask", "panzoto", *words, folder=folder)


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


@pytest.mark.parametrize("words", [("sweeps", "status"), ("resources", "list")], ids=" ".join)
def test_who_has_no_credentials_is_told_which_variables_there_are(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = run(tmp_path, *words)
    assert ran.returncode == 1, ran.stderr
    assert "AWS_ACCESS_KEY_ID" in ran.stderr
    assert "Traceback" not in ran.stderr
