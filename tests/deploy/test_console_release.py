"""The hash over the console's files: in the changelog, from a command, and compared with what is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

import pytest
import requests

from deploy.packages.changelog import CHANGELOG, hash_in, with_hash
from panzoto.console.release import LIBRARIES, release
from panzoto.version import VERSION
from tests.support.aws import free_port
from tests.support.commands import done
from tests.support.crowd_server import CrowdServer
from tests.support.service import Service

pytestmark = pytest.mark.usefixtures("console_libraries")


class TestChangelog:
    def test_it_names_the_console_that_is_here(self) -> None:
        told = hash_in(CHANGELOG.read_text("utf-8"), VERSION)
        assert told == release().digest, "`make changelog` writes the hash of the console as it is now"

    def test_the_hash_of_one_version_is_written_once_and_others_stay(self) -> None:
        text = "# Changelog\n\n## 2.0.0\n\n### New\n- It.\n\n## 1.0.0\n\nThe first.\n"
        first = with_hash(text, "2.0.0", "a" * 32)
        assert (hash_in(first, "2.0.0"), hash_in(first, "1.0.0")) == ("a" * 32, None)
        second = with_hash(with_hash(first, "1.0.0", "c" * 32), "2.0.0", "b" * 32)
        assert (hash_in(second, "2.0.0"), hash_in(second, "1.0.0")) == ("b" * 32, "c" * 32)
        without = re.sub(r"The console of this release is .*\n\n", "", second)
        assert without == text


class Altering(BaseHTTPRequestHandler):
    """Hands out what a service serves, but for one file."""

    upstream = ""
    altered = ""

    def do_GET(self) -> None:
        got = requests.get(self.upstream + self.path, timeout=30)
        # Another one by one comment, or none at all.
        missing = self.path == self.altered == "/console-worker.js"
        content = got.content + (b"// more\n" if self.path == self.altered else b"")
        self.send_response(404 if missing else got.status_code)
        self.send_header("Content-Type", got.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def altering(service: Service, path: str) -> Iterator[str]:
    handler = type("Handler", (Altering,), {"upstream": service.url, "altered": path})
    with CrowdServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestCommands:
    def test_the_hash_is_told_with_every_file_that_is_served(self, service: Service) -> None:
        assert done(service, "web", "console", "release").split() == [release().digest]
        lines = done(service, "web", "console", "release", "--files").splitlines()
        assert lines[0] == release().digest
        told = dict(reversed(line.split("  ")) for line in lines[1:])
        assert told.keys() == release().files.keys()
        assert told.keys() >= {"index.html", "main.js", "worker.js", *LIBRARIES}
        # What they are is another hash's matter: this one is over all of them.
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in told.values())

    def test_a_service_that_serves_it_is_told_so(self, service: Service) -> None:
        printed = done(service, "web", "console", "compare", f"{service.url}/")
        assert f"serves release {release().digest}, {len(release().files) + 2} files" in printed

    @pytest.mark.parametrize("name", ["main.js", "index.html", LIBRARIES[1]])
    def test_one_that_serves_another_file_is_found_out(self, service: Service, name: str) -> None:
        path = f"/console/{release().digest}/{name}"
        with altering(service, path) as address:
            printed = done(service, "web", "console", "compare", address, status=1)
        assert printed.splitlines()[0] == f"{path}: is another one"
        assert f"{address} does not serve release {release().digest}" in printed

    def test_a_worker_that_is_missing_and_a_page_that_is_another_are_found_out(
        self, service: Service
    ) -> None:
        for path, said in (("/console-worker.js", "is not there"), ("/", "is another one")):
            with altering(service, path) as address:
                printed = done(service, "web", "console", "compare", address, status=1)
            assert printed.splitlines()[0] == f"{path}: {said}"

    @pytest.mark.parametrize("address", ["voice.example.com", "file:///etc/passwd"])
    def test_what_is_no_address_of_a_service_is_refused(self, service: Service, address: str) -> None:
        assert "begins with https:// or http://" in done(
            service, "web", "console", "compare", address, status=1
        )

    def test_a_service_that_is_not_there_is_told(self, service: Service) -> None:
        address = f"http://127.0.0.1:{free_port()}"
        printed = done(service, "web", "console", "compare", address, status=1)
        assert printed == f"Error: {address} does not answer: Connection refused\n"
