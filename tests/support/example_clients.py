"""The example clients, each started as its user would start it.

Starting a JVM and deriving keys are slow, so every start gets a whole manifest of jobs (docs/clients.md,
section 10).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support import least_hashes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
VECTORS = ROOT / "tests" / "vectors"

LANGUAGES = ("python", "javascript", "java")

FIRST_SEGMENT = 65480

REASONS = {
    "v2-renamed": "segment",
    "v2-cut-at-segment": "segment",
    "v2-cut-inside-segment": "segment",
    "v2-appended": "segment",
    "v2-segments-swapped": "stream_header",
    "v2-flipped-key-id": "key_id",
    "v2-flipped-wrapped-key": "wrapped_key",
    "v2-flipped-commitment": "commitment",
    "v2-flipped-flags": "flags",
    "v2-flipped-reserved": "reserved",
    "v2-flipped-stream-header": "stream_header",
    "v2-flipped-stream-salt": "segment",
    "v2-flipped-middle": "segment",
    "v2-flipped-last-tag": "segment",
    "single-flipped-middle": "tag",
    "single-cut": "tag",
    "single-too-short": "tag",
    "nothing": "tag",
}

ACCOUNT: dict[str, Any] = json.loads((VECTORS / "vectors.json").read_text("utf-8"))
CASES = {case["name"]: case for case in ACCOUNT["cases"]}


@dataclass(frozen=True)
class Job:
    """One line of a manifest: verb, object key or variant, input, output and perhaps a range."""

    verb: str
    second: str
    source: Path
    target: Path
    byte_range: str = ""

    def line(self) -> str:
        words = [self.verb, self.second, str(self.source), str(self.target)]
        return "\t".join([*words, self.byte_range] if self.byte_range else words)


@dataclass(frozen=True)
class Outcome:
    """What a client said about one job: the format it read or wrote, or why it refused."""

    opened: bool
    word: str


@dataclass(frozen=True)
class Client:
    """One example client, as the command that starts it."""

    command: tuple[str, ...]

    def run(
        self, folder: Path, account: Path, password: str, *words: str
    ) -> subprocess.CompletedProcess[str]:
        password_file = folder / "password"
        password_file.write_text(password + "\n", "utf-8")
        options = ["--account", str(account), "--password-file", str(password_file)]
        command = [*self.command, words[0], *options, *words[1:]]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)

    def batch(self, folder: Path, account: Path, password: str, jobs: list[Job]) -> list[Outcome]:
        manifest = folder / "manifest"
        manifest.write_text("".join(job.line() + "\n" for job in jobs), "utf-8")
        done = self.run(folder, account, password, "batch", str(manifest))
        assert done.returncode == 0, done.stderr
        lines = [line.split("\t") for line in done.stdout.rstrip("\n").split("\n")]
        assert [line[1] for line in lines] == [str(job.target) for job in jobs]
        assert {line[0] for line in lines} <= {"ok", "refused"}
        return [Outcome(line[0] == "ok", line[2]) for line in lines]


PYTHON = Client((sys.executable, str(EXAMPLES / "python" / "panzoto_client.py")))


@functools.cache
def python_module() -> ModuleType:
    """The Python client as a module, for the values that no command line shows."""
    path = EXAMPLES / "python" / "panzoto_client.py"
    spec = importlib.util.spec_from_file_location("panzoto_client", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.LEAST_MEMORY_KIB[least_hashes.TIME_COST] = least_hashes.MEMORY_KIB
    return module


def plain_of(size: int) -> bytes:
    """Bytes that differ at every place, and differently for each size."""
    return hashlib.shake_256(f"recording of {size} bytes".encode()).digest(size)


def leftovers(folder: Path) -> list[str]:
    """Names that a client left behind although it promised whole files or none."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def account_file(folder: Path, account: dict[str, Any]) -> Path:
    path = folder / "account.json"
    path.write_text(json.dumps(account), "utf-8")
    return path


def own_key(account: dict[str, Any], name: str) -> str:
    return f"users/{account['user_id']}/audio-{name}.3gp"
