"""The example clients, in every language: right on all vectors, with each other, and with the service."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

from panzoto.crypto import segments
from tests.support.example_clients import (
    ACCOUNT,
    CASES,
    FIRST_SEGMENT,
    LANGUAGES,
    REASONS,
    ROOT,
    VECTORS,
    Client,
    Job,
    Outcome,
    account_file,
    leftovers,
    own_key,
    plain_of,
    python_module,
)
from tests.support.service import BUCKET, PASSWORD, Service

SIZES = (0, 1, FIRST_SEGMENT - 1, FIRST_SEGMENT, FIRST_SEGMENT + 1, 131000, 131001, 150001)
SINGLE_SHOT = ("single-iv12-raw-salt", "single-iv16-raw-salt", "single-iv12-hex-salt", "single-iv16-hex-salt")
# 1024 bytes, the longest key there is, with characters of two and three bytes and a line separator.
LONGEST_KEY = "users/ü/é " + "k" * (1024 - len("users/ü/é ".encode()))
RANGES = (
    (0, 0),
    (0, 65479),
    (65479, 65480),
    (65480, 65480),
    (70000, 149999),
    (130999, 131000),
    (149990, 999999),
)

OPENED_BY = {"single-iv16-counter-wraps": "single-iv16-raw-salt"}


# ---- Vectors --------------------------------------------------------------------------------------


def vector_range(name: str, first: int, last: int) -> Job:
    case = CASES[name]
    source = VECTORS / case["file"]
    return Job("decrypt", case["s3_key"], source, Path(f"{name}.{first}-{last}"), f"{first}-{last}")


@pytest.fixture(scope="session")
def vector_runs(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Outcome]]:
    """One client's folder of outputs and its outcomes for all vectors and for ranges of two of them."""
    folder = tmp_path_factory.mktemp("vectors")
    jobs = [
        Job("decrypt", case["s3_key"], VECTORS / case["file"], folder / name) for name, case in CASES.items()
    ]
    for name in ("v2-three-segments", "single-iv16-counter-wraps"):
        for first, last in RANGES:
            job = vector_range(name, first, last)
            jobs.append(Job(job.verb, job.second, job.source, folder / job.target, job.byte_range))
    outcomes = client.batch(folder, VECTORS / "vectors.json", ACCOUNT["password"], jobs)
    return folder, {job.target.name: outcome for job, outcome in zip(jobs, outcomes, strict=True)}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["expect"] == "opens"])
def test_a_vector_that_opens(vector_runs: tuple[Path, dict[str, Outcome]], name: str) -> None:
    folder, outcomes = vector_runs
    opened_by = "v2" if CASES[name]["format"] == "v2" else OPENED_BY.get(name, name)
    assert outcomes[name] == Outcome(True, opened_by)
    plain = (folder / name).read_bytes()
    assert len(plain) == CASES[name]["plain_length"]
    assert hashlib.sha256(plain).hexdigest() == CASES[name]["plain_sha256"]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["expect"] == "fails"])
def test_a_vector_that_fails(vector_runs: tuple[Path, dict[str, Outcome]], name: str) -> None:
    folder, outcomes = vector_runs
    assert outcomes[name] == Outcome(False, REASONS[name])
    assert not (folder / name).exists()
    assert leftovers(folder) == []


@pytest.mark.parametrize("name", ["v2-three-segments", "single-iv16-counter-wraps"])
def test_ranges(vector_runs: tuple[Path, dict[str, Outcome]], name: str) -> None:
    folder, outcomes = vector_runs
    plain = (folder / name).read_bytes()
    for first, last in RANGES:
        target = f"{name}.{first}-{last}"
        assert outcomes[target].opened
        assert (folder / target).read_bytes() == plain[first : last + 1], target


# ---- Each with each -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """An object one client wrote, and what must come out of it."""

    source: Path
    s3_key: str
    format: str
    plain: bytes


def jobs_to_write(folder: Path) -> list[tuple[Job, Written]]:
    jobs = []
    for size in SIZES:
        source = folder / f"plain-{size}"
        source.write_bytes(plain_of(size))
        target = folder / f"v2-{size}"
        s3_key = LONGEST_KEY if size == 1 else f"users/somebody/audio-{size}.3gp_encrypted"
        jobs.append((Job("encrypt", s3_key, source, target), Written(target, s3_key, "v2", plain_of(size))))
    source = folder / f"plain-{SIZES[-1]}"
    for name in SINGLE_SHOT:
        target = folder / name
        job = Job("encrypt-single", name, source, target)
        jobs.append((job, Written(target, "users/somebody/audio-1.3gp", name, source.read_bytes())))
    return jobs


@pytest.fixture(scope="session")
def written(
    python_client: Client,
    javascript_client: Client,
    java_client: Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Written]:
    """What the clients wrote: each of them version 2 of every size, and the four single-shot variants."""
    objects = []
    for client in (python_client, javascript_client, java_client):
        folder = tmp_path_factory.mktemp("written")
        jobs = jobs_to_write(folder)
        outcomes = client.batch(
            folder, VECTORS / "vectors.json", ACCOUNT["password"], [job for job, _ in jobs]
        )
        assert outcomes == [Outcome(True, made.format) for _, made in jobs]
        assert leftovers(folder) == []
        objects += [made for _, made in jobs]
    return objects


def test_each_opens_what_all_wrote(client: Client, written: list[Written], tmp_path: Path) -> None:
    jobs = [
        Job("decrypt", made.s3_key, made.source, tmp_path / str(number))
        for number, made in enumerate(written)
    ]
    outcomes = client.batch(tmp_path, VECTORS / "vectors.json", ACCOUNT["password"], jobs)
    for job, made, outcome in zip(jobs, written, outcomes, strict=True):
        assert outcome == Outcome(True, made.format), made.source
        assert job.target.read_bytes() == made.plain, made.source


def test_sizes_are_those_of_the_guide(written: list[Written], example: ModuleType) -> None:
    for made in (made for made in written if made.format == "v2"):
        size = made.source.stat().st_size
        assert size == example.encrypted_size(len(made.plain))
        assert size == 168 + len(made.plain) + 16 * -(-(size - 128) // 65536)


def test_nothing_random_is_used_twice(written: list[Written]) -> None:
    objects = [made.source.read_bytes() for made in written]
    version_2 = [data for data in objects if data.startswith(b"PNZ2")]
    assert len(version_2) == len(LANGUAGES) * len(SIZES)
    # Header nonce, wrapped key, commitment, and the stream's salt and nonce prefix.
    for start, stop in ((22, 34), (34, 82), (82, 114), (129, 161), (161, 168)):
        assert len({data[start:stop] for data in version_2}) == len(version_2)
    single_shot = [data[:12] for data in objects if not data.startswith(b"PNZ2")]
    assert len(set(single_shot)) == len(LANGUAGES) * len(SINGLE_SHOT)


# ---- Passwords, parameters and memory --------------------------------------------------------------


def test_a_wrong_password_is_one_sentence(client: Client, tmp_path: Path) -> None:
    case = CASES["v2-one-byte"]
    words = ("decrypt", "--s3-key", case["s3_key"], str(VECTORS / case["file"]), str(tmp_path / "plain"))
    done = client.run(tmp_path, VECTORS / "vectors.json", "correct horse - battery", *words)
    assert done.returncode == 1
    assert done.stderr == "panzoto: The password does not open this account's vault\n"
    assert not (tmp_path / "plain").exists()


def test_one_file_by_options(client: Client, tmp_path: Path) -> None:
    case = CASES["v2-three-segments"]
    target = tmp_path / "plain"
    words = (
        "decrypt",
        "--s3-key",
        case["s3_key"],
        "--range",
        "65480-",
        str(VECTORS / case["file"]),
        str(target),
    )
    done = client.run(tmp_path, VECTORS / "vectors.json", ACCOUNT["password"], *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"v2\t{target}\n", "")
    assert target.stat().st_size == case["plain_length"] - 65480
    assert target.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("written", ["5-2", "all", "0-1-2"])
def test_a_range_that_is_none_is_one_sentence(client: Client, tmp_path: Path, written: str) -> None:
    case = CASES["v2-one-byte"]
    files = (str(VECTORS / case["file"]), str(tmp_path / "plain"))
    words = ("decrypt", "--s3-key", case["s3_key"], "--range", written, *files)
    done = client.run(tmp_path, VECTORS / "vectors.json", ACCOUNT["password"], *words)
    assert done.returncode == 2
    assert done.stderr == "panzoto: A range is written first-last, such as 0-65535, or first-\n"
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize("content", [b"no JSON", b"\xff", b"[]", b'{"error": "Invalid email or password"}'])
def test_what_is_no_account_is_one_sentence(client: Client, tmp_path: Path, content: bytes) -> None:
    account = tmp_path / "account.json"
    account.write_bytes(content)
    words = ("decrypt", "--s3-key", "k", str(account), str(tmp_path / "plain"))
    done = client.run(tmp_path, account, ACCOUNT["password"], *words)
    assert done.returncode == 2
    said = f"panzoto: {account} does not hold what register or login returned; log in anew\n"
    assert done.stderr == said


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"memory_cost_kib": 64 * 1024 * 1024}, id="64-GiB"),
        pytest.param({"time_cost": 1000}, id="a-thousand-passes"),
        pytest.param({"memory_cost_kib": 64}, id="cheap-to-guess"),
    ],
)
def test_unreasonable_parameters_are_not_obeyed(
    client: Client, tmp_path: Path, change: dict[str, int]
) -> None:
    vault = {**ACCOUNT["vault"], "kdf": {**ACCOUNT["vault"]["kdf"], **change}}
    account = tmp_path / "account.json"
    account.write_text(json.dumps({**ACCOUNT, "vault": vault}), "utf-8")
    case = CASES["v2-one-byte"]
    words = ("decrypt", "--s3-key", case["s3_key"], str(VECTORS / case["file"]), str(tmp_path / "plain"))
    done = client.run(tmp_path, account, ACCOUNT["password"], *words)
    assert done.returncode == 1
    assert done.stderr == "panzoto: The account's Argon2id parameters are not ones this client accepts\n"


# A child begins as a copy of its parent, whose memory would be taken for its own; this parent is small.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_memory(command: list[str]) -> int:
    """Run a command and return the most bytes it held at once."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], capture_output=True, check=True)
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


def test_a_long_recording_takes_no_more_memory(client: Client, tmp_path: Path) -> None:
    size = 192 * 1024 * 1024
    long = tmp_path / "long"
    with long.open("wb") as sparse:
        sparse.truncate(size)
    password = tmp_path / "password"
    password.write_text(ACCOUNT["password"], "utf-8")
    encrypted, plain = tmp_path / "encrypted", tmp_path / "plain"
    manifest = tmp_path / "manifest"
    jobs = [
        Job("encrypt", "users/somebody/long", long, encrypted),
        Job("decrypt", "users/somebody/long", encrypted, plain),
    ]
    manifest.write_text("".join(job.line() + "\n" for job in jobs), "utf-8")
    options = ["--account", str(VECTORS / "vectors.json"), "--password-file", str(password)]
    peak = peak_memory([*client.command, "batch", *options, str(manifest)])
    assert encrypted.stat().st_size > plain.stat().st_size == size
    assert peak < size


# ---- With the live service ------------------------------------------------------------------------

LIVE_SIZES = (0, 1, FIRST_SEGMENT, 150001)


def played(service: Service, account: dict[str, Any], s3_key: str) -> tuple[str, bytes]:
    """Let the service open a recording: the format it found, and what `download_url` plays."""
    asked = {"password": PASSWORD, "s3_key": s3_key}
    answer = service.call("POST", "/api/decrypt-audio", account["token"], json=asked)
    assert answer.status_code == 200, answer.text
    heard = service.call("GET", answer.json()["download_url"])
    assert heard.status_code == 200, heard.text
    return answer.json()["file_info"]["format"], heard.content


def test_the_service_opens_what_an_example_wrote(
    client: Client, service: Service, account: dict[str, Any], tmp_path: Path
) -> None:
    jobs = []
    for size in LIVE_SIZES:
        source = tmp_path / f"plain-{size}"
        source.write_bytes(plain_of(size))
        jobs.append((Job("encrypt", own_key(account, str(size)), source, tmp_path / f"v2-{size}"), "v2"))
    jobs += [(Job("encrypt-single", name, source, tmp_path / name), name) for name in SINGLE_SHOT]
    client.batch(tmp_path, account_file(tmp_path, account), PASSWORD, [job for job, _ in jobs])
    for job, name in jobs:
        s3_key = job.second if name == "v2" else own_key(account, name)
        content = job.target.read_bytes()
        service.put_object(s3_key, content)
        recorded = {"s3_key": s3_key, "file_size": len(content)}
        assert service.call("POST", "/api/audio-file", account["token"], json=recorded).status_code == 201
        assert played(service, account, s3_key) == (name, job.source.read_bytes())


def test_an_example_opens_what_the_service_writes(
    client: Client, account: dict[str, Any], example: ModuleType, tmp_path: Path
) -> None:
    vault_key = example.open_vault(account, PASSWORD).key
    jobs = []
    for size in SIZES:
        s3_key = own_key(account, str(size))
        source = tmp_path / f"object-{size}"
        source.write_bytes(b"".join(segments.encrypt(vault_key, s3_key, [plain_of(size)])))
        jobs.append(Job("decrypt", s3_key, source, tmp_path / f"plain-{size}"))
    outcomes = client.batch(tmp_path, account_file(tmp_path, account), PASSWORD, jobs)
    assert outcomes == [Outcome(True, "v2")] * len(SIZES)
    assert [job.target.read_bytes() for job in jobs] == [plain_of(size) for size in SIZES]


JAVASCRIPT_TOUR = """
import {
  blobSource, collect, encryptRecording, RecordingReader,
} from "../../panzoto/console/library/recordings.js";
import { Service } from "../../panzoto/console/library/service.js";
import { sealTranscript } from "../../panzoto/console/library/transcripts.js";
import { hpke, Keys, newS3Key, putObject } from "./recorder.mjs";

const [server, bucket, email, password] = process.argv.slice(2);
let token = null;
const service = new Service(server, { token: async () => token });
const account = await service.register(email, password);
const again = await service.register(email, password);
token = again.token;
const keys = new Keys(account, password);
const plain = new Blob([new Uint8Array(150001).map((_, index) => index * 7)], { type: "audio/3gpp" });
const s3Key = newS3Key(account.user_id);
const encrypted = await collect(encryptRecording(await keys.vault(), s3Key, blobSource(plain)));
await putObject(bucket, s3Key, encrypted);
const recorded = await service.recordUpload(s3Key, encrypted.size, plain.type);
const repeated = await service.recordUpload(s3Key, encrypted.size, plain.type);
const { download_url: url } = await service.decryptAudio(password, { file_id: recorded.file_id });
const same = async (one, other) =>
  Buffer.compare(Buffer.from(await one.arrayBuffer()), Buffer.from(await other.arrayBuffer())) === 0;
const reader = await RecordingReader.open(await keys.vault(), s3Key, blobSource(encrypted));
const vault = await keys.vault();
const fileKey = await service.fileKey(vault, recorded.file_id);
const { download_url: byKey } = await service.decryptAudioByKey(fileKey, { file_id: recorded.file_id });
const words = new TextEncoder().encode('{"segments":[]}');
const sealed = await sealTranscript(hpke, vault, account.user_id, recorded.file_id, words);
const { revision } = await service.putTranscript(recorded.file_id, sealed);
await service.putTranscript(recorded.file_id, sealed, revision);
const late = await service.putTranscript(recorded.file_id, sealed, revision).catch((error) => error);
const kept = await service.getTranscript(recorded.file_id);
const wrong = await new Service(server).login(email, "not the password").catch((error) => error);
const taken = await service.register(email, "not the password").catch((error) => error);
console.log(JSON.stringify({
  registered_again: again.user_id === account.user_id,
  recorded_once: repeated.file_id === recorded.file_id,
  played: await same(await fetch(url), plain),
  part: await same(await fetch(url, { headers: { Range: "bytes=65479-65480" } }), plain.slice(65479, 65481)),
  decrypted: await same(await collect(reader.read()), plain),
  played_by_its_own_key: await same(await fetch(byKey), plain),
  kept: await same(new Blob([kept]), new Blob([sealed])),
  late: [late.status, late.code],
  wrong: [wrong.status, wrong.message],
  taken: [taken.status, taken.message],
}));
"""


def test_the_javascript_client_from_registering_to_playing(
    javascript_client: Client, service: Service
) -> None:
    node, cli = javascript_client.command
    tour = Path(cli).with_name("tour.mjs")
    tour.write_text(JAVASCRIPT_TOUR, "utf-8")
    words = [service.url, f"{service.aws_url}/{BUCKET}", "browser@example.com", PASSWORD]
    done = subprocess.run(
        [node, str(tour), *words], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "registered_again": True,
        "recorded_once": True,
        "played": True,
        "part": True,
        "decrypted": True,
        "played_by_its_own_key": True,
        "kept": True,
        "late": [409, "conflict"],
        "wrong": [401, "Invalid email or password"],
        "taken": [409, "User already exists"],
    }


GUIDE = ROOT / "docs" / "clients.md"
BEFORE_GUIDE = """
const [server, email, password] = process.argv.slice(2);
const sound = new Blob([new Uint8Array(150001).map((_, index) => index * 7)], { type: "audio/3gpp" });
"""
AFTER_GUIDE = """
console.log(JSON.stringify({
  heard: Buffer.compare(Buffer.from(await heard.arrayBuffer()), Buffer.from(await sound.arrayBuffer())) === 0,
  status: audio_file.status,
  words: new TextDecoder().decode(words),
  file_id,
}));
"""


def test_what_the_guide_shows_of_the_library_works(javascript_client: Client, service: Service) -> None:
    (shown,) = re.findall(r"```js\n(import .*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    account = service.register(f"{uuid.uuid4().hex}@example.com")
    script = shown.replace("./library/", "../../panzoto/console/library/")
    script = script.replace('"https://panzoto.example"', "server")
    node, cli = javascript_client.command
    program = Path(cli).with_name("guide.mjs")
    imports, _, body = script.partition("\n\nlet ")
    program.write_text(f"{imports}\n{BEFORE_GUIDE}\nlet {body}{AFTER_GUIDE}", "utf-8")
    words = [service.url, account["user"]["email"], PASSWORD]
    done = subprocess.run(
        [node, str(program), *words], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    written = {"version": 1, "file_id": told["file_id"], "segments": []}
    assert json.loads(told.pop("words")) == written
    assert told == {"heard": True, "status": "stored", "file_id": told["file_id"]}
    kept = service.call("GET", f"/api/audio-file/{told['file_id']}", account["token"]).json()["audio_file"]
    title = python_module().open_name(
        python_module().open_vault(account, PASSWORD), "title", told["file_id"], kept["title"]
    )
    assert title == "By the sea"


@contextmanager
def served_page(javascript_client: Client) -> Iterator[str]:
    """Run the example's own server on a free port; yields the address of its page."""
    node, cli = javascript_client.command
    command = [node, str(Path(cli).with_name("serve.mjs")), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_the_examples_page_is_served_and_nothing_else_is(javascript_client: Client) -> None:
    with served_page(javascript_client) as address:
        origin = address.removesuffix("/examples/javascript/browser.html")

        def status(path: str, host: str = "") -> int:
            headers = {"Host": host} if host else {}
            # A path as it is written, without anybody putting dots in order before it is sent.
            request = requests.Request("GET", origin, headers=headers).prepare()
            request.url = origin + path
            with requests.Session() as session:
                return session.send(request, timeout=30).status_code

        page = requests.get(address, timeout=30)
        assert page.status_code == 200
        for path in (
            "/examples/javascript/recorder.mjs",
            "/panzoto/console/library/service.js",
            "/examples/javascript/node_modules/hpke/index.js",
            "/examples/javascript/node_modules/hash-wasm/dist/index.esm.min.js",
        ):
            assert status(path) == 200, path
        for path in (
            "/",
            "/examples/javascript/",
            "/examples/javascript/package.json",
            "/examples/javascript/../../.env",
            "/examples/javascript/%2e%2e/%2e%2e/.env",
            "/examples/javascript/..%2f..%2fwsgi.py",
            "/panzoto/console/library/../release.py",
            "//examples/javascript/browser.html",
        ):
            assert status(path) == 404, path
        assert status("/examples/javascript/browser.html", host="elsewhere.example") == 404
