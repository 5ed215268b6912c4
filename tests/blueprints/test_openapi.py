"""The OpenAPI document is valid and true of the running service, and its page needs no internet."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from panzoto import create_app
from panzoto.config import Settings
from tests.support.service import ROOT, Service

AT_ONCE = 8
METHODS = {"get", "put", "post", "delete", "patch"}
# The calls of the contract: what each answers, and whether it wants a token.
CONTRACT: dict[tuple[str, str], tuple[set[str], bool]] = {
    ("get", "/api/health"): ({"200"}, False),
    ("post", "/api/register"): ({"201", "400", "409", "413", "415", "429", "500", "503"}, False),
    ("post", "/api/login"): ({"200", "400", "401", "413", "415", "429", "500", "503"}, False),
    ("get", "/api/user/audio-files"): ({"200", "400", "401", "500", "503"}, True),
    ("post", "/api/audio-file"): ({"201", "400", "401", "403", "409", "413", "415", "500", "503"}, True),
    ("post", "/api/decrypt-audio"): ({"200", "400", "401", "404", "413", "415", "422", "500", "503"}, True),
    ("get", "/api/playback/{ticket}"): ({"200", "206", "404", "409", "410", "416", "422", "503"}, False),
    ("post", "/api/transcriptions"): (
        {"200", "202", "400", "401", "404", "409", "413", "415", "422", "429", "503"},
        True,
    ),
    ("get", "/api/transcriptions/{transcription_id}"): ({"200", "401", "404"}, True),
    ("delete", "/api/transcriptions/{transcription_id}"): ({"204", "401", "404", "409"}, True),
    ("get", "/api/user/transcriptions"): ({"200", "400", "401"}, True),
    ("get", "/api/audio-file/{file_id}/transcript"): ({"200", "401", "404"}, True),
    ("put", "/api/audio-file/{file_id}/transcript"): (
        {"200", "400", "401", "404", "409", "413", "415", "422"},
        True,
    ),
    ("delete", "/api/audio-file/{file_id}/transcript"): ({"204", "401", "404"}, True),
    ("post", "/api/audio-file/{file_id}/transcript"): ({"200", "400", "401", "404", "422", "429"}, True),
    ("get", "/api/user/transcripts"): ({"200", "400", "401"}, True),
    ("post", "/api/transcripts/unlock"): ({"200", "400", "401", "409", "422", "429"}, True),
    ("post", "/api/search"): ({"200", "400", "401", "429"}, True),
}
# The calls that open a recording or a transcript, or look at what a phone stored: what does not open is 422.
OPENING = {
    "/api/audio-file",
    "/api/decrypt-audio",
    "/api/playback/{ticket}",
    "/api/transcriptions",
    "/api/transcripts/unlock",
}
# What the tool tries to find: a status, type, header or body that the document does not tell of, a bad
# request that is accepted, and a guard that is not there.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    answer = service.call("GET", "/api/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield method, path, item[method]


def response(document: dict[str, Any], operation: dict[str, Any], status: str) -> dict[str, Any]:
    """An answer of an operation, also when the document keeps it elsewhere."""
    answer: dict[str, Any] = operation["responses"][status]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return answer


def test_who_asks_first_and_at_once_is_told_the_same(service: Service, document: dict[str, Any]) -> None:
    """It is put together when it is first asked for."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        # The application takes the process's log over, for as long as this test runs.
        patch.setattr(logging.getLogger(), "handlers", [])
        app = create_app(Settings.from_environment())
    together = threading.Barrier(AT_ONCE)

    def told(_: int) -> Any:
        together.wait()
        return app.test_client().get("/api/openapi.json").get_json()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert list(threads.map(told, range(AT_ONCE))) == [document] * AT_ONCE


class TestDocument:
    def test_it_is_valid_openapi_3_1(self, document: dict[str, Any]) -> None:
        assert document["openapi"].startswith("3.1.")
        assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []

    @pytest.mark.parametrize(("method", "path"), CONTRACT)
    def test_every_call_of_the_contract_and_its_answers_are_in_it(
        self, document: dict[str, Any], method: str, path: str
    ) -> None:
        answers, guarded = CONTRACT[method, path]
        operation = document["paths"][path][method]
        assert answers - set(operation["responses"]) == set()
        assert bool(operation.get("security", document.get("security"))) is guarded

    def test_every_error_has_the_one_shape(self, document: dict[str, Any]) -> None:
        shape = document["components"]["schemas"]["Error"]
        assert set(shape["required"]) == {"error", "code", "request_id"}
        extra = {"fields", "file_id", "usage", "missing_parts", "transcription_id"}
        assert set(shape["properties"]) == {"error", "code", "request_id", *extra}
        for method, path, operation in operations(document):
            for status in operation["responses"]:
                if status.isdigit() and int(status) >= 400:
                    answer = response(document, operation, status)
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/Error"), (method, path, status)

    @pytest.mark.parametrize(("method", "path"), CONTRACT)
    def test_no_answer_is_promised_that_never_comes(
        self, document: dict[str, Any], method: str, path: str
    ) -> None:
        """422 is what becomes of a recording that does not open or match, and not of a request."""
        promised = "422" in document["paths"][path][method]["responses"]
        sealed = path == "/api/audio-file/{file_id}/transcript" and method in ("put", "post")
        assert promised is (path in OPENING or sealed)

    def test_every_busy_answer_tells_of_retry_after(self, document: dict[str, Any]) -> None:
        for method, path, operation in operations(document):
            for status in {"429", "503"} & set(operation["responses"]):
                assert "Retry-After" in response(document, operation, status)["headers"], (method, path)

    def test_every_operation_says_what_it_is_for(self, document: dict[str, Any]) -> None:
        for method, path, operation in operations(document):
            successes = [status for status in operation["responses"] if status.startswith("2")]
            assert successes, (method, path)
            assert all(operation["responses"][status]["description"] for status in successes), (method, path)

    def test_every_operation_is_named_and_said_in_one_sentence(self, document: dict[str, Any]) -> None:
        named = [operation["operationId"] for _, _, operation in operations(document)]
        assert len(set(named)) == len(named)
        for method, path, operation in operations(document):
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", operation["operationId"])
            assert re.fullmatch(r"[A-Z][^.]+\.", operation["summary"]), (method, path)

    def test_groups_are_declared_and_named_for_readers(self, document: dict[str, Any]) -> None:
        declared = [tag["name"] for tag in document["tags"]]
        used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
        assert used == set(declared)
        assert all(re.fullmatch(r"[A-Z][a-z ]+", name) for name in declared)
        assert all(tag["description"].endswith(".") for tag in document["tags"][:-1])

    def test_paths_and_server_belong_together(self, document: dict[str, Any]) -> None:
        assert all(path.startswith("/api/") for path in document["paths"])
        assert [server["url"] for server in document["servers"]] == ["/"]

    def test_an_open_call_says_that_it_is_open(self, service: Service, document: dict[str, Any]) -> None:
        opened = {path for _, path, operation in operations(document) if operation["security"] == []}
        assert opened >= {"/api/health", "/api/register", "/api/login", "/api/playback/{ticket}"}
        for method, path, operation in operations(document):
            if operation["security"]:
                answer = service.call(method.upper(), path.replace("{", "").replace("}", ""))
                assert answer.json()["code"] == "token_missing", (method, path)

    def test_every_answer_with_a_body_has_a_type_a_schema_and_an_example(
        self, document: dict[str, Any]
    ) -> None:
        for method, path, operation in operations(document):
            for status in operation["responses"]:
                answer = response(document, operation, status)
                assert ("content" in answer) is (status != "204"), (method, path, status)
                for kind, content in answer.get("content", {}).items():
                    assert content["schema"], (method, path, status)
                    assert kind != "application/json" or content["examples"], (method, path, status)
        binary = {
            (path, kind)
            for _, path, operation in operations(document)
            for status in operation["responses"]
            for kind in response(document, operation, status).get("content", {})
            if kind != "application/json"
        }
        assert binary == {
            ("/api/user/export", "application/zip"),
            ("/api/playback/{ticket}", "audio/*"),
            ("/api/playback/{ticket}", "application/octet-stream"),
            ("/api/audio-file/{file_id}/transcript", "text/plain"),
            ("/api/audio-file/{file_id}/transcript", "text/vtt"),
            ("/api/audio-file/{file_id}/transcript", "application/x-subrip"),
        }

    def test_every_example_is_what_its_schema_says(self, document: dict[str, Any]) -> None:
        checked = 0
        for method, path, operation in operations(document):
            contents = [operation.get("requestBody", {}).get("content", {})]
            contents += [
                response(document, operation, status).get("content", {}) for status in operation["responses"]
            ]
            for content in (one for types in contents for one in types.values()):
                schema = {**content["schema"], "components": document["components"]}
                for example in content.get("examples", {}).values():
                    wrong = list(OAS31Validator(schema).iter_errors(example["value"]))
                    assert wrong == [], (method, path, wrong)
                    checked += 1
        assert checked > 400

    def test_every_body_and_parameter_has_an_example(self, document: dict[str, Any]) -> None:
        for method, path, operation in operations(document):
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert content["examples"], (method, path)
            for parameter in operation.get("parameters", ()):
                assert parameter["schema"]["examples"], (method, path, parameter["name"])
                assert parameter["description"], (method, path, parameter["name"])

    def test_answers_and_requests_leave_room_for_what_is_added_later(self, document: dict[str, Any]) -> None:
        for name, schema in document["components"]["schemas"].items():
            assert schema.get("additionalProperties") is not False, name

    def test_what_takes_one_of_several_values_lists_them(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]

        def values(schema: str, name: str) -> set[str]:
            described = schemas[schema]["properties"][name]
            return set(described.get("enum") or described["anyOf"][0]["enum"])

        written = "".join(path.read_text() for path in (ROOT / "panzoto").rglob("*.py"))
        types = set(re.findall(r'Event\.(?:of|by)\(\s*[\w.]+,\s*"([a-z_]+)"', written))
        assert len(types) > 8
        assert values("Event", "type") >= types
        assert values("AudioFile", "status") == {"pending", "stored", "unknown"}
        assert len(values("AudioFile", "format")) == 5
        assert values("Change", "type") == {"upsert", "delete"}
        assert values("Upload", "type") == {"single", "multipart"}
        codes = values("Error", "code")
        for _, _, operation in operations(document):
            for status in operation["responses"]:
                if int(status) >= 400:
                    examples = response(document, operation, status)["content"]["application/json"][
                        "examples"
                    ]
                    assert {one["value"]["code"] for one in examples.values()} <= codes

    def test_every_code_is_told_where_a_client_meets_it(self, document: dict[str, Any]) -> None:
        told = {
            code
            for _, _, operation in operations(document)
            for status in operation["responses"]
            if int(status) >= 400
            for code in response(document, operation, status)["content"]["application/json"]["examples"]
        }
        every = set(document["components"]["schemas"]["Error"]["properties"]["code"]["anyOf"][0]["enum"])
        # These come before an address has been understood, so they belong to no call.
        assert every - told == {"not_found", "request_timeout", "uri_too_long", "headers_too_large"}

    def test_the_guide_lists_the_same_values(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        guide = (ROOT / "docs" / "clients.md").read_text("utf-8").partition("\n## 12 ")[2]
        for schema, name in (
            ("Error", "code"),
            ("Event", "type"),
            ("AudioFile", "format"),
            ("Upload", "type"),
        ):
            described = schemas[schema]["properties"][name]
            values = described.get("enum") or described["anyOf"][0]["enum"]
            assert [value for value in values if f"`{value}`" not in guide] == [], (schema, name)

    def test_the_guide_names_every_call(self, document: dict[str, Any]) -> None:
        guide = (ROOT / "docs" / "clients.md").read_text("utf-8")
        # The one is for whoever runs the service; nobody puts the other's address together.
        elsewhere = {"GET /api/health/ready", "GET /api/playback/{ticket}"}
        calls = {
            f"{method.upper()} {path}"
            for path, methods in document["paths"].items()
            for method in methods
            if method in ("get", "post", "put", "patch", "delete")
        }
        assert {call for call in calls if call not in guide} == elsewhere

    def test_a_password_that_is_set_tells_its_length(self, document: dict[str, Any]) -> None:
        schemas = document["components"]["schemas"]
        described = [schema.get("properties", {}) for schema in schemas.values()]
        told = [names["new_password"] for names in described if "new_password" in names]
        told.append(schemas["Registration"]["properties"]["password"])
        assert len(told) > 4
        assert {(one["minLength"], one["maxLength"]) for one in told} == {(8, 256)}

    def test_the_token_is_described(self, document: dict[str, Any]) -> None:
        schemes = document["components"]["securitySchemes"]
        assert [scheme["scheme"] for scheme in schemes.values()] == ["bearer"]

    def test_what_every_address_answers_is_in_it(self, document: dict[str, Any]) -> None:
        """Only the document and its page are not part of what they describe."""
        for method, path, _ in operations(document):
            assert not path.startswith("/api/docs"), (method, path)


class TestAgainstTheService:
    @pytest.mark.parametrize("phase", ["coverage", "fuzzing"])
    def test_no_answer_is_undocumented(
        self, service: Service, document: dict[str, Any], tmp_path: Path, phase: str
    ) -> None:
        """Some requests to every call, and every kind that the tool knows to those of the contract."""
        described: dict[str, Any] = json.loads(json.dumps(document))
        if phase == "coverage":
            described["paths"] = {path: described["paths"][path] for _, path in CONTRACT}
        for _, _, operation in operations(described):
            # It would document every status there is.
            operation["responses"].pop("default", None)
        description = tmp_path / "openapi.json"
        description.write_text(json.dumps(described))
        account = service.register(f"{uuid.uuid4().hex}@example.com")
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(description)),
                *("--url", service.url, "--header", f"Authorization: Bearer {account['token']}"),
                *("--checks", ",".join(CHECKS), "--phases", phase, "--max-examples", "4"),
                *("--seed", "20260401", "--generation-database", "none", "--no-shrink"),
                *("--request-timeout", "60", "--suppress-health-check", "all"),
                *("--continue-on-failure", "--warnings", "off", "--no-color"),
            ],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "110"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-12_000:] + run.stderr[-2000:]
        tested = re.search(r"Tested: +([0-9]+)", run.stdout)
        assert tested is not None
        assert int(tested[1]) == len(list(operations(described)))


class TestPage:
    def test_it_names_nothing_outside_of_this_service(self, service: Service) -> None:
        page = service.call("GET", "/api/docs")
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert not re.search(r"https?:|//", page.text.replace("<!doctype html>", ""))
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline", policy)

    def test_all_it_needs_is_here(self, service: Service) -> None:
        page = service.call("GET", "/api/docs").text
        needed = re.findall(r'(?:href|src|data-description)="([^"]+)"', page)
        assert len(needed) >= 3
        types = {address: self._type_of(service, address) for address in needed}
        assert {"text/css", "text/javascript", "application/json"} <= set(types.values())

    def test_the_scripts_load_nothing_from_elsewhere(self, service: Service) -> None:
        page = service.call("GET", "/api/docs").text
        own = [address for address in re.findall(r'src="([^"]+)"', page) if "/files/" not in address]
        for address in own:
            script = service.call("GET", address).text
            assert "http" not in script
            # Swagger UI would ask its maker's server to validate the document.
            assert "validatorUrl: null" in script

    @staticmethod
    def _type_of(service: Service, address: str) -> str:
        assert address.startswith("/api/")
        answer = requests.get(service.url + address, timeout=30)
        assert answer.status_code == 200, address
        assert answer.content
        return answer.headers["Content-Type"].partition(";")[0]
