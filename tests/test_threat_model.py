"""What the threat model says somebody does not get is shown by a test; what no other test shows is here."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jwt
import pytest
import requests

from panzoto.auth.tokens import Tokens
from tests.conftest import UNLIMITED
from tests.support.aws import free_port
from tests.support.recordings import decrypt, single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, ROOT, Service, run_service
from tests.support.source import tree_of
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "threat-model.md"
DENIED = re.compile(r"^\| (?:does not get|kept out of) \| (?P<said>.*) \|$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z`])")
NAMED = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)`")
PLAIN = b"#!AMR\nwhat somebody said in private" * 99


def sentences() -> Iterator[str]:
    """Yield each sentence of what somebody does not get."""
    for row in DENIED.finditer(PAGE.read_text("utf-8")):
        yield from SENTENCE_END.split(row["said"])


@cache
def names_in(file: str) -> set[str]:
    """The names of the tests, and of their classes, in a file."""
    tree = tree_of(ROOT / file)
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return {node.name for node in found if node.name.lower().startswith("test")}


class TestThePage:
    def test_there_is_a_row_for_everybody_who_attacks(self) -> None:
        assert len(DENIED.findall(PAGE.read_text("utf-8"))) >= 15

    @pytest.mark.parametrize("sentence", [*sentences()], ids=lambda said: said.partition(" (`")[0][:50])
    def test_each_sentence_names_tests_that_there_are(self, sentence: str) -> None:
        named = list(NAMED.finditer(sentence))
        assert named, f"no test shows this: {sentence}"
        for one in named:
            assert (ROOT / one["file"]).is_file(), one[0]
            assert one["name"] in names_in(one["file"]), one[0]


def test_the_bucket_holds_neither_sound_nor_what_could_be_guessed_against(
    service: Service, account: dict[str, Any]
) -> None:
    """Also where the service itself has written, which an upgrade makes it do."""
    s3_key = f"users/{account['user_id']}/audio-1.3gp"
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], PLAIN))
    upgraded = service.call(
        "POST", f"/api/audio-file/{file_id}/upgrade", account["token"], json={"password": PASSWORD}
    )
    assert upgraded.status_code == 200, upgraded.text
    objects = service.s3().list_object_versions(Bucket=BUCKET, Prefix=f"users/{account['user_id']}/")
    vault = json.dumps(account["vault"])
    secrets = [account["key_salt"], *re.findall(r'"([A-Za-z0-9+/=_-]{16,})"', vault)]
    assert len(secrets) > 2
    for version in objects["Versions"]:
        key = {"Bucket": BUCKET, "Key": version["Key"], "VersionId": version["VersionId"]}
        answer = service.s3().get_object(**key)
        content = answer["Body"].read()
        assert len(content) > len(PLAIN)
        assert PLAIN[:30] not in content
        told = content + json.dumps([answer["Metadata"], version["Key"]]).encode()
        for secret in secrets:
            assert secret.encode() not in told
        assert bytes.fromhex(account["key_salt"]) not in told


def test_an_object_that_was_moved_does_not_open(service: Service, account: dict[str, Any]) -> None:
    keys = [f"users/{account['user_id']}/audio-{number}.v2" for number in (1, 2)]
    first, second = (version_2(account, PASSWORD, key, os.urandom(300)) for key in keys)
    file_ids = [store(service, account, key, first) for key in keys]
    answers = [decrypt(service, account["token"], file_id, PASSWORD) for file_id in file_ids]
    assert [answer.status_code for answer in answers] == [200, 422]
    service.put_object(keys[1], second)
    assert decrypt(service, account["token"], file_ids[1], PASSWORD).status_code == 200


def test_the_secret_key_makes_tokens_and_opens_nothing(service: Service, account: dict[str, Any]) -> None:
    s3_key = f"users/{account['user_id']}/audio-1.v2"
    file_id = store(service, account, s3_key, version_2(account, PASSWORD, s3_key, PLAIN))
    session = jwt.decode(account["token"], options={"verify_signature": False})["sid"]
    forged, _ = Tokens(service.secret_key(), (), 900).mint(account["user_id"], session)
    assert service.call("GET", "/api/user", forged).status_code == 200
    assert decrypt(service, forged, file_id, service.secret_key()).status_code == 401
    # Keys owe nothing to it: with another one, the same password opens the same recording.
    with run_service(service.aws_url, SECRET_KEY=os.urandom(32).hex(), **UNLIMITED) as other:
        assert other.call("GET", "/api/user", account["token"]).status_code == 401
        person = {"email": account["user"]["email"], "password": PASSWORD}
        again = other.call("POST", "/api/login", json=person).json()
        opened = decrypt(other, again["token"], file_id, PASSWORD)
        assert requests.get(opened.json()["download_url"], timeout=60).content == PLAIN


def test_metrics_know_routes_and_no_paths(moto: str) -> None:
    port = free_port()

    def told() -> str:
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text

    with run_service(moto, METRICS_PORT=str(port), **UNLIMITED) as service:
        service.call("GET", "/api/playback/a-ticket-that-nobody-may-read")
        service.call("GET", "/a-path-that-nobody-serves")
        # Requests are counted when their answer has been sent, perhaps a moment after it has come.
        eventually(lambda: 'status="404"' in told() and 'route="/api/playback/<ticket>"' in told(), told)
        assert "nobody" not in told()
