"""The example client in Python, and what the guide for clients says of all of them."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.example_clients import (
    ACCOUNT,
    CASES,
    EXAMPLES,
    PYTHON,
    REASONS,
    ROOT,
    VECTORS,
    plain_of,
    python_module,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Cut, Fault, LoseReply, Refuse
from tests.support.service import BUCKET, PASSWORD, Service

GUIDE = ROOT / "docs" / "clients.md"


@pytest.fixture
def example() -> ModuleType:
    return python_module()


def test_without_its_library_it_says_how_to_get_it() -> None:
    client = EXAMPLES / "python" / "panzoto_client.py"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(client), "--help"],
        env={},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (line,) = ran.stderr.splitlines()
    assert (ran.returncode, line.partition(": ")[2]) == (1, 'python3 -m pip install "cryptography>=44"')


# ---- The guide ------------------------------------------------------------------------------------


def test_the_values_of_the_guide(example: ModuleType) -> None:
    password = ACCOUNT["password"]
    vault = example.open_vault(ACCOUNT, password)
    case = CASES["v2-one-byte"]
    data = (VECTORS / case["file"]).read_bytes()
    header = data[:128]
    file_key = example.open_header(vault, header)
    key_value = example.hkdf(file_key, b"panzoto/v2/stream")
    values = {
        "password as UTF-8": password.encode(),
        "KEK": example.derive_kek(password, ACCOUNT["vault"]["kdf"]),
        "vault key": bytes.fromhex(ACCOUNT["vault_key"]),
        "wrapping key": vault.wrapping_key,
        "private key for transcripts": vault.transcripts_key.private_bytes_raw(),
        "public key for transcripts": vault.transcripts_key.public_key().public_bytes_raw(),
        "names key": vault.names_key,
        "`key_id`": vault.key_id,
        "direct key, raw salt": example.direct_key(ACCOUNT, password, "raw"),
        "direct key, hex salt": example.direct_key(ACCOUNT, password, "hex"),
        "file key": file_key,
        "commitment": header[82:114],
        "key value": key_value,
        "segment key": example.hkdf(key_value, header + case["s3_key"].encode(), data[129:161]),
        "nonce 0": data[161:168] + bytes(4) + b"\x01",
    }
    told = dict(re.findall(r"^\| (\S.*?) \| `([0-9a-f]{20,})` \|$", GUIDE.read_text("utf-8"), re.MULTILINE))
    assert told == {name: value.hex() for name, value in values.items()}


def test_the_title_of_the_guide_opens(example: ModuleType) -> None:
    told = re.search(
        r"title of `([0-9a-f-]{36})` that says \*(.+?)\*\s.*?`([\w+/=]{40,})`", GUIDE.read_text(), re.DOTALL
    )
    assert told is not None
    file_id, text, written = told[1], " ".join(told[2].split()), base64.b64decode(told[3])
    names_key = example.hkdf(bytes.fromhex(ACCOUNT["vault_key"]), b"panzoto/v2/names")
    associated = b"panzoto/v2/title\0" + file_id.encode("ascii")
    assert AESGCM(names_key).decrypt(written[:12], written[12:], associated).decode() == text


def test_every_section_that_an_example_names_exists() -> None:
    sections = set(re.findall(r"^##+ (\d(?:\.\d)?|\d\d) ", GUIDE.read_text("utf-8"), re.MULTILINE))
    named = set()
    for path in (*EXAMPLES.glob("*/*.py"), *EXAMPLES.glob("*/*.mjs"), *EXAMPLES.glob("*/*.java")):
        for words in re.findall(r"[Ss]ections? ([\d., and/or]*\d)", path.read_text("utf-8")):
            named |= set(re.findall(r"\d+(?:\.\d)?", words))
    assert len(named) > 10
    assert named <= sections


def test_the_guide_names_every_reason() -> None:
    guide = GUIDE.read_text("utf-8")
    for name, reason in REASONS.items():
        assert f"`{name}`" in guide
        assert f"`{reason}`" in guide
    assert all(f"`{reason}`" in guide for reason in ("sealed", "document", "name"))


def test_the_lock_file_pins_content_and_names_no_registry() -> None:
    lock = json.loads((EXAMPLES / "javascript" / "package-lock.json").read_text("utf-8"))
    wanted = json.loads((EXAMPLES / "javascript" / "package.json").read_text("utf-8"))["dependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert {name.removeprefix("node_modules/"): p["version"] for name, p in packages.items()} == wanted
    assert all("resolved" not in package for package in packages.values())
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())


def test_python_encrypts_a_pipe_in_constant_memory(example: ModuleType) -> None:
    vault = example.Vault(bytes(32), bytes(16))
    size = 16 * 1024 * 1024
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in example.encrypt_recording(vault, "users/a/b", Pipe(size)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == example.encrypted_size(size)
    assert peak < 1024 * 1024


class Pipe:
    """A source that cannot be rewound and gives fewer bytes than asked for, as a microphone does."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, count: int) -> bytes:
        piece = bytes(min(count, self._left, 10_007))
        self._left -= len(piece)
        return piece


# ---- With the live service ------------------------------------------------------------------------


@dataclass(frozen=True)
class Shell:
    """The Python client's command line, as a person would type it."""

    folder: Path
    server: str
    bucket: str

    def say(self, verb: str, *words: str) -> list[dict[str, Any]]:
        account = self.folder / "me.json"
        done = PYTHON.run(self.folder, account, PASSWORD, verb, "--server", self.server, *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def upload(self, source: Path, *words: str) -> dict[str, Any]:
        (audio_file,) = self.say("upload", "--s3-url", self.bucket, *words, str(source))
        return audio_file

    def play(self, *words: str) -> bytes:
        heard = self.folder / "heard"
        self.say("play", *words, str(heard))
        return heard.read_bytes()


def test_the_python_client_from_registering_to_playing(service: Service, tmp_path: Path) -> None:
    shell = Shell(tmp_path, service.url, f"{service.aws_url}/{BUCKET}")
    plain = plain_of(150001)
    talk = tmp_path / "talk.3gp"
    talk.write_bytes(plain)
    shell.say("register", "--email", "walker@example.com")
    assert (tmp_path / "me.json").stat().st_mode & 0o077 == 0
    new = shell.upload(talk)
    old = shell.upload(talk, "--single-shot")
    assert shell.play("--file-id", new["file_id"]) == plain
    assert shell.play("--s3-key", old["s3_key"]) == plain
    assert shell.play("--file-id", new["file_id"], "--range", "65479-131000") == plain[65479:131001]
    assert shell.play("--file-id", new["file_id"], "--by-file-key") == plain
    shell.say("login", "--email", "walker@example.com")
    listed = shell.say("list")
    assert [audio_file["file_id"] for audio_file in listed] == [old["file_id"], new["file_id"]]
    assert [audio_file["format"] for audio_file in listed] == ["single-iv12-raw-salt", "v2"]
    sizes = [audio_file["file_size"] for audio_file in listed]
    assert sizes == [len(plain) + 28, 168 + len(plain) + 3 * 16]


def test_the_python_client_keeps_a_transcript(service: Service, example: ModuleType, tmp_path: Path) -> None:
    client = example.Service(service.url)
    keys = example.Keys(client.register("reader@example.com", PASSWORD), PASSWORD)
    talk = tmp_path / "talk.3gp"
    talk.write_bytes(plain_of(100))
    file_id = example.upload(client, keys, f"{service.aws_url}/{BUCKET}", talk)["file_id"]
    first, second = (
        example.seal_transcript(keys.vault, keys.user_id, file_id, b'{"segments":[]}') for _ in range(2)
    )
    revision = client.put_transcript(file_id, first)["revision"]
    client.put_transcript(file_id, second, revision)
    with pytest.raises(example.ServiceError) as failure:
        client.put_transcript(file_id, first, revision)
    assert (failure.value.status, failure.value.code) == (409, "conflict")
    assert client.get_transcript(file_id) == second


def test_the_address_may_end_as_make_run_prints_it(service: Service, tmp_path: Path) -> None:
    shell = Shell(tmp_path, f"{service.url}/api", f"{service.aws_url}/{BUCKET}")
    shell.say("register", "--email", "walker-by-api@example.com")
    assert shell.say("list") == []


def test_of_a_bucket_that_is_not_there_it_says_who_has_answered_and_why(
    service: Service, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, service.url, f"{service.aws_url}/no-such-bucket")
    shell.say("register", "--email", "walker-to-nowhere@example.com")
    talk = tmp_path / "talk.3gp"
    talk.write_bytes(b"to nowhere")
    words = ("upload", "--server", shell.server, "--s3-url", shell.bucket, str(talk))
    done = PYTHON.run(tmp_path, tmp_path / "me.json", PASSWORD, *words)
    host = service.aws_url.removeprefix("http://")
    assert (done.returncode, done.stderr) == (1, f"panzoto: {host} answered 404, NoSuchBucket\n")
    assert shell.say("list") == []


@pytest.mark.parametrize(
    ("account", "words", "said"),
    [
        ("no JSON", (), "does not hold what register or login returned"),
        ("[]", (), "does not hold what register or login returned"),
        ('{"error": "Invalid email or password"}', (), "does not hold what register or login returned"),
        (json.dumps(ACCOUNT), ("--range", "5-2"), "first-last, such as 0-65535"),
        (json.dumps(ACCOUNT), ("--range", "all"), "first-last, such as 0-65535"),
    ],
    ids=["no JSON", "a list", "an error", "a range backwards", "no range"],
)
def test_called_wrongly_it_says_how_in_one_sentence(
    tmp_path: Path, account: str, words: tuple[str, ...], said: str
) -> None:
    me = tmp_path / "me.json"
    me.write_text(account)
    case = CASES["v2-one-byte"]
    files = (str(VECTORS / case["file"]), str(tmp_path / "plain"))
    done = PYTHON.run(
        tmp_path, me, ACCOUNT["password"], "decrypt", "--s3-key", case["s3_key"], *words, *files
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert not (tmp_path / "plain").exists()


def test_a_password_that_nobody_can_type_is_asked_for_in_one_sentence(tmp_path: Path) -> None:
    me = tmp_path / "me.json"
    me.write_text(json.dumps(ACCOUNT))
    done = subprocess.run(
        [*PYTHON.command, "encrypt", "--account", str(me), "--s3-key", "k", str(me), str(tmp_path / "out")],
        stdin=subprocess.DEVNULL,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "--password-file" in done.stderr


def test_a_file_that_is_not_there_is_told_without_a_number_of_the_system(tmp_path: Path) -> None:
    me = tmp_path / "me.json"
    me.write_text(json.dumps(ACCOUNT))
    nope, out = str(tmp_path / "nope"), str(tmp_path / "out")
    done = PYTHON.run(tmp_path, me, ACCOUNT["password"], "encrypt", "--s3-key", "k", nope, out)
    assert (done.returncode, done.stderr) == (1, f"panzoto: No such file or directory: {nope}\n")


# ---- What goes wrong on the way ---------------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the Python client would have waited, in order."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_a_lost_answer_costs_nothing(
    service: Service, example: ModuleType, tmp_path: Path, waits: list[float]
) -> None:
    plain = plain_of(150001)
    talk = tmp_path / "talk.3gp"
    talk.write_bytes(plain)
    with FaultProxy(service.url) as proxy, FaultProxy(service.aws_url) as bucket:
        posts = ("/api/register", "/api/audio-file", "/api/decrypt-audio")
        lost = [proxy.add(Fault(LoseReply(), method="POST", path=path, times=1)) for path in posts]
        # Refused rather than answered: moto lets nobody without a signature write an object twice.
        lost.append(bucket.add(Fault(Refuse(), method="PUT", times=1)))
        lost.append(proxy.add(Fault(Cut(70000), method="GET", path="/api/playback/", times=1)))
        client = example.Service(proxy.url)
        account = client.register("patient@example.com", PASSWORD)
        keys = example.Keys(account, PASSWORD)
        recorded = example.upload(client, keys, f"{bucket.url}/{BUCKET}", talk)
        url = client.decrypt_audio(PASSWORD, {"file_id": recorded["file_id"]})["download_url"]
        assert b"".join(example.download(url, None)) == plain
        assert [fault.applied for fault in lost] == [1] * 5
        listed = client.audio_files()
    assert [audio_file["file_id"] for audio_file in listed] == [recorded["file_id"]]
    resumed = [record.range for record in proxy.requests if record.range is not None]
    assert len(resumed) == 1
    assert 0 < int(resumed[0].removeprefix("bytes=").removesuffix("-")) <= 70000
    assert len(waits) == 4


def test_waiting_as_long_as_told(service: Service, example: ModuleType, waits: list[float]) -> None:
    busy = b'{"error": "Busy", "code": "busy", "request_id": "r"}'
    with FaultProxy(service.url) as proxy:
        for turn, (status, seconds) in enumerate(((429, "7"), (503, "3"))):
            refusal = Answer(status, busy, "application/json", {"Retry-After": seconds})
            proxy.add(Fault(refusal, path="/api/health", skip=turn, times=1))
        assert example.Service(proxy.url).call("GET", "/api/health")["status"] == "healthy"
        assert len(proxy.requests) == 3
    assert all(told <= waited <= 1.25 * told for told, waited in zip((7, 3), waits, strict=True))


def test_giving_up(service: Service, example: ModuleType, waits: list[float]) -> None:
    with FaultProxy(service.url) as proxy:
        proxy.add(Fault(Answer(503, b"<html>", "text/html"), path="/api/health"))
        with pytest.raises(example.ServiceError) as failure:
            example.Service(proxy.url).call("GET", "/api/health")
        assert len(proxy.requests) == 6
    assert failure.value.status == 503
    assert waits == sorted(waits)


def test_what_repeating_cannot_mend_is_not_repeated(
    service: Service, example: ModuleType, waits: list[float]
) -> None:
    with FaultProxy(service.url) as proxy, pytest.raises(example.ServiceError) as failure:
        example.Service(proxy.url).login("nobody@example.com", PASSWORD)
    assert (failure.value.status, failure.value.code) == (401, "invalid_credentials")
    assert str(failure.value) == "Invalid email or password"
    assert len(proxy.requests) == 1
    assert waits == []


def test_no_redirect_is_followed(service: Service, example: ModuleType, waits: list[float]) -> None:
    with FaultProxy(service.url) as elsewhere, FaultProxy(service.url) as proxy:
        away = {"Location": f"{elsewhere.url}/api/user/audio-files"}
        proxy.add(Fault(Answer(307, headers=away)))
        with pytest.raises(example.ServiceError) as failure:
            example.Service(proxy.url, "a token").audio_files()
        assert failure.value.status == 307
        assert elsewhere.requests == ()


@pytest.mark.parametrize("address", ["http://voice.example.com", "ftp://127.0.0.1", "file:///etc"])
def test_no_password_leaves_in_clear(example: ModuleType, address: str) -> None:
    with pytest.raises(example.ServiceError) as failure:
        example.Service(address).login("somebody@example.com", PASSWORD)
    assert failure.value.code == "insecure_address"
