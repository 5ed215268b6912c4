"""npm's `hpke` opens what is sealed here, and what it seals opens here."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from panzoto.crypto import transcripts
from panzoto.errors import DecryptionFailed
from tests.clients.conftest import build
from tests.suites import need
from tests.support.example_clients import VECTORS

HERE = Path(__file__).parent
WORDS: dict[str, Any] = json.loads((VECTORS / "transcripts.json").read_text("utf-8"))
PRIVATE_KEY = bytes.fromhex(WORDS["transcripts_private_key"])
PUBLIC_KEY = base64.b64decode(WORDS["transcripts_public_key"])
OF = {"user_id": WORDS["user_id"], "file_id": "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f"}
PLAINS = [random.Random(size).randbytes(size) for size in (1, 2, 300_000)]


def text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What it opened, of the vectors and of what was sealed here, and what it sealed."""
    node, npm = need("node"), need("npm")
    folder = tmp_path_factory.mktemp("hpke") / "project"
    shutil.copytree(HERE / "hpke", folder, ignore=shutil.ignore_patterns("node_modules"))
    build([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
    ours = [{**OF, "sealed": text(transcripts.seal(plain, PUBLIC_KEY, **OF))} for plain in PLAINS]
    asked = folder / "asked.json"
    asked.write_text(
        json.dumps(
            {
                "private_key": text(PRIVATE_KEY),
                "public_key": text(PUBLIC_KEY),
                "open": WORDS["transcripts"] + ours,
                "seal": [{**OF, "plain": text(plain)} for plain in PLAINS],
            }
        )
    )
    done = subprocess.run(
        [node, "both-ways.mjs", str(asked)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[Any]] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    ("number", "case"),
    list(enumerate(WORDS["transcripts"])),
    ids=[case["name"] for case in WORDS["transcripts"]],
)
def test_on_the_vectors_both_say_the_same(
    said: dict[str, list[Any]], number: int, case: dict[str, Any]
) -> None:
    sealed = base64.b64decode(case["sealed"])
    try:
        ours = transcripts.open_sealed(sealed, PRIVATE_KEY, case["user_id"], case["file_id"])
    except DecryptionFailed:
        assert said["opened"][number] is None
    else:
        assert said["opened"][number] == text(ours)


def test_it_opens_what_is_sealed_here(said: dict[str, list[Any]]) -> None:
    assert said["opened"][len(WORDS["transcripts"]) :] == [text(plain) for plain in PLAINS]


def test_what_it_seals_opens_here(said: dict[str, list[Any]]) -> None:
    opened = [
        transcripts.open_sealed(base64.b64decode(sealed), PRIVATE_KEY, **OF) for sealed in said["sealed"]
    ]
    assert opened == PLAINS
