"""Transcripts, titles and notes in every language: all vectors, each with each, and with the service."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.example_clients import (
    ACCOUNT,
    LANGUAGES,
    VECTORS,
    Client,
    Job,
    Outcome,
    account_file,
    leftovers,
    own_key,
    plain_of,
)
from tests.support.service import PASSWORD, Service

WORDS: dict[str, Any] = json.loads((VECTORS / "transcripts.json").read_text("utf-8"))
TRANSCRIPTS = {case["name"]: case for case in WORDS["transcripts"]}
NAMES = WORDS["names"]
# What these seal opens, and is no document.
NO_DOCUMENTS = {"unknown-encoding", "not-json", "bad-deflate", "deflates-to-64-mib"}
FILE_ID = "0b9c8f3e-7a55-4a1b-8f6f-9d1c2b3a4e5f"


def account_of(user_id: str, public_key: str, example: ModuleType) -> dict[str, Any]:
    """The account of the vectors, or one with the same vault key and another user_id."""
    vault = {**ACCOUNT["vault"], "transcripts_public_key": public_key}
    if user_id != ACCOUNT["user_id"]:
        kek = example.derive_kek(ACCOUNT["password"], vault["kdf"])
        bound = b"panzoto/v2/vault" + user_id.encode()
        wrapped = bytes(12) + AESGCM(kek).encrypt(bytes(12), bytes.fromhex(WORDS["vault_key"]), bound)
        vault["wrapped_key"] = base64.b64encode(wrapped).decode()
    return {**ACCOUNT, "user_id": user_id, "vault": vault}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# ---- Vectors --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def opened(
    client: Client, example: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Outcome]]:
    """One client's folder of outputs and its outcomes for all transcripts."""
    folder = tmp_path_factory.mktemp("transcripts")
    outcomes: dict[str, Outcome] = {}
    for user_id in sorted({case["user_id"] for case in TRANSCRIPTS.values()}):
        account = account_file(folder, account_of(user_id, WORDS["transcripts_public_key"], example))
        jobs = {
            name: Job(
                "open-transcript",
                case["file_id"],
                written(folder, f"{name}.hpke", base64.b64decode(case["sealed"])),
                folder / name,
            )
            for name, case in TRANSCRIPTS.items()
            if case["user_id"] == user_id
        }
        told = client.batch(folder, account, ACCOUNT["password"], list(jobs.values()))
        outcomes |= dict(zip(jobs, told, strict=True))
    return folder, outcomes


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_opens_or_fails_as_it_should(opened: tuple[Path, dict[str, Outcome]], name: str) -> None:
    folder, outcomes = opened
    case = TRANSCRIPTS[name]
    if case["expect"] == "opens":
        assert outcomes[name] == Outcome(True, "transcript")
        document = (folder / name).read_bytes()
        assert hashlib.sha256(document).hexdigest() == case["document_sha256"]
    else:
        assert outcomes[name] == Outcome(False, "document" if name in NO_DOCUMENTS else "sealed")
        assert not (folder / name).exists()
    assert leftovers(folder) == []


def test_titles_and_notes(client: Client, tmp_path: Path) -> None:
    jobs = [
        Job(
            f"open-{case['what']}",
            case["file_id"],
            written(tmp_path, f"value-{number}", case["value"].encode()),
            tmp_path / f"text-{number}",
        )
        for number, case in enumerate(NAMES)
    ]
    strange = {
        "of-another-recording": ("open-title", str(uuid.UUID(int=1)), NAMES[0]["value"]),
        "a-title-as-a-note": ("open-note", FILE_ID, NAMES[0]["value"]),
        "of-an-app-of-before": ("open-title", FILE_ID, "c2VhbGVk"),
        "no-base64": ("open-title", FILE_ID, "no base64!"),
        "nothing": ("open-title", FILE_ID, ""),
    }
    jobs += [
        Job(verb, file_id, written(tmp_path, f"value-{name}", value.encode()), tmp_path / f"text-{name}")
        for name, (verb, file_id, value) in strange.items()
    ]
    outcomes = client.batch(tmp_path, VECTORS / "vectors.json", ACCOUNT["password"], jobs)
    assert outcomes[: len(NAMES)] == [Outcome(True, case["what"]) for case in NAMES]
    assert [job.target.read_bytes().decode() for job in jobs[: len(NAMES)]] == [
        case["text"] for case in NAMES
    ]
    assert outcomes[len(NAMES) :] == [Outcome(False, "name")] * len(strange)


# ---- Each with each -------------------------------------------------------------------------------

SHORT = b'{"version":1,"segments":[]}'
LONG = json.dumps(
    {"version": 1, "segments": [{"start_ms": i, "end_ms": i, "text": f"Grüße {i} 🌊"} for i in range(3000)]},
    ensure_ascii=False,
).encode()
DEEPEST = b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"
TOO_DEEP = b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"
TEXTS = ("", "Straße, 10 Uhr – überweisen!", "\ufeff🌊")


def test_each_opens_what_all_sealed(
    python_client: Client, javascript_client: Client, java_client: Client, tmp_path: Path
) -> None:
    clients = dict(zip(LANGUAGES, (python_client, javascript_client, java_client), strict=True))
    documents = {"short": SHORT, "long": LONG, "deepest": DEEPEST}
    account = VECTORS / "vectors.json"
    sealed: list[Job] = []
    for language, client in clients.items():
        jobs = [
            Job("seal-transcript", FILE_ID, written(tmp_path, name, text), tmp_path / f"{name}-{language}")
            for name, text in documents.items()
        ]
        for number, text in enumerate(TEXTS):
            source = written(tmp_path, f"text-{number}", text.encode())
            jobs += [
                Job(f"seal-{what}", FILE_ID, source, tmp_path / f"{what}-{number}-{language}")
                for what in ("title", "note")
            ]
        too_deep = Job("seal-transcript", FILE_ID, written(tmp_path, "deep", TOO_DEEP), tmp_path / "never")
        outcomes = client.batch(tmp_path, account, ACCOUNT["password"], [*jobs, too_deep])
        assert outcomes == [
            *(Outcome(True, job.verb.partition("-")[2]) for job in jobs),
            Outcome(False, "document"),
        ]
        sealed += jobs
    # Nothing is sealed twice alike, and what is long was deflated.
    assert len({job.target.read_bytes() for job in sealed}) == len(sealed)
    assert all((tmp_path / f"long-{language}").stat().st_size < len(LONG) / 2 for language in LANGUAGES)
    assert all((tmp_path / f"short-{language}").stat().st_size <= 49 + len(SHORT) for language in LANGUAGES)
    for language, client in clients.items():
        jobs = [
            Job(
                job.verb.replace("seal", "open"),
                FILE_ID,
                job.target,
                tmp_path / f"{job.target.name}-{language}",
            )
            for job in sealed
        ]
        outcomes = client.batch(tmp_path, account, ACCOUNT["password"], jobs)
        assert {outcome.opened for outcome in outcomes} == {True}
        for job, made in zip(jobs, sealed, strict=True):
            assert job.target.read_bytes() == made.source.read_bytes(), (language, made.target.name)


@pytest.mark.parametrize("public_key", [base64.b64encode(bytes(32)).decode(), "no base64"])
def test_a_public_key_that_is_not_the_vaults_stops_a_client(
    client: Client, example: ModuleType, tmp_path: Path, public_key: str
) -> None:
    account = account_file(tmp_path, account_of(ACCOUNT["user_id"], public_key, example))
    text = written(tmp_path, "text", b"a title")
    words = ("seal-title", "--file-id", FILE_ID, str(text), str(tmp_path / "value"))
    done = client.run(tmp_path, account, ACCOUNT["password"], *words)
    assert done.returncode == 1
    assert done.stderr == "panzoto: The account seals transcripts to a key that is not its vault's\n"
    assert not (tmp_path / "value").exists()


# ---- With the live service ------------------------------------------------------------------------


def recorded(service: Service, account: dict[str, Any], client: Client, folder: Path) -> tuple[str, Path]:
    """Let a client encrypt a recording, and store it; return its file_id and the object."""
    source, target = written(folder, "plain", plain_of(70_001)), folder / "object"
    s3_key = own_key(account, uuid.uuid4().hex)
    client.batch(folder, account_file(folder, account), PASSWORD, [Job("encrypt", s3_key, source, target)])
    service.put_object(s3_key, target.read_bytes())
    asked = {"s3_key": s3_key, "file_size": target.stat().st_size}
    answer = service.call("POST", "/api/audio-file", account["token"], json=asked)
    assert answer.status_code == 201, answer.text
    return answer.json()["audio_file"]["file_id"], target


def test_a_recordings_own_key_opens_it_at_the_service(
    client: Client, service: Service, account: dict[str, Any], tmp_path: Path
) -> None:
    file_id, recording = recorded(service, account, client, tmp_path)
    job = Job("file-key", "-", recording, tmp_path / "key")
    outcomes = client.batch(tmp_path, account_file(tmp_path, account), PASSWORD, [job])
    assert outcomes == [Outcome(True, "file-key")]
    asked = {"file_id": file_id, "file_key": job.target.read_text()}
    answer = service.call("POST", "/api/decrypt-audio", account["token"], json=asked)
    assert answer.status_code == 200, answer.text
    assert service.call("GET", answer.json()["download_url"]).content == plain_of(70_001)


@pytest.mark.parametrize("writer", LANGUAGES)
def test_what_one_seals_the_service_and_the_others_open(
    writer: str,
    request: pytest.FixtureRequest,
    service: Service,
    account: dict[str, Any],
    tmp_path: Path,
) -> None:
    clients: dict[str, Client] = {name: request.getfixturevalue(f"{name}_client") for name in LANGUAGES}
    token, me = account["token"], account_file(tmp_path, account)
    file_id, _ = recorded(service, account, clients[writer], tmp_path)
    jobs = [
        Job("seal-transcript", file_id, written(tmp_path, "words", LONG), tmp_path / "sealed"),
        Job("seal-title", file_id, written(tmp_path, "text", b"By the sea"), tmp_path / "value"),
    ]
    clients[writer].batch(tmp_path, me, PASSWORD, jobs)
    path = f"/api/audio-file/{file_id}"
    sealed = base64.b64encode(jobs[0].target.read_bytes()).decode()
    put = service.call("PUT", f"{path}/transcript", token, json={"sealed": sealed})
    assert put.status_code == 200, put.text
    named = service.call("PATCH", path, token, json={"title": jobs[1].target.read_text()})
    assert named.status_code == 200, named.text
    read = service.call("POST", f"{path}/transcript", token, json={"password": PASSWORD})
    assert (read.status_code, read.content) == (200, LONG)
    sealed = service.call("GET", f"{path}/transcript", token).json()["sealed"]
    title = service.call("GET", path, token).json()["audio_file"]["title"]
    for name, client in clients.items():
        jobs = [
            Job(
                "open-transcript",
                file_id,
                written(tmp_path, "got", base64.b64decode(sealed)),
                tmp_path / f"words-{name}",
            ),
            Job("open-title", file_id, written(tmp_path, "named", title.encode()), tmp_path / f"text-{name}"),
        ]
        assert client.batch(tmp_path, me, PASSWORD, jobs) == [
            Outcome(True, "transcript"),
            Outcome(True, "title"),
        ]
        assert [job.target.read_bytes() for job in jobs] == [LONG, b"By the sea"]
