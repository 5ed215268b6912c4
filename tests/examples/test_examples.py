"""The example clients: right on every vector, with each other, and with the live service.

Each client is started as its user would start it. Starting a JVM and deriving keys are slow, so
every start gets a whole manifest of jobs (docs/clients.md, section 10).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from panzoto.crypto import segments
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Cut, Fault, LoseReply, Refuse
from tests.support.service import BUCKET, PASSWORD, Service

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
VECTORS = ROOT / "tests" / "vectors"
GUIDE = ROOT / "docs" / "clients.md"
BCPROV = Path(os.environ.get("BCPROV_JAR", "/usr/share/java/bcprov.jar"))
LANGUAGES = ("python", "javascript", "java")

FIRST_SEGMENT = 65480
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
OPENED_BY = {"single-iv16-counter-wraps": "single-iv16-raw-salt"}


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


# ---- The clients, made ready once -----------------------------------------------------------------


def need(program: str, package: str) -> str:
    """Return the path of `program`; a client that cannot be started is a failure, not a skip."""
    path = shutil.which(program)
    if path is None:
        pytest.fail(
            f"{program} is missing: the example clients cannot be tested without it; install {package}"
        )
    return path


def build(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[:2])} failed in the example clients:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def python_client() -> Client:
    return Client((sys.executable, str(EXAMPLES / "python" / "panzoto_client.py")))


@pytest.fixture(scope="session")
def javascript_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    node, npm = need("node", "nodejs, 18 or newer"), need("npm", "npm, which comes with Node or as npm")
    copy = tmp_path_factory.mktemp("client") / "javascript"
    shutil.copytree(EXAMPLES / "javascript", copy, ignore=shutil.ignore_patterns("node_modules"))
    build([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], copy)
    return Client((node, str(copy / "cli.mjs")))


@pytest.fixture(scope="session")
def java_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    java, javac = need("java", "default-jdk-headless"), need("javac", "default-jdk-headless")
    if not BCPROV.exists():
        pytest.fail(f"{BCPROV} is missing: install libbcprov-java, or name another bcprov.jar in BCPROV_JAR")
    # The archive's manifest names neighbours that Debian does not install with it: no warning of ours.
    lint = ["-Xlint:all,-path", "-Werror"]
    classes = tmp_path_factory.mktemp("client") / "classes"
    build([javac, *lint, "-cp", str(BCPROV), "-d", str(classes), "Panzoto.java"], EXAMPLES / "java")
    # A small heap proves that long recordings are not held; Argon2id takes 64 MiB of it.
    return Client((java, "-Xmx112m", "-cp", f"{classes}{os.pathsep}{BCPROV}", "Panzoto"))


@pytest.fixture(scope="session", params=LANGUAGES)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn; one that cannot be made ready leaves the others to be tested."""
    ready: Client = request.getfixturevalue(f"{request.param}_client")
    return ready


@pytest.fixture(scope="session")
def example() -> ModuleType:
    """The Python client as a module, for the values that no command line shows."""
    path = EXAMPLES / "python" / "panzoto_client.py"
    spec = importlib.util.spec_from_file_location("panzoto_client", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def plain_of(size: int) -> bytes:
    """Bytes that differ at every place, and differently for each size."""
    return hashlib.shake_256(f"recording of {size} bytes".encode()).digest(size)


def leftovers(folder: Path) -> list[str]:
    """Names that a client left behind although it promised whole files or none."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


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

NewAccount = Callable[..., dict[str, Any]]
LIVE_SIZES = (0, 1, FIRST_SEGMENT, 150001)


def account_file(folder: Path, account: dict[str, Any]) -> Path:
    path = folder / "account.json"
    path.write_text(json.dumps(account), "utf-8")
    return path


def own_key(account: dict[str, Any], name: str) -> str:
    return f"users/{account['user_id']}/audio-{name}.3gp"


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


@dataclass(frozen=True)
class Shell:
    """The Python client's command line, as a person would type it."""

    client: Client
    folder: Path
    server: str
    bucket: str

    def say(self, verb: str, *words: str) -> list[dict[str, Any]]:
        account = self.folder / "me.json"
        done = self.client.run(self.folder, account, PASSWORD, verb, "--server", self.server, *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def upload(self, source: Path, *words: str) -> dict[str, Any]:
        (audio_file,) = self.say("upload", "--s3-url", self.bucket, *words, str(source))
        return audio_file

    def play(self, *words: str) -> bytes:
        heard = self.folder / "heard"
        self.say("play", *words, str(heard))
        return heard.read_bytes()


def test_the_python_client_from_registering_to_playing(
    python_client: Client, service: Service, tmp_path: Path
) -> None:
    shell = Shell(python_client, tmp_path, service.url, f"{service.aws_url}/{BUCKET}")
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
    shell.say("login", "--email", "walker@example.com")
    listed = shell.say("list")
    assert [audio_file["file_id"] for audio_file in listed] == [old["file_id"], new["file_id"]]
    assert [audio_file["format"] for audio_file in listed] == ["single-iv12-raw-salt", "v2"]
    sizes = [audio_file["file_size"] for audio_file in listed]
    assert sizes == [len(plain) + 28, 168 + len(plain) + 3 * 16]


JAVASCRIPT_TOUR = """
import { blobSource, collect, encryptRecording, Keys, newS3Key, putObject, RecordingReader, Service }
  from "./panzoto.mjs";

const [server, bucket, email, password] = process.argv.slice(2);
const service = new Service(server);
const account = await service.register(email, password);
const again = await service.register(email, password);
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
const wrong = await new Service(server).login(email, "not the password").catch((error) => error);
const taken = await service.register(email, "not the password").catch((error) => error);
console.log(JSON.stringify({
  registered_again: again.user_id === account.user_id,
  recorded_once: repeated.file_id === recorded.file_id,
  played: await same(await fetch(url), plain),
  part: await same(await fetch(url, { headers: { Range: "bytes=65479-65480" } }), plain.slice(65479, 65481)),
  decrypted: await same(await collect(reader.read()), plain),
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
        "wrong": [401, "Invalid email or password"],
        "taken": [409, "User already exists"],
    }


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
