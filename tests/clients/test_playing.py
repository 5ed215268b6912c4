"""What the console's player does without a browser: ranges, kinds of sound, names of files, timelines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.suites import need

HERE = Path(__file__).parent / "playing"


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_player_in_node(name: str) -> None:
    done = subprocess.run(
        [need("node"), "--test", name],
        cwd=HERE,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
