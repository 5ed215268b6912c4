"""README.md reads well in the shells that newcomers have; `tests/deploy/test_readme_tour.py` walks it."""

from __future__ import annotations

import re

from tests.support.readme import BLOCKS, GETTING, README


def test_no_line_holds_a_comment_that_zsh_would_run() -> None:
    for block in BLOCKS:
        assert "#" not in block
    indented = re.findall(r"^ {4}\S.*$", README, re.MULTILINE)
    assert not any("#" in line or "`" in line for line in indented)


def test_it_says_how_to_get_and_to_start_it() -> None:
    assert GETTING.split("\n")[0].startswith("git clone ")
    assert GETTING.splitlines()[-1] == "make run"
