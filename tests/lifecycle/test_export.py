"""An export opens by what it carries: its program, started where nothing of this project is."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from panzoto.crypto import recovery_key
from tests.support.fault_proxy import Answer, Fault, FaultProxy, Refuse
from tests.support.recorder import Recorder
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, Service

NEW_PASSWORD = "another quiet walk"
LONG = b"\x00\x00\x00\x1cftyp3gp4" + b"a long talk" * 20_000


@dataclass(frozen=True)
class Export:
    """An unpacked export, what its recordings must be, and what opens it."""

    folder: Path
    plain: dict[str, bytes]
    written_key: str

    def open(self, secret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run its opener as its owner would, without this project on the path."""
        return subprocess.run(
            [sys.executable, "-I", "open_recordings.py", *arguments],
            cwd=self.folder,
            env={},
            input=secret + "\n",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def opened(self, folder: str = "opened") -> dict[str, bytes]:
        """Return the recordings that were written, by their ids."""
        files = [file for file in (self.folder / folder).iterdir() if not self.words_in(file)]
        return {file.stem[-36:]: file.read_bytes() for file in files}

    @staticmethod
    def words_in(file: Path) -> bool:
        """Whether a file that was written holds what is written of a recording, and not its sound."""
        return file.name.endswith((".words.txt", ".transcript.json"))


@pytest.fixture
def export(unpacked: Export, tmp_path: Path) -> Export:
    """An export of one's own, of all formats."""
    shutil.copytree(unpacked.folder, tmp_path, dirs_exist_ok=True)
    return replace(unpacked, folder=tmp_path)


@pytest.fixture(scope="module")
def unpacked(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """All formats, before and after a change of the password, and a recovery key made in between."""
    account = service.register(f"export-{uuid.uuid4()}@example.com")
    token, salt, plain = account["token"], account["key_salt"], {}

    def keep(name: str, encrypted: bytes, sound: bytes) -> None:
        plain[
            store(service, {**account, "token": token}, f"users/{account['user_id']}/{name}", encrypted)
        ] = sound

    for iv_length in (12, 16):
        for hex_salt in (False, True):
            sound = f"#!AMR\nof {iv_length} {hex_salt}".encode()
            encrypted = single_shot(PASSWORD, salt, sound, iv_length, hex_salt)
            keep(f"{iv_length}-{hex_salt}.3gp", encrypted, sound)
    for name, sound in (("Besuch – äöü.3gp", LONG), ("empty", b""), ("edge.3gp", LONG[:65480])):
        keep(name, version_2(account, PASSWORD, f"users/{account['user_id']}/{name}", sound), sound)
    change = {"password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = service.call("POST", "/api/user/password", token, json=change).json()
    token = changed["token"]
    keep("later.3gp", single_shot(NEW_PASSWORD, changed["key_salt"], b"#!AMR\nlater"), b"#!AMR\nlater")
    made = service.call("POST", "/api/user/recovery-key", token, json={"password": NEW_PASSWORD})
    content = service.call("GET", "/api/user/export", token).content
    folder = tmp_path_factory.mktemp("export")
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return Export(folder, plain, made.json()["recovery_key"])


def test_the_recovery_key_alone_opens_every_format(export: Export) -> None:
    ran = export.open(export.written_key)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert export.opened() == export.plain
    assert len(ran.stdout.splitlines()) == len(export.plain)
    names = {Path(line).suffix for line in ran.stdout.splitlines()}
    assert names == {".3gp", ".amr", ".bin"}


def test_without_its_library_it_says_how_to_get_it(export: Export) -> None:
    ran = subprocess.run(
        # Without what was installed, as on the computer of somebody who has never needed it.
        [sys.executable, "-I", "-S", "open_recordings.py", "--help"],
        cwd=export.folder,
        env={},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (line,) = ran.stderr.splitlines()
    assert (ran.returncode, line.partition(": ")[2]) == (1, 'python3 -m pip install "cryptography>=44"')
    assert line.partition(": ")[2] in (export.folder / "README.txt").read_text()


def test_as_it_was_written_down_is_good_enough(export: Export) -> None:
    written = f"  {export.written_key.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
    assert export.open(written, "--to", "elsewhere").returncode == 0
    assert export.opened("elsewhere") == export.plain


def test_the_password_opens_the_same(export: Export) -> None:
    ran = export.open(NEW_PASSWORD)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert export.opened() == export.plain


@pytest.mark.parametrize("by_password", [True, False], ids=["password", "recovery key"])
def test_titles_notes_and_transcripts_open(
    service: Service, new_account: Callable[..., dict[str, Any]], tmp_path: Path, *, by_password: bool
) -> None:
    account = new_account()
    owner = Recorder(service, account)
    at = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    file_id = owner.record("a.wav", at, title="Oma über den Garten", note="Zwei\nZeilen")
    said = ["Mind the gap"] + [f"between train {number} and the platform" for number in range(500)]
    owner.say(file_id, *said)
    quiet = owner.record("b.wav")
    strange = owner.record("c.wav")
    owner.call("PATCH", f"/api/audio-file/{strange}", json={"title": "b2YgYW4gYXBwIG9mIGJlZm9yZQ=="})
    short = owner.record("d.wav")
    owner.say(short, "Hi")
    made = owner.call("POST", "/api/user/recovery-key", json={"password": PASSWORD})["recovery_key"]
    content = service.call("GET", "/api/user/export", account["token"]).content
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    export = Export(tmp_path, {}, made)
    ran = export.open(PASSWORD if by_password else made)
    words = {file.name: file for file in (tmp_path / "opened").iterdir()}
    assert set(words) == {
        f"2024-05-06T07-08-09-{file_id}.words.txt",
        f"2024-05-06T07-08-09-{file_id}.transcript.json",
        *(name for name in words if name.endswith((f"{short}.words.txt", f"{short}.transcript.json"))),
    }
    assert len(words) == 4
    assert {str(file.relative_to(tmp_path)) for file in words.values()} == {
        str(Path(line).relative_to(tmp_path)) for line in ran.stdout.splitlines()
    }
    text = words[f"2024-05-06T07-08-09-{file_id}.words.txt"].read_text("utf-8")
    assert text.startswith(
        "Title: Oma über den Garten\n\nNote: Zwei\nZeilen\n\n0:00  Mind the gap\n0:02  between"
    )
    document = json.loads(words[f"2024-05-06T07-08-09-{file_id}.transcript.json"].read_bytes())
    assert [segment["text"] for segment in document["segments"]] == said
    # Nothing is behind these rows, and one title is of an app of its own.
    not_there = {f"{one} was not there when the export was made" for one in (file_id, quiet, strange, short)}
    told = f"{strange}: its title is not in the common form; see recordings.jsonl"
    assert set(ran.stderr.splitlines()) == {*not_there, told}


def test_a_transcript_that_is_damaged_is_named(
    service: Service, new_account: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    account = new_account()
    owner = Recorder(service, account)
    file_id = owner.record("a.wav")
    owner.say(file_id, "Mind the gap")
    content = service.call("GET", "/api/user/export", account["token"]).content
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    sealed = tmp_path / "transcripts" / f"{file_id}.hpke"
    data = sealed.read_bytes()
    for damaged in (data[:-1] + bytes([data[-1] ^ 1]), data[:20], bytes(32) + data[32:], b""):
        sealed.write_bytes(damaged)
        ran = Export(tmp_path, {}, "").open(PASSWORD)
        assert ran.returncode == 1
        assert f"{file_id} does not open: its transcript is damaged" in ran.stderr.splitlines()
        assert "Traceback" not in ran.stderr


def test_a_wrong_key_gets_one_sentence(export: Export) -> None:
    misspelt = export.written_key[:-1] + ("0" if export.written_key[-1] != "0" else "2")
    another = recovery_key.write(recovery_key.generate())
    for secret in (misspelt, export.written_key[5:], another, PASSWORD, "", "x"):
        ran = export.open(secret)
        assert ran.returncode == 1
        assert ran.stdout == ""
        assert len(ran.stderr.splitlines()) == 1
        assert ran.stderr.strip().endswith(".")
        assert "Traceback" not in ran.stderr
        assert not (export.folder / "opened").exists()


def test_what_is_damaged_or_missing_is_named_and_the_rest_opens(export: Export) -> None:
    damaged, missing = list(export.plain)[4], next(iter(export.plain))
    file = export.folder / "objects" / damaged
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    (export.folder / "objects" / missing).unlink()
    ran = export.open(export.written_key)
    assert ran.returncode == 1
    assert {line.split()[0] for line in ran.stderr.splitlines()} == {damaged, missing}
    assert export.opened() == {
        file_id: sound for file_id, sound in export.plain.items() if file_id not in (damaged, missing)
    }


def test_the_readme_says_what_to_run_and_how_a_recovery_key_is_read(export: Export) -> None:
    readme = (export.folder / "README.txt").read_text()
    for said in (
        "python3 open_recordings.py",
        "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
        "14 groups of 4",
        "checksum",
        "SHA-256",
        recovery_key.write(bytes(range(32)))[:34],
        recovery_key.write(bytes(range(32)))[35:],
    ):
        assert said in readme
    assert max(len(line) for line in readme.splitlines()) <= 80


def test_the_programs_own_reading_of_it_agrees_with_the_service(
    service: Service, new_account: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """An account without a recovery key is told so, and what it holds is told by the program as well."""
    account = new_account()
    content = service.call("GET", "/api/user/export", account["token"]).content
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    export = Export(tmp_path, {}, recovery_key.write(recovery_key.generate()))
    ran = export.open(export.written_key)
    assert (ran.returncode, ran.stderr) == (
        1,
        "This export was made before there was a recovery key; please use the password.\n",
    )
    assert json.loads((tmp_path / "account.json").read_text())["recovery"] is None
    assert export.open(PASSWORD).returncode == 0


def test_without_a_bucket_none_is_begun(second: Service, proxy: FaultProxy, account: dict[str, Any]) -> None:
    """What has begun could only be cut off, and a browser would keep what came of it."""
    for fault in (Refuse(), Answer.s3(503, "SlowDown")):
        proxy.add(Fault(fault, path=f"^/{BUCKET}"))
        answer = second.call("GET", "/api/user/export", account["token"])
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        proxy.clear()
    assert second.call("GET", "/api/user/export", account["token"]).status_code == 200
