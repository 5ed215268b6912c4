"""Dockerfile and compose.yaml, as far as they can be tried without containers.

What the Dockerfile copies is copied into a plain folder, and what it starts
is started there: the service with its very environment and health check, and
nginx in front of it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import requests
import yaml

from panzoto.operations.cli import panzoto as commands
from tests.deploy.test_smoke import smoke
from tests.suites import need
from tests.support.aws import aws_environment, free_port
from tests.support.service import PASSWORD, ROOT, Service
from tests.support.source import nodes, tree_of
from tests.support.waiting import comes_up, eventually

DOCKERFILE = ROOT / "Dockerfile"
SETTINGS = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


class Stage:
    """One stage of the Dockerfile: its instructions, in order."""

    def __init__(self, text: str) -> None:
        joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
        lines = [line for line in joined.splitlines() if line.strip()]
        self.name = lines[0].rpartition(" ")[2]
        self.instructions = [tuple(line.split(None, 1)) for line in lines[1:]]

    def all(self, instruction: str) -> list[str]:
        return [what for name, what in self.instructions if name == instruction]

    def one(self, instruction: str) -> str:
        (found,) = self.all(instruction)
        return found

    def environment(self) -> dict[str, str]:
        pairs = (pair.split("=", 1) for line in self.all("ENV") for pair in shlex.split(line))
        return {name: value for name, value in pairs if name != "PATH"}

    def copies(self) -> list[tuple[list[str], str]]:
        """Return the sources and the place of each COPY that is not from another stage."""
        split = [shlex.split(line) for line in self.all("COPY") if not line.startswith("--from")]
        return [(sources[:-1], sources[-1]) for sources in split]

    def lay_out(self, folder: Path) -> Path:
        """Copy what the stage copies, with `folder` as the root of its file system; return /app."""
        for sources, place in self.copies():
            target = folder / place.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source,
                        target,
                        dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
                    )
                else:
                    shutil.copy(ROOT / source, target)
        return folder / "app"


STAGES = {
    stage.name: stage
    for stage in map(Stage, re.split(r"^FROM ", DOCKERFILE.read_text(), flags=re.MULTILINE)[1:])
}
WORKERS = ("events", "chores", "mail", "transcriptions")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))


def imported(program: Path) -> set[str]:
    """Return which of our own modules a program imports, wherever in it."""
    found: set[str] = set()
    for node in nodes(tree_of(program)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name for name in found if name.partition(".")[0] in ("deploy", "migrations_from_rds", "panzoto")}


@contextmanager
def running(command: list[str], log: Path, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, **how)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def contents(folder: Path) -> dict[str, float]:
    return {
        str(file.relative_to(folder)): file.stat().st_mtime for file in folder.rglob("*") if file.is_file()
    }


class TestDockerfile:
    def test_hadolint_finds_nothing(self) -> None:
        linter = Path(sys.executable).with_name("hadolint")
        found = subprocess.run([str(linter), str(DOCKERFILE)], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout + found.stderr) == (0, "")

    def test_every_stage_is_of_the_one_base_that_gets_pinned(self) -> None:
        bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)
        assert set(bases) == {"${BASE_IMAGE}"}
        assert list(STAGES)[-1] == "service"

    def test_what_is_run_is_nobody(self) -> None:
        for name, stage in STAGES.items():
            if name not in ("libraries", "console"):
                assert stage.one("USER") == "10001:10001", name

    def test_what_is_copied_is_sent_along_and_no_more(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        sent = {line[1:] for line in lines if line.startswith("!")}
        assert "*" in lines
        copied = {source for stage in STAGES.values() for sources, _ in stage.copies() for source in sources}
        assert copied
        for source in copied:
            assert (ROOT / source).exists(), source
            path = Path(source)
            assert {str(path), *map(str, path.parents)} & sent, source
        for path in sent:
            assert any(Path(source).is_relative_to(path) for source in copied), path

    @pytest.mark.parametrize("stage", ["stand-in", "edge", "service"])
    def test_what_a_stage_starts_and_imports_is_in_it(self, stage: str, tmp_path: Path) -> None:
        app = STAGES[stage].lay_out(tmp_path)
        named = [
            word for word in json.loads(STAGES[stage].one("CMD")) if word.endswith(".py") or word[0] == "/"
        ]
        assert named
        for word in named:
            assert (app / word.removeprefix("/app/")).exists(), word
        for program in app.rglob("*.py"):
            for module in imported(program):
                place = app.joinpath(*module.split("."))
                assert place.is_dir() or place.with_suffix(".py").exists(), f"{program}: {module}"

    def test_the_service_starts_is_healthy_and_writes_nothing_beside_itself(
        self, service: Service, tmp_path: Path
    ) -> None:
        stage = STAGES["service"]
        app = stage.lay_out(tmp_path / "root")
        compiled = [sys.executable, "-m", "compileall", "-q", str(app)]
        assert any(line.endswith("python -m compileall -q /app") for line in stage.all("RUN"))
        subprocess.run(compiled, check=True)
        before = contents(app)
        environment = {
            **stage.environment(),
            **aws_environment(service.aws_url),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PORT": str(free_port()),
            "METRICS_PORT": "0",
            "SECRET_KEY": "of-this-test-and-longer-than-32-bytes",
            "WEB_CONCURRENCY": "1",
        }
        _, _, health = stage.one("HEALTHCHECK").partition("CMD ")
        log = tmp_path / "log"
        with running(json.loads(stage.one("CMD")), log, cwd=app, env=environment) as process:

            def healthy() -> bool:
                assert process.poll() is None, log.read_text()
                asked = subprocess.run(json.loads(health), env=environment, capture_output=True, check=False)
                return asked.returncode == 0

            eventually(healthy, log.read_text)
            ready = f"http://127.0.0.1:{environment['PORT']}/api/health/ready"
            assert requests.get(ready, timeout=10).status_code == 200
        assert process.returncode == 0, log.read_text()
        assert contents(app) == before
        # The commands are there, too.
        listed = subprocess.run(
            ["flask", "panzoto", "resources", "list"],
            cwd=app,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert listed.returncode == 0, listed.stderr
        assert contents(app) == before

    def test_the_service_has_the_console_with_what_another_stage_has_fetched(
        self, service: Service, tmp_path: Path
    ) -> None:
        stage = STAGES["console"]
        stage.lay_out(tmp_path)
        words = shlex.split(stage.one("RUN"))
        assert words[0] == "python"
        fetched = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path / stage.one("WORKDIR").lstrip("/"),
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (fetched.returncode, fetched.stderr) == (0, ""), fetched.stdout
        app = STAGES["service"].lay_out(tmp_path)
        (taken,) = [line for line in STAGES["service"].all("COPY") if line.startswith("--from=console")]
        source, place = (tmp_path / word.lstrip("/") for word in shlex.split(taken)[1:])
        shutil.copytree(source, place)
        environment = {
            **STAGES["service"].environment(),
            **aws_environment(service.aws_url),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PORT": str(free_port()),
            "METRICS_PORT": "0",
            "SECRET_KEY": "of-this-test-and-longer-than-32-bytes",
            "WEB_CONCURRENCY": "1",
        }
        log, url = tmp_path / "log", f"http://127.0.0.1:{environment['PORT']}"
        command = json.loads(STAGES["service"].one("CMD"))
        with running(command, log, cwd=app, env=environment) as process:
            assert comes_up(process, f"{url}/api/health"), log.read_text()
            shown = requests.get(url, timeout=10)
        assert shown.status_code == 200
        (release,) = re.findall(r'name="panzoto-release" content="([0-9a-f]{32})"', shown.text)
        assert release in log.read_text()

    def test_nginx_of_the_edge_serves_it_by_tls(self, service: Service, tmp_path: Path) -> None:
        need("nginx")
        need("openssl")
        stage = STAGES["edge"]
        app = stage.lay_out(tmp_path / "root")
        assert json.loads(stage.one("CMD")) == ["/app/edge"]
        run, https = tmp_path / "run", free_port()
        environment = {
            **stage.environment(),
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "EDGE_RUN": str(run),
            "HTTP_PORT": str(free_port()),
            "HTTPS_PORT": str(https),
            "UPSTREAM_PORT": service.url.rpartition(":")[2],
        }
        log = tmp_path / "log"
        with running([str(app / "edge")], log, env=environment) as process:

            def answers() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    asked = requests.get(
                        f"https://localhost:{https}/api/health",
                        verify=str(run / "fullchain.pem"),
                        timeout=10,
                    )
                except OSError:
                    return False
                return asked.status_code == 200

            eventually(answers, log.read_text)
        # Its log lines go where a container's go.
        assert '"route":"/api/health"' in log.read_text()


def interpolated(value: str, variables: dict[str, str]) -> str:
    """Return what compose makes of a value: variables with their defaults, and $ for $$."""

    def chosen(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else variables.get(found[1]) or found[2]

    return re.sub(r"\$\$|\$\{([A-Z_]+):-([^}]*)\}", chosen, value)


class Container:
    """One container of compose.yaml, as its command in a plain folder."""

    def __init__(self, name: str, variables: dict[str, str]) -> None:
        there = COMPOSE["services"][name]
        self.command = [
            interpolated(word, variables)
            for word in (*there.get("entrypoint", ()), *there.get("command", ()))
        ]
        self.environment = {
            name: interpolated(str(value), variables) for name, value in there["environment"].items()
        }


class TestComposeAtWork:
    def test_it_starts_without_a_secret_made_by_hand_and_everything_works(self, tmp_path: Path) -> None:
        """The stand-in, the service and its workers, each as compose.yaml starts it."""
        port, aws_port = free_port(), free_port()
        variables = {"STAND_IN_PORT": str(aws_port), "PUBLIC_URL": f"http://localhost:{port}"}
        stand_in_app = STAGES["stand-in"].lay_out(tmp_path / "stand-in")
        app = STAGES["service"].lay_out(tmp_path / "service")
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        local = {
            "HOME": str(tmp_path),
            "STAND_IN_DATA": str(tmp_path / "data"),
            "STAND_IN_SECRETS": str(secrets),
            "SECRETS_FILE": str(secrets / "service.env"),
            "PORT": str(port),
            "METRICS_PORT": "0",
            "WEB_CONCURRENCY": "1",
            "TRUSTED_PROXIES": "0",
        }

        def started(name: str, python: Path, folder: Path, command: list[str]) -> Any:
            environment = {
                **STAGES["stand-in" if name == "aws" else "service"].environment(),
                **Container(name, variables).environment,
                **local,
                "PATH": f"{python.parent}:/usr/bin:/bin",
            }
            return running(command, tmp_path / f"{name}.log", cwd=folder, env=environment)

        def ready(url: str) -> bool:
            try:
                return requests.get(url, timeout=10).status_code == 200
            except (requests.ConnectionError, requests.Timeout):
                return False

        def log(name: str) -> str:
            return (tmp_path / f"{name}.log").read_text()

        aws_python, python = ROOT / ".venv-aws" / "bin" / "python", Path(sys.executable)
        stand_in_command = json.loads(STAGES["stand-in"].one("CMD"))
        with ExitStack() as all_of_it:
            all_of_it.enter_context(started("aws", aws_python, stand_in_app, stand_in_command))
            eventually(lambda: ready(f"http://127.0.0.1:{aws_port}/_ministack/health"), lambda: log("aws"))
            kept = (secrets / "service.env").read_text()
            assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in secrets.iterdir())
            service = Container("service", variables)
            all_of_it.enter_context(started("service", python, app, service.command))
            eventually(lambda: ready(f"http://127.0.0.1:{port}/api/health/ready"), lambda: log("service"))
            for role in ("events", "chores"):
                all_of_it.enter_context(started(role, python, app, Container(role, variables).command))
            found = smoke(f"http://localhost:{port}")
            assert (found.returncode, found.stderr) == (0, ""), log("service")
            # Whether chores are held, as while nobody has a recording, or not: it says how they stand.
            eventually(lambda: "chores_status" in log("chores"), lambda: log("chores"))
            put_without_a_word(f"http://localhost:{port}", lambda: log("events"))
        # They stay the same when all of it is started again.
        with started("aws", aws_python, stand_in_app, stand_in_command):
            eventually(lambda: ready(f"http://127.0.0.1:{aws_port}/_ministack/health"), lambda: log("aws"))
            assert (secrets / "service.env").read_text() == kept

    def test_a_secret_of_ones_own_stands(self, tmp_path: Path) -> None:
        file = tmp_path / "service.env"
        file.write_text(': "${SECRET_KEY:=made}"\nAWS_ACCESS_KEY_ID=panzoto\n')
        entrypoint = [interpolated(word, {}) for word in COMPOSE["services"]["service"]["entrypoint"]]
        for given, used in (("", "made"), ("of one's own", "of one's own")):
            printed = subprocess.run(
                [*entrypoint, "printenv", "SECRET_KEY", "AWS_ACCESS_KEY_ID"],
                env={"PATH": os.environ["PATH"], "SECRETS_FILE": str(file), "SECRET_KEY": given},
                capture_output=True,
                text=True,
                check=True,
            )
            assert printed.stdout.splitlines() == [used, "panzoto"]


def put_without_a_word(base: str, log: Callable[[], str]) -> None:
    """Put an upload into the bucket, say nothing, and see it stored."""
    account = {"email": "silent@example.com", "password": PASSWORD}
    token = requests.post(f"{base}/api/register", json=account, timeout=60).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    announced = requests.post(f"{base}/api/uploads", json={"file_size": 5}, headers=bearer, timeout=60).json()
    upload = announced["upload"]
    assert requests.put(upload["url"], b"hello", headers=upload["headers"], timeout=60).status_code == 200

    def stored() -> bool:
        state = requests.get(f"{base}/api/uploads/{announced['file_id']}", headers=bearer, timeout=60).json()
        return bool(state["status"] == "stored")

    eventually(stored, log)


class TestCompose:
    def test_every_container_can_write_nowhere_and_gains_no_right(self) -> None:
        for name, container in COMPOSE["services"].items():
            assert container["read_only"] is True, name
            assert container["cap_drop"] == ["ALL"]
            assert container["security_opt"] == ["no-new-privileges:true"]
            assert container["tmpfs"]

    def test_all_share_the_network_of_the_one_that_is_reached_from_this_machine_only(self) -> None:
        for name, container in COMPOSE["services"].items():
            if name == "aws":
                assert all(port.startswith("127.0.0.1:") for port in container["ports"])
            else:
                assert container["network_mode"] == "service:aws", name
                assert "ports" not in container

    def test_what_is_named_is_there(self) -> None:
        services = COMPOSE["services"]
        assert set(services) == {"aws", "service", "nginx", *WORKERS}
        for container in services.values():
            if "build" in container:
                assert container["build"]["target"] in STAGES
            else:
                assert container["image"] == services["service"]["image"]
            for other, wanted in container.get("depends_on", {}).items():
                assert wanted == {"condition": "service_healthy"}
                assert "healthcheck" in services[other] or other == "service"
            for volume in container.get("volumes", []):
                assert volume.partition(":")[0] in COMPOSE["volumes"]

    def test_every_setting_is_one_that_the_service_reads(self) -> None:
        for name in ("service", *WORKERS):
            given = set(COMPOSE["services"][name]["environment"])
            assert given <= SETTINGS | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, name

    def test_the_commands_are_commands(self) -> None:
        told = "\n".join(" ".join(COMPOSE["services"][one]["command"]) for one in WORKERS)
        lines = re.findall(r"flask (panzoto(?: [a-z-]+)+)", told)
        assert len(lines) == 4
        for line in lines:
            group, *words = line.split()
            assert group == commands.name
            found: click.Command = commands
            for word in words:
                if word.startswith("--"):
                    assert word in {option for one in found.params for option in one.opts}
                else:
                    assert isinstance(found, click.Group)
                    found = found.commands[word]

    def test_images_are_built_for_both_processors_by_one_command(self) -> None:
        told = subprocess.run(
            ["make", "--dry-run", "images"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert "docker buildx build --platform linux/amd64,linux/arm64 --target service" in told
        assert any(stage == "service" for stage in STAGES)
