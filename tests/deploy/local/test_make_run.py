"""`make run` as a person meets it: the supervisor in its own processes, its ports, folder and signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config

from deploy.local.listening import address_in_network
from tests.deploy.test_smoke import smoke
from tests.suites import need
from tests.support import rows
from tests.support.aws import free_port
from tests.support.make_run import (
    AT_A_TERMINAL,
    SUPERVISOR,
    Run,
    bearer,
    is_free,
    running,
    started,
    taken_port,
)
from tests.support.processes import children, command
from tests.support.service import BUCKET, ROOT, aws_client
from tests.support.waiting import eventually


def port_in(url: str) -> int:
    return int(url.rpartition(":")[2])


def by_ipv6() -> str:
    """Loopback by IPv6; another of IPv4's on a machine that has no IPv6."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return "127.0.0.3"
    return "[::1]"


def second_address() -> str:
    """An address by which the network reaches this machine; another of loopback where there is none."""
    return address_in_network() or "127.0.0.2"


def announce(
    run: Run, size: int, headers: dict[str, str] | None = None, base: str | None = None
) -> dict[str, Any]:
    answer = requests.post(
        (base or run.url) + "/api/uploads",
        json={"file_size": size},
        headers={**bearer(run.token()), **(headers or {})},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    announced: dict[str, Any] = answer.json()
    return announced


def flask(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder of a `make run`, with no variable of AWS but those given."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "panzoto", *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PANZOTO_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def heeds_a_signal(pid: int) -> bool:
    """Whether a process has begun to wait for being asked to stop."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) & 1 << signal.SIGTERM - 1)


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
            saved = run.data_dir / "aws" / "state" / "dynamodb.json"
            eventually(lambda: saved.exists() and "audio-1.3gp" in saved.read_text(), "nothing is saved")
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


class TestSignedAddresses:
    """A telephone reaches by itself whatever address the service gives it."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", by_ipv6(), second_address()])
    def test_everything_works_by_every_address_of_this_machine(self, shared: Run, host: str) -> None:
        found = smoke(f"http://{host}:{port_in(shared.url)}")
        assert (found.returncode, found.stderr) == (0, "")
        assert found.stdout.splitlines()[-1] == "It works."

    @pytest.mark.parametrize("name", ["10.0.2.2", "mymachine.local", "panzoto.localhost", "s3.localhost"])
    def test_an_emulator_and_names_of_this_machine(self, shared: Run, name: str) -> None:
        """Such a name leads here; the address that is given out names it, and the stand-in's own port."""
        upload = announce(shared, 5, {"Host": f"{name}:{port_in(shared.url)}"})["upload"]
        parts = urlsplit(upload["url"])
        assert parts.netloc == f"{name}:{port_in(shared.aws_url())}"
        here = parts._replace(netloc=urlsplit(shared.aws_url()).netloc).geturl()
        answer = requests.put(here, b"hello", headers={**upload["headers"], "Host": parts.netloc}, timeout=30)
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize("host", ["127.0.0.1", second_address()])
    def test_in_parts_with_an_expectation_and_back(self, shared: Run, tmp_path: Path, host: str) -> None:
        """curl asks first whether it may send what is long (`Expect: 100-continue`)."""
        size = 65 * 1024 * 1024
        content = os.urandom(1024 * 1024) * 65
        base, token = f"http://{host}:{port_in(shared.url)}", shared.token()
        announced = announce(shared, size, base=base)
        upload = announced["upload"]
        assert upload["type"] == "multipart"
        for part in upload["parts"]:
            start = (part["part_number"] - 1) * upload["part_size"]
            piece_of_it = tmp_path / "part"
            piece_of_it.write_bytes(content[start : start + upload["part_size"]])
            words = ["-sSf", "-T", str(piece_of_it), "-H", "Expect: 100-continue", part["url"]]
            sent = subprocess.run([need("curl"), *words], capture_output=True, check=False)
            assert sent.returncode == 0, sent.stderr
        path = f"{base}/api/uploads/{announced['file_id']}/complete"
        assert requests.post(path, json={}, headers=bearer(token), timeout=120).status_code == 200
        download = f"{base}/api/audio-file/{announced['file_id']}/download"
        url = requests.get(download, headers=bearer(token), timeout=60).json()["url"]
        assert requests.get(url, timeout=120).content == content
        piece = requests.get(url, headers={"Range": "bytes=5-9"}, timeout=60)
        assert (piece.status_code, piece.content) == (206, content[5:10])

    def test_another_key_is_refused_here_too(self, shared: Run) -> None:
        for access_key, secret in (("panzoto", "panzoto"), ("any", "any"), ("test", "test")):
            client = boto3.client(
                "s3",
                endpoint_url=shared.aws_url(),
                region_name="eu-central-1",
                aws_access_key_id=access_key,
                aws_secret_access_key=secret,
                config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
            )
            url = client.generate_presigned_url("put_object", {"Bucket": BUCKET, "Key": "users/me/forged"})
            assert requests.put(url, b"forged", timeout=30).status_code == 403

    def test_a_network_reaches_nothing_but_what_was_signed(self, shared: Run) -> None:
        """From a second address, on a machine that has one; `test_stand_in_gate` asks for every other."""
        far = f"http://{second_address()}:{port_in(shared.aws_url())}"
        is_far = not second_address().startswith("127.")
        for method, path, headers in (
            ("POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
            ("POST", "/?Action=ListQueues", {}),
            ("GET", f"/{BUCKET}?list-type=2", {}),
            ("PUT", f"/{BUCKET}/users/me/audio-1.3gp", {}),
            ("POST", "/_ministack/reset", {}),
        ):
            answer = requests.request(method, far + path, headers=headers, data=b"{}", timeout=30)
            private = path.startswith("/_ministack")
            assert (answer.status_code in (403, 404)) == (is_far or private), (method, path, answer.text)


class TestRoles:
    def test_an_upload_that_was_only_put_is_stored(self, shared: Run) -> None:
        announced = announce(shared, 5)
        upload = announced["upload"]
        assert requests.put(upload["url"], b"hello", headers=upload["headers"], timeout=30).status_code == 200

        def stored() -> bool:
            path = f"{shared.url}/api/uploads/{announced['file_id']}"
            found = requests.get(path, headers=bearer(shared.token()), timeout=30)
            return bool(found.json()["status"] == "stored")

        eventually(stored, shared.text)

    def test_the_chores_are_done_and_their_lines_are_lines(self, shared: Run) -> None:
        shared.wait_for(r"\nchores run: \S.*\n")
        assert "chores run: ended with status" not in shared.text()

    def test_a_deletion_whose_worker_was_killed_is_finished_by_the_next(self, tmp_path: Path) -> None:
        with started(tmp_path) as run:
            user_id = run.user_id_of(run.register())
            # As a worker leaves it that is killed between its first step and its last.
            tables = aws_client("dynamodb", run.aws_url())
            tables.update_item(
                TableName="panzoto-claims",
                Key={"claim": {"S": "deletions"}},
                UpdateExpression="ADD user_ids :one",
                ExpressionAttributeValues={":one": {"SS": [user_id]}},
            )
            tables.update_item(
                TableName=rows.USERS_TABLE,
                Key={"user_id": {"S": user_id}},
                UpdateExpression="SET deletion_started_at = :now",
                ExpressionAttributeValues={":now": {"N": str(int(time.time()))}},
            )
            (master,) = [pid for pid in run.children() if "gunicorn" in command(pid)]
            for worker in children(master):
                os.kill(worker, signal.SIGKILL)

            def is_gone() -> bool:
                key = {"user_id": {"S": user_id}}
                return "Item" not in tables.get_item(TableName=rows.USERS_TABLE, Key=key)

            eventually(is_gone, run.text)
            claims = tables.get_item(TableName="panzoto-claims", Key={"claim": {"S": "deletions"}})
            assert "user_ids" not in claims["Item"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_nothing_is_left_running(self, tmp_path: Path, number: signal.Signals) -> None:
        with started(tmp_path) as run:
            family: list[int] = []

            def every_role_runs() -> bool:
                family[:] = [pid for child in run.children() for pid in (child, *children(child))]
                commands = " ".join(map(command, family))
                roles = ("stand_in.py", "gunicorn", "panzoto events", "chores run")
                return all(role in commands for role in roles)

            eventually(every_role_runs, run.text)
            run.process.send_signal(number)
            run.ended()
            eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), run.text)


class TestCommands:
    def test_they_find_the_running_stand_in_whatever_its_port(self, tmp_path: Path) -> None:
        with started(tmp_path) as run:
            listed = flask(tmp_path, "resources", "list")
            assert listed.returncode == 0, listed.stderr
            assert "panzoto-users" in listed.stdout
            kept = run.data_dir / "stand-in.json"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            stale = kept.read_bytes()
            elsewhere = flask(tmp_path, "resources", "list", AWS_ENDPOINT_URL="http://127.0.0.1:9")
            assert elsewhere.returncode == 1
            run.process.send_signal(signal.SIGINT)
            assert run.ended() == 0
        assert not kept.exists()
        # One that a killed service has left is not believed.
        kept.write_bytes(stale)
        alone = flask(tmp_path, "resources", "list", AWS_EC2_METADATA_DISABLED="true")
        assert alone.returncode == 1
        for name in ("make run", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
            assert name in alone.stderr

    def test_a_worker_on_transcripts_finds_the_engine_of_this_machine(self, tmp_path: Path) -> None:
        with started(tmp_path, SPEECH="1") as run:
            command = [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "panzoto"]
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
            environment["PANZOTO_DATA_DIR"] = str(run.data_dir)
            with subprocess.Popen(
                [*command, "transcriptions", "work"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
            ) as worker:
                eventually(lambda: worker.poll() is not None or heeds_a_signal(worker.pid), run.text)
                worker.terminate()
                _, told = worker.communicate()
                assert (worker.returncode, told) == (0, b"")
            kept = json.loads((run.data_dir / "stand-in.json").read_text())
            assert kept["TRANSCRIPTION_URL"] == run.wait_for(r"Speech +(http://\S+)").group(1)
            assert "TRANSCRIPTION_API_KEY" not in kept


class TestAtATerminal:
    def test_lines_are_for_people_and_json_for_programs(self, shared: Run, tmp_path: Path) -> None:
        lines = [json.loads(line) for line in shared.text().splitlines() if line.startswith("{")]
        assert any(line["event"] == "request" and line["route"] == "/api/register" for line in lines)
        with started(tmp_path, AT_A_TERMINAL) as run:
            run.register()
            run.wait_for(r"\n\d\d:\d\d:\d\d  POST /api/register 201, \d+ ms\n")
            assert '"event"' not in run.text()
        # The terminal is gone, which the supervisor takes for a wish to stop.
        eventually(lambda: is_free(run.url), run.text)


class TestAFewPrograms:
    def test_python_make_and_a_shell_are_enough(self, tmp_path: Path) -> None:
        folder, few = tmp_path / "panzoto", tmp_path / "few"
        few.mkdir()
        for name in ("make", "sh"):
            (few / name).symlink_to(str(shutil.which(name)))
        for environment in (".venv", ".venv-aws"):
            (folder / environment / "bin").mkdir(parents=True)
        for name in ("Makefile", "requirements.txt", "requirements-aws.txt"):
            shutil.copy(ROOT / name, folder)
        python = folder / ".venv" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        (folder / ".venv-aws" / "bin" / "python").symlink_to(python)
        # What has been installed, as a first start leaves it.
        for environment in (".venv", ".venv-aws"):
            (folder / environment / ".installed").touch()
        with started(folder, [str(few / "make"), "run"], PATH=str(few)) as run:
            run.register()
            run.process.send_signal(signal.SIGTERM)
            run.ended()
            eventually(lambda: "Panzoto has stopped" in run.text(), run.text)
            assert "not found" not in run.text()
            assert "No such file" not in run.text()


@contextmanager
def usual_port(port: int) -> Iterator[None]:
    """See that a port is taken: by us, or by somebody else, who serves as well."""
    with socket.socket() as usual:
        with suppress(OSError):
            usual.bind(("127.0.0.1", port))
            usual.listen()
        yield


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
            assert f"(it is at {shared.url}, process {shared.process.pid})" in second.text()
            assert "waiting some seconds" in second.text().splitlines()[0]
            assert "PANZOTO_DATA_DIR" in second.text()
        assert shared.log_in().status_code == 200

    def test_a_taken_port_is_named(self, tmp_path: Path) -> None:
        with taken_port() as port, running(tmp_path, PORT=str(port)) as run:
            assert run.ended() == 1
            assert run.text() == (
                f"panzoto: PORT {port} cannot be used: Address already in use; "
                f"choose another one, such as PORT={port + 1} make run\n"
            )

    @pytest.mark.parametrize("name", ["PORT", "PANZOTO_AWS_PORT"])
    def test_a_port_that_no_browser_opens_is_named(self, tmp_path: Path, name: str) -> None:
        with running(tmp_path, CONSOLE="1", **{name: "5060"}) as run:
            assert run.ended() == 1
            assert run.text() == (
                f"panzoto: {name} 5060 is one that no browser opens (ERR_UNSAFE_PORT); choose another one, "
                f"such as {name}=5062 make run, or leave the console out with CONSOLE=0\n"
            )

    def test_without_a_console_no_browser_is_asked(self, tmp_path: Path) -> None:
        with started(tmp_path, CONSOLE="0", PORT="6566") as run:
            assert requests.get(f"{run.url}/api/health", timeout=30).status_code == 200

    def test_a_chosen_port_of_the_stand_in_that_is_taken_is_named(self, tmp_path: Path) -> None:
        with taken_port() as port, running(tmp_path, PANZOTO_AWS_PORT=str(port)) as run:
            assert run.ended() == 1
            assert f"PANZOTO_AWS_PORT {port} cannot be used" in run.text()

    def test_a_chosen_port_for_metrics_that_is_taken_is_named(self, tmp_path: Path) -> None:
        with taken_port() as port, running(tmp_path, METRICS_PORT=str(port)) as run:
            assert run.ended() == 1
            assert run.text() == (
                f"panzoto: METRICS_PORT {port} cannot be used: Address already in use; choose another one, "
                f"such as METRICS_PORT={port + 1} make run, or leave the metrics out with METRICS_PORT=0\n"
            )

    @pytest.mark.parametrize("name", ["METRICS_PORT", "PANZOTO_AWS_PORT"])
    def test_a_port_that_was_chosen_twice_is_named(self, tmp_path: Path, name: str) -> None:
        port = free_port()
        with running(tmp_path, PORT=str(port), **{name: str(port)}) as run:
            assert run.ended() == 1
            assert run.text() == (
                f"panzoto: PORT and {name} are both {port}; choose another one, such as "
                f"{name}={port + 1} make run\n"
            )

    def test_other_ports_that_are_taken_are_replaced(self, tmp_path: Path) -> None:
        with (
            usual_port(5566),
            usual_port(9464),
            started(tmp_path, PANZOTO_AWS_PORT="", METRICS_PORT="") as run,
        ):
            assert "Port 5566 is taken, so the AWS stand-in is on port" in run.text()
            assert "Port 9464 is taken, so the metrics are on port" in run.text()
            run.record(run.register())
            metrics = run.wait_for(r"Metrics +(http\S+)").group(1)
            assert "panzoto_requests_total" in requests.get(metrics, timeout=10).text


class TestSettings:
    def test_a_bad_setting_is_one_sentence(self, tmp_path: Path) -> None:
        with running(tmp_path, TOKEN_TTL="a month") as run:
            assert run.ended() == 2
            assert re.fullmatch(r"panzoto: TOKEN_TTL must be a whole number .*\n", run.text())

    @pytest.mark.parametrize(
        ("name", "value", "told"),
        [
            ("PORT", "abc", "PORT must be a whole number from 1 to 65535, such as PORT=5001"),
            ("SPEECH", "maybe", "SPEECH must be 1, true or yes, or else 0, false or no"),
        ],
    )
    def test_what_a_setting_may_be_is_told(self, tmp_path: Path, name: str, value: str, told: str) -> None:
        with running(tmp_path, **{name: value}) as run:
            assert run.ended() == 2
            assert run.text() == f"panzoto: {told}\n"

    def test_a_speech_model_that_is_none_is_told_before_anything_starts(self, tmp_path: Path) -> None:
        folder, file = tmp_path / "model", tmp_path / "model.bin"
        folder.mkdir()
        for path in (file, folder / "model.bin", folder / "config.json"):
            path.touch()
        for model, lacking in (
            (tmp_path / "nope", "is not there"),
            (file, "is no folder"),
            (folder, "lacks tokenizer.json, vocabulary.json or vocabulary.txt"),
        ):
            with running(tmp_path / "run", SPEECH="1", SPEECH_MODEL=str(model)) as run:
                assert run.ended() == 2
                assert run.text() == (
                    "panzoto: SPEECH_MODEL must be a folder with a model in CTranslate2's form "
                    f"({model} {lacking})\n"
                )
                assert not (run.data_dir / "aws").exists()

    @pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
    def test_no_stand_in_starts_where_there_is_an_endpoint(self, tmp_path: Path, endpoint: str) -> None:
        elsewhere = {endpoint: f"http://127.0.0.1:{free_port()}", "AWS_EC2_METADATA_DISABLED": "true"}
        with running(tmp_path, **elsewhere) as run:
            eventually(lambda: not is_free(run.url), run.text)
            assert requests.get(run.url + "/api/health", timeout=30).status_code == 200
            assert not (run.data_dir / "aws").exists()
            # What is logged for programs is no help to a person who has forgotten them.
            assert "there are no credentials for AWS here" in run.text()
            run.process.send_signal(signal.SIGTERM)
            assert run.ended() == 0

    def test_a_line_of_the_file_that_cannot_be_read_is_told_with_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("this is no setting = 'at all\nTOKEN_TTL=never\n")
        with running(tmp_path) as run:
            assert run.ended() == 2
            assert f"{file}: python-dotenv could not parse statement starting at line 1" in run.text()
            assert "TOKEN_TTL must be" in run.text()

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
            "gunicorn": ["-c", str(ROOT / "deploy" / "serving" / "gunicorn.conf.py")],
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

    def programs(self, folder: Path) -> str:
        """Return a PATH with make and a shell and nothing else."""
        folder.mkdir()
        for name in ("make", "sh"):
            (folder / name).symlink_to(shutil.which(name) or name)
        return str(folder)

    def test_help_is_the_default_and_lists_every_target(self, tmp_path: Path) -> None:
        printed = self.make(tmp_path)
        assert printed.returncode == 0
        listed = re.findall(r"^  make (\S+) +\S", printed.stdout, re.MULTILINE)
        phony = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert listed == " ".join(phony).split()
        assert {"help", "install", "run", "test", "lint", "types", "check", "lock", "bench", "clean"} <= {
            *listed
        }

    def test_help_needs_a_shell_and_make_alone(self, tmp_path: Path) -> None:
        printed = self.make(tmp_path, PATH=self.programs(tmp_path / "programs"))
        assert printed.stderr == ""
        assert "  make run          Start all of the service" in printed.stdout

    def test_an_installation_that_breaks_off_says_what_it_needs(self, tmp_path: Path) -> None:
        """pip's own last word, where it reaches nothing, is that there is no such library."""
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "requirements.txt").write_text(f"flask==3.0.0 --hash=sha256:{64 * '0'}\n")
        printed = subprocess.run(
            ["make", ".venv/.installed", f"PYTHON={sys.executable}"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert printed.returncode == 2
        assert "It needs the network this once" in printed.stderr
        assert not (tmp_path / ".venv" / ".installed").exists()

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
            # As python-dotenv reads it.
            ({}, "PORT=5001\n\nexport  AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", False),
            ({}, "  AWS_ENDPOINT_URL_DYNAMODB = 'http://127.0.0.1:1'\n", False),
            ({}, "FLASK_ENV = 'production' # at last\nPORT=5001\n", False),
            ({}, 'export FLASK_ENV="production"\n', False),
            ({}, "#AWS_ENDPOINT_URL=http://127.0.0.1:1\n# FLASK_ENV=production\n", True),
            ({}, "AWS_ENDPOINT_URL= # none\nAWS_ENDPOINT_URL_S3=''\nexport AWS_ENDPOINT_URL=\n", True),
            ({}, "AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1\nFLASK_ENV=development\n", True),
            ({}, "MAIL_FROM=FLASK_ENV=production\nX=$(exit 1) `exit 1` \\\nPORT=* \n", True),
        ],
    )
    def test_the_stand_in_is_installed_only_where_it_is_used(
        self, tmp_path: Path, environment: dict[str, str], dotenv: str, wanted: bool
    ) -> None:
        (tmp_path / ".env").write_text(dotenv)
        # No other program is asked: neither is there one on a bare machine.
        programs = self.programs(tmp_path / "programs")
        plan = self.make(tmp_path, "--dry-run", "run", PATH=programs, **environment)
        assert (plan.returncode, plan.stderr) == (0, "")
        assert (">.venv-aws/.installed" in plan.stdout) == wanted
        assert "-m deploy.local.make_run" in plan.stdout
