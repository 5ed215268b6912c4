"""`make run` as a person meets it: the supervisor in its own processes, its ports, folder and signals."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.aws import free_port
from tests.support.make_run import SUPERVISOR, Run, is_free, running, started, taken_port
from tests.support.service import BUCKET, ROOT
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One running service for the tests that only look."""
    folder = tmp_path_factory.mktemp("shared")
    with started(folder, METRICS_PORT=str(free_port()), AWS_REGION="eu-central-1") as run:
        run.register()
        yield run


class TestWhatIsKept:
    def test_accounts_and_recordings_survive_ctrl_c(self, tmp_path: Path) -> None:
        with started(tmp_path) as run:
            run.record(run.register())
            # As the terminal does it: to every process of the group.
            os.killpg(run.process.pid, signal.SIGINT)
            assert run.ended() == 0
            assert "Panzoto has stopped; accounts and recordings are kept in" in run.text()
            assert "Traceback" not in run.text()
        with started(tmp_path) as again:
            again.assert_all_is_there()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
    def test_a_signal_that_only_make_gets_stops_everything_in_order(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        (tmp_path / "Makefile").write_text(f"run:\n\t@exec {' '.join(SUPERVISOR)}\n")
        # Whatever the shell that started the tests has them ignore.
        with started(tmp_path, ["env", "--default-signal", "make", "run"]) as run:
            aws_url = run.aws_url()
            os.kill(run.process.pid, number)
            run.ended()
            eventually(
                lambda: "Panzoto has stopped; accounts and recordings are kept in" in run.text(), run.text
            )
            eventually(lambda: is_free(run.url) and is_free(aws_url), run.text)

    def test_a_killed_supervisor_takes_both_along_and_the_state_is_saved(self, tmp_path: Path) -> None:
        with started(tmp_path) as run:
            run.record(run.register())
            run.process.kill()
            run.ended()
            # The data folder is free once the stand-in has saved it, which the next start waits for.
            eventually(lambda: is_free(run.url), run.text)
        with started(tmp_path) as again:
            again.assert_all_is_there()

    def test_a_killed_stand_in_loses_no_more_than_the_last_seconds(self, tmp_path: Path) -> None:
        with started(tmp_path) as run:
            run.record(run.register())
            time.sleep(3)
            os.kill(run.children()[0], signal.SIGKILL)
            assert run.ended() == 1
            assert f"the AWS stand-in ended by signal 9; see its log, {run.data_dir}" in run.text()
            assert is_free(run.url)
        with started(tmp_path) as again:
            again.assert_all_is_there()

    def test_state_that_cannot_be_read_is_not_replaced_by_an_empty_one(self, tmp_path: Path) -> None:
        state = tmp_path / "data" / "aws" / "state" / "dynamodb.json"
        state.parent.mkdir(parents=True)
        state.write_text('{"half": ')
        with running(tmp_path) as run:
            assert run.ended() == 1
            log = tmp_path / "data" / "aws" / "stand-in.log"
            assert f"see its log, {log}" in run.text()
            assert f"{state} cannot be read" in log.read_text()
        assert state.read_text() == '{"half": '


class TestWhatItPrints:
    def test_it_says_where_everything_is(self, shared: Run) -> None:
        for said in (
            f"{shared.url}/api\n",
            f"{shared.url}/api/docs\n",
            str(shared.data_dir),
            "Ctrl-C stops it",
        ):
            assert said in shared.text()
        assert requests.get(shared.url + "/api/docs", timeout=10).status_code == 200
        metrics = shared.wait_for(r"Metrics +(http\S+)").group(1)
        assert 'route="/api/register"' in requests.get(metrics, timeout=10).text

    def test_the_aws_command_that_it_prints_names_endpoint_and_region(self, shared: Run) -> None:
        printed = shared.wait_for(r"aws --endpoint-url (\S+) --region (\S+) s3 ls")
        assert printed.groups() == (shared.aws_url(), "eu-central-1")
        buckets = shared.s3().list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == [BUCKET]

    def test_the_stand_in_is_for_this_machine_only(self, shared: Run) -> None:
        port = int(shared.aws_url().rpartition(":")[2])
        tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
        # 0100007F is 127.0.0.1, and 0A is a socket that listens.
        assert re.findall(rf" ([0-9A-F]+):{port:04X} [0-9A-F:]+ 0A ", "".join(tables)) == ["0100007F"]

    def test_the_stand_in_cannot_be_told_to_forget(self, shared: Run) -> None:
        for path in ("/_ministack/reset", "/_ministack/config", "/_ministack/../_ministack/reset"):
            assert requests.post(shared.aws_url() + path, timeout=10).status_code == 404
        assert shared.log_in().status_code == 200

    def test_profiles_keys_and_proxies_of_the_user_are_left_alone(self, tmp_path: Path) -> None:
        settings = {
            "AWS_PROFILE": "nobody-has-this",
            "AWS_ACCESS_KEY_ID": "AKIAREALLYTHEIRS",
            "AWS_SECRET_ACCESS_KEY": "really-theirs",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }
        with started(tmp_path, **settings) as run:
            run.register()
            assert requests.get(run.url + "/api/health/ready", timeout=10).status_code == 200


class TestSideBySide:
    def test_a_second_service_does_not_disturb_the_first(self, shared: Run, tmp_path: Path) -> None:
        with started(tmp_path) as second:
            assert second.log_in().status_code == 401
            second.process.send_signal(signal.SIGINT)
            assert second.ended() == 0
        assert shared.log_in().status_code == 200

    def test_one_data_folder_serves_one_service(self, shared: Run, tmp_path: Path) -> None:
        with running(tmp_path, PANZOTO_DATA_DIR=str(shared.data_dir)) as second:
            assert second.ended() == 1
            assert f"another service uses the data folder {shared.data_dir}" in second.text()
            assert "PANZOTO_DATA_DIR" in second.text()
        assert shared.log_in().status_code == 200

    def test_a_taken_port_is_named(self, tmp_path: Path) -> None:
        with taken_port() as port, running(tmp_path, PORT=str(port)) as run:
            assert run.ended() == 1
            assert run.text() == (
                f"panzoto: PORT {port} cannot be used: Address already in use; "
                f"choose another one, such as PORT={port + 1} make run\n"
            )

    def test_a_chosen_port_of_the_stand_in_that_is_taken_is_named(self, tmp_path: Path) -> None:
        with taken_port() as port, running(tmp_path, PANZOTO_AWS_PORT=str(port)) as run:
            assert run.ended() == 1
            assert f"PANZOTO_AWS_PORT {port} cannot be used" in run.text()

    def test_other_ports_that_are_taken_are_replaced(self, tmp_path: Path) -> None:
        usual = socket.socket()
        try:
            usual.bind(("127.0.0.1", 5566))
            usual.listen()
        except OSError:
            # Somebody else has it, which serves as well.
            usual.close()
        with (
            usual,
            taken_port() as port,
            started(tmp_path, PANZOTO_AWS_PORT="", METRICS_PORT=str(port)) as run,
        ):
            assert "Port 5566 is taken, so the AWS stand-in is on port" in run.text()
            assert f"METRICS_PORT {port} is taken, so the metrics are on port" in run.text()
            run.record(run.register())
            metrics = run.wait_for(r"Metrics +(http\S+)").group(1)
            assert "panzoto_requests_total" in requests.get(metrics, timeout=10).text


class TestSettings:
    def test_a_bad_setting_is_one_sentence(self, tmp_path: Path) -> None:
        with running(tmp_path, TOKEN_TTL="a month") as run:
            assert run.ended() == 2
            assert re.fullmatch(r"panzoto: TOKEN_TTL must be a whole number .*\n", run.text())

    @pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
    def test_no_stand_in_starts_where_there_is_an_endpoint(self, tmp_path: Path, endpoint: str) -> None:
        with running(tmp_path, **{endpoint: f"http://127.0.0.1:{free_port()}"}) as run:
            eventually(lambda: not is_free(run.url), run.text)
            assert requests.get(run.url + "/api/health", timeout=30).status_code == 200
            assert not (run.data_dir / "aws").exists()
            run.process.send_signal(signal.SIGTERM)
            assert run.ended() == 0

    def test_production_has_no_stand_in_and_wants_a_secret(self, tmp_path: Path) -> None:
        with running(tmp_path, FLASK_ENV="production") as run:
            assert run.ended() == 2
            assert re.fullmatch(r"panzoto: SECRET_KEY is missing: .*\n", run.text())
        with running(tmp_path, FLASK_ENV="production", SECRET_KEY=os.urandom(32).hex()) as run:
            eventually(lambda: not is_free(run.url), run.text)
            assert requests.get(run.url + "/api/health", timeout=30).status_code == 200
            assert not (run.data_dir / "aws").exists()

    @pytest.mark.parametrize("command", ["gunicorn", "flask"])
    def test_other_ways_to_start_also_print_one_sentence(self, tmp_path: Path, command: str) -> None:
        arguments = {
            "gunicorn": ["-c", str(ROOT / "deploy" / "gunicorn.conf.py")],
            "flask": ["--app", str(ROOT / "wsgi.py"), "panzoto", "resources", "list"],
        }[command]
        with running(tmp_path, [sys.executable, "-m", command, *arguments], TICKET_TTL="soon") as run:
            assert run.ended() != 0
            assert re.fullmatch(r"panzoto: TICKET_TTL must be .*\n", run.text())


class TestMake:
    """The Makefile itself, in a folder where there is nothing to install."""

    def make(self, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        shutil.copy(ROOT / "Makefile", folder)
        for name in ("requirements.txt", "requirements-aws.txt"):
            (folder / name).touch()
        return subprocess.run(
            ["make", *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_help_is_the_default_and_lists_every_target(self, tmp_path: Path) -> None:
        printed = self.make(tmp_path)
        assert printed.returncode == 0
        listed = re.findall(r"^  make (\S+) +\S", printed.stdout, re.MULTILINE)
        phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert listed == " ".join(phony).split()
        assert {"help", "install", "run", "test", "lint", "types", "check", "lock", "bench", "clean"} <= {
            *listed
        }

    @pytest.mark.parametrize(
        ("script", "said"),
        [
            (
                "case $2 in *version_info*) exit 1;; esac; echo Python 3.9.2",
                "Python 3.9.2, and Panzoto needs 3.11",
            ),
            ("case $2 in *ensurepip*) exit 1;; esac", "apt install python3-venv"),
        ],
        ids=["old", "without venv"],
    )
    def test_a_python_that_will_not_do_is_told(self, tmp_path: Path, script: str, said: str) -> None:
        python = tmp_path / "some-python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        printed = self.make(tmp_path, "run", f"PYTHON={python}")
        assert printed.returncode != 0
        assert said in printed.stderr

    def test_a_python_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        printed = self.make(tmp_path, "run", "PYTHON=python-of-nobody")
        assert printed.returncode != 0
        assert "There is no python-of-nobody here" in printed.stderr

    @pytest.mark.parametrize(
        ("environment", "dotenv", "wanted"),
        [
            ({}, "", True),
            ({"FLASK_ENV": "development"}, "AWS_ENDPOINT_URL=\n", True),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "", False),
            ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}, "", False),
            ({"FLASK_ENV": "production"}, "", False),
            ({}, "AWS_ENDPOINT_URL=http://127.0.0.1:1\n", False),
            ({}, "FLASK_ENV=production\n", False),
        ],
    )
    def test_the_stand_in_is_installed_only_where_it_is_used(
        self, tmp_path: Path, environment: dict[str, str], dotenv: str, wanted: bool
    ) -> None:
        (tmp_path / ".env").write_text(dotenv)
        plan = self.make(tmp_path, "--dry-run", "run", **environment)
        assert plan.returncode == 0, plan.stderr
        assert ("-m venv .venv-aws" in plan.stdout) == wanted
        assert "-m panzoto.embedded" in plan.stdout
