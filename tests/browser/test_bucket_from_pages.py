"""Pages reach the bucket beside them wherever they were opened, as uploads and the service worker need it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from deploy.local.listening import address_in_network
from tests.conftest import UNLIMITED
from tests.support.recordings import version_2
from tests.support.service import PASSWORD, Service, run_service
from tests.support.stand_in import RunningStandIn

SOUND = b"#!AMR\n" + bytes(range(256)) * 8
# A page's own fetches: they are bound to its policy and to the bucket's rules.
PUT_TWICE = """async ({ url, headers, content }) => {
    const put = () => fetch(url, { method: "PUT", headers, body: new Uint8Array(content) });
    return [await put(), await put()].map(({ status, headers }) => [status, headers.has("ETag")]);
}"""
READ = """async (url) => {
    const whole = await fetch(url);
    const etag = whole.headers.get("ETag");
    const part = await fetch(url, { headers: { Range: "bytes=256-511", "If-Match": etag } });
    const replaced = await fetch(url, { headers: { Range: "bytes=0-1", "If-Match": '"0123"' } });
    const names = ["Content-Range", "Content-Length", "Accept-Ranges", "ETag"];
    return {
        statuses: [whole, part, replaced].map(({ status }) => status),
        told: names.map((name) => part.headers.get(name)),
        etag,
        part: [...new Uint8Array(await part.arrayBuffer())],
    };
}"""


@pytest.fixture(scope="module")
def anywhere(stand_in: RunningStandIn, console_libraries: None) -> Iterator[Service]:
    """A service as `make run` starts it: nobody has said by which address it is opened."""
    with run_service(stand_in.url, **stand_in.variables, **UNLIMITED) as running:
        yield running


def by(host: str, service: Service) -> str:
    return f"http://{host}:{service.url.rpartition(':')[2]}"


@pytest.mark.parametrize("name", ["chromium", "firefox"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", address_in_network() or "127.0.0.2"])
def test_a_page_uploads_and_reads_a_part_of_this_very_object(
    host: str, name: str, request: pytest.FixtureRequest, new_page: Callable[..., Page], anywhere: Service
) -> None:
    account = anywhere.register(f"{name}-at-{host}@example.com")
    token, base = account["token"], by(host, anywhere)
    size = len(version_2(account, PASSWORD, "any", SOUND))
    wanted = {"file_size": size, "content_type": "audio/amr"}
    announced = anywhere.call("POST", f"{base}/api/uploads", token, json=wanted).json()
    upload = announced["upload"]
    assert upload["url"].startswith(f"http://{host}:")
    encrypted = version_2(account, PASSWORD, announced["s3_key"], SOUND)
    # A browser sets the length of a body itself, and lets no page do it.
    headers = {key: value for key, value in upload["headers"].items() if key.lower() != "content-length"}
    page = new_page(request.getfixturevalue(name))
    page.goto(f"{base}/")
    sent: Any = {"url": upload["url"], "headers": headers, "content": list(encrypted)}
    # The second one finds that it has arrived.
    assert page.evaluate(PUT_TWICE, sent) == [[200, True], [412, False]]
    file_id = announced["file_id"]
    assert anywhere.call("POST", f"{base}/api/uploads/{file_id}/complete", token, json={}).ok
    download = anywhere.call("GET", f"{base}/api/audio-file/{file_id}/download", token).json()
    read = page.evaluate(READ, download["url"])
    assert read["statuses"] == [200, 206, 412]
    assert read["etag"] == download["etag"]
    assert read["told"] == [f"bytes 256-511/{size}", "256", "bytes", download["etag"]]
    assert bytes(read["part"]) == encrypted[256:512]
