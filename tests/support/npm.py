"""Programs that stand before the machine's npm, or in its place, for tests of what fetches from it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.suites import need

GATE_SECONDS = 120


def path_with(npm: Path) -> str:
    """Return a PATH on which this program is found first."""
    return f"{npm.parent}{os.pathsep}{os.environ['PATH']}"


def _program(folder: Path, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def held_npm(folder: Path) -> tuple[Path, Path]:
    """Return an npm that writes its number into the file `running`, and begins when the file `go` is there.

    What comes back is the program and the folder of both files.
    """
    script = f"""
[ "$1" = --version ] && exec {need("npm")} --version
echo $$ >{folder}/running.new && mv {folder}/running.new {folder}/running
for turn in $(seq {GATE_SECONDS}0); do [ -e {folder}/go ] && exec {need("npm")} "$@"; sleep 0.1; done
"""
    return _program(folder / "programs", script), folder


def silent_npm(folder: Path, version: str) -> Path:
    """Return an npm that tells its version, and then nothing for an hour."""
    return _program(folder, f'[ "$1" = --version ] && echo {version} && exit\nexec sleep 3600')
