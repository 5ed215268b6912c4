"""The JavaScript example's page, from registering to hearing what was uploaded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.clients.conftest import javascript_example
from tests.suites import need
from tests.support.example_clients import ROOT
from tests.support.service import BUCKET, PASSWORD, run_service

SOUND = ROOT / "examples" / "spoken.flac"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The page, served as the guide says."""
    command = [need("node"), str(javascript_example(tmp_path) / "serve.mjs"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_a_person_registers_uploads_and_hears(page: Page, moto: str, address: str) -> None:
    origin = address.removesuffix("/examples/javascript/browser.html")
    status = page.get_by_role("status")
    with run_service(moto, CORS_ORIGINS=origin) as service:
        page.goto(address)
        page.get_by_label("Service").fill(service.url)
        page.get_by_label("Bucket").fill(f"{service.aws_url}/{BUCKET}")
        page.get_by_label("Email").fill("page@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Register").click()
        expect(status).to_have_text("Signed in as page@example.com; the vault is open.")
        page.get_by_label("or a file").set_input_files(SOUND)
        page.get_by_role("button", name="Encrypt and upload").click()
        expect(status).to_contain_text(f"Uploaded {SOUND.stat().st_size} bytes of audio")
        for button, said in (
            ("Decrypt here", f"Decrypted {SOUND.stat().st_size} bytes in this page."),
            ("Play through the service", "The service plays it until"),
        ):
            page.get_by_role("button", name=button).click()
            expect(status).to_contain_text(said)
            heard = "async () => Array.from(new Uint8Array(await (await fetch(player.src)).arrayBuffer()))"
            assert bytes(page.evaluate(heard)) == SOUND.read_bytes()
