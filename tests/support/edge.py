"""What stands around the service on one machine, for real: its supervisor, and nginx in front of it."""

from __future__ import annotations

import datetime
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.suites import need
from tests.support.aws import free_port
from tests.support.contents import contents
from tests.support.service import ROOT, Service, wait_until_healthy
from tests.support.waiting import comes_up


@contextmanager
def supervised(service: Service, folder: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """Run another instance of `service` under `deploy.serving.supervisor`: same AWS and secret, a port of
    its own.
    """
    environment = {**service.environment, "PORT": str(free_port()), **settings}
    with running(
        service, folder, [sys.executable, "-m", "deploy.serving.supervisor", *arguments], environment
    ) as started:
        yield started


@contextmanager
def running(
    service: Service, folder: Path, command: list[str], environment: dict[str, str]
) -> Iterator[Service]:
    """Run `command`, which serves on PORT of `environment`, while the block runs."""
    log_path = folder / "service.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{environment['PORT']}"
    started = replace(service, url=url, process=process, log_path=log_path, environment=environment)
    try:
        wait_until_healthy(started)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@dataclass(frozen=True)
class Nginx:
    """A running nginx: its addresses, its certificate, and the folder of all that it writes."""

    url: str
    plain_url: str
    certificate: Path
    folder: Path
    pid: int

    def call(self, method: str, path: str, token: str | None = None, **how: Any) -> requests.Response:
        """Send one request over TLS; `token` is for the bearer header."""
        headers = how.pop("headers", {})
        if token is not None:
            headers = {"Authorization": f"Bearer {token}", **headers}
        url = path if path.startswith("http") else self.url + path
        return requests.request(
            method,
            url,
            headers=headers,
            verify=str(self.certificate),
            timeout=60,
            allow_redirects=False,
            **how,
        )

    def access_log(self) -> str:
        return (self.folder / "logs" / "access.log").read_text()

    def everything_written(self) -> bytes:
        """All files below its folder, one after the other."""
        return b"".join(contents(self.folder).values())

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


def self_signed(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a certificate for `name` and its key; return their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def rendered(folder: Path, upstream_port: int, https_port: int, http_port: int, *more: str) -> Path:
    """Write the project's nginx configuration for localhost, with everything it needs below `folder`."""
    keys = folder.with_name(folder.name + "-keys")
    keys.mkdir()
    for name in ("logs", "state"):
        (folder / name).mkdir(parents=True)
    certificate, key = self_signed(keys)
    arguments = {
        "--server-name": "localhost",
        "--certificate": certificate,
        "--certificate-key": key,
        "--upstream-port": upstream_port,
        "--https-port": https_port,
        "--http-port": http_port,
        "--user": "root",
        "--logs": folder / "logs",
        "--state": folder / "state",
        "--pid": folder / "nginx.pid",
        "--acme-root": folder,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    command = [sys.executable, str(ROOT / "deploy" / "machine" / "nginx" / "render.py"), *words, *more]
    configuration = keys / "nginx.conf"
    configuration.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return configuration


@contextmanager
def nginx_before(port: int, folder: Path, *more: str) -> Iterator[Nginx]:
    """Run nginx with the project's configuration before what listens at `port`, while the block runs."""
    program = need("nginx")
    https_port, http_port = free_port(), free_port()
    configuration = rendered(folder, port, https_port, http_port, *more)
    log = folder / "logs" / "start.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "-e", str(log), "-c", str(configuration), "-g", "daemon off;"],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    certificate = configuration.with_name("certificate.pem")
    nginx = Nginx(
        f"https://localhost:{https_port}", f"http://localhost:{http_port}", certificate, folder, process.pid
    )
    try:
        if not comes_up(process, nginx.plain_url):
            raise RuntimeError("nginx did not start:\n" + log.read_text()[-4000:])
        yield nginx
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
