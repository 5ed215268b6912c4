"""Files that are renamed while all are read are read under their new names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contents import contents


def test_a_file_that_is_renamed_meanwhile_is_read_under_its_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "kept").write_bytes(b"kept")
    draft = tmp_path / ".letter"
    draft.write_bytes(b"whole")
    read = Path.read_bytes

    def renamed_first(path: Path) -> bytes:
        if draft.exists():
            draft.rename(tmp_path / "letter")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", renamed_first)
    assert contents(tmp_path) == {tmp_path / "inner" / "kept": b"kept", tmp_path / "letter": b"whole"}


def test_one_that_always_goes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path) -> bytes:
        raise FileNotFoundError(path)

    (tmp_path / "one").write_bytes(b"1")
    monkeypatch.setattr(Path, "read_bytes", gone)
    with pytest.raises(FileNotFoundError):
        contents(tmp_path)
