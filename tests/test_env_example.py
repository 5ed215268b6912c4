"""`.env.example` knows every setting, with the value it has when nobody sets it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from panzoto.config import Settings

EXAMPLE = Path(__file__).resolve().parents[1] / ".env.example"
LINES = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


class Recorder(Mapping[str, str]):
    """An environment that remembers which names were asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_every_setting_has_a_line_and_every_line_is_a_setting(tmp_path: Path) -> None:
    # Each optional endpoint is only asked for while none has been found, so the environment names none.
    environment = Recorder({"PANZOTO_DATA_DIR": str(tmp_path)})
    Settings.from_environment(environment)
    assert environment.asked == LINES.keys()


def test_every_line_tells_the_default(tmp_path: Path) -> None:
    data_dir = {"PANZOTO_DATA_DIR": str(tmp_path)}
    defaults = Settings.from_environment(data_dir)
    told = Settings.from_environment({**LINES, **data_dir})
    # To write a port down is to choose it, which is no difference of value.
    names = [field.name for field in fields(Settings) if not field.name.endswith("_port_chosen")]
    assert {name: getattr(told, name) for name in names} == {name: getattr(defaults, name) for name in names}
    assert Path(LINES["PANZOTO_DATA_DIR"]) == Settings().data_dir


def test_no_secret_has_a_value() -> None:
    assert [LINES[name] for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS")] == ["", ""]
