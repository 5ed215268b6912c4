"""The interface of the speech engine of `make run`, with a process behind it that does what a test wants."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from deploy.local.speech.engine import WAITING
from deploy.local.speech.form import MOST_BODY_BYTES, MOST_FIELD_BYTES
from tests.support.processes import children, opened
from tests.support.speech import Front, front
from tests.support.waiting import eventually

PATH = "/v1/audio/transcriptions"


@contextmanager
def asking(running: Front) -> Iterator[ThreadPoolExecutor]:
    """Threads that ask; what is held for them is let go in the end."""
    with ThreadPoolExecutor(WAITING + 2) as pool:
        try:
            yield pool
        finally:
            running.mark("let-go")


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[Front]:
    """An engine that can be asked."""
    with front(tmp_path) as running:
        running.mark("loaded")
        eventually(lambda: running.health().status_code == 200, "it is not ready")
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """An engine for the tests after which it is as it was."""
    with front(tmp_path_factory.mktemp("shared")) as running:
        running.mark("loaded")
        eventually(lambda: running.health().status_code == 200, "it is not ready")
        yield running


class TestBeforeTheEngineIsThere:
    def test_it_says_when_to_come_back_until_the_model_is_loaded(self, tmp_path: Path) -> None:
        with front(tmp_path) as running:
            for answer in (running.ask(), running.health()):
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.json()["error"]["message"]
            running.mark("loaded")
            eventually(lambda: running.health().status_code == 200, "it is not ready")
            assert running.ask().status_code == 200

    def test_a_question_waits_for_the_engine(self, tmp_path: Path) -> None:
        with front(tmp_path, patience=120) as running, ThreadPoolExecutor() as pool:
            asked = pool.submit(running.ask)
            # The other one is behind it, so it waits by now.
            assert running.health().status_code == 503
            running.mark("loaded")
            assert asked.result().status_code == 200

    def test_what_could_not_be_installed_is_not_waited_for(self, tmp_path: Path) -> None:
        nothing = [sys.executable, "-c", "raise SystemExit(1)"]
        with front(tmp_path, patience=120, fetch=nothing) as running:
            eventually(lambda: "Retry-After" not in running.health().headers, "it is still waited for")
            answer = running.ask()
            assert answer.status_code == 503
            assert "Retry-After" not in answer.headers
            assert "could not be installed" in answer.json()["error"]["message"]


class TestQuestions:
    def test_the_answer_has_segments_words_language_and_duration(self, shared: Front) -> None:
        answer = shared.ask(language="DE", prompt="Panzoto, Zürich").json()
        assert (answer["language"], answer["duration"]) == ("de", 2.0)
        assert answer["text"] == "Hello there. Panzoto, Zürich 5"
        assert [(one["id"], one["start"], one["end"]) for one in answer["segments"]] == [
            (0, 0.5, 1.5),
            (1, 1.6, 1.9),
        ]
        assert answer["segments"][0]["avg_logprob"] == -0.2
        assert answer["segments"][0]["no_speech_prob"] == 0.1
        assert answer["words"] == [
            {"word": "Hello", "start": 0.5, "end": 0.9},
            {"word": "there.", "start": 0.9, "end": 1.5},
        ]

    def test_words_come_when_they_are_asked_for(self, shared: Front) -> None:
        assert "words" not in shared.ask(**{"timestamp_granularities[]": ["segment"]}).json()

    def test_other_forms_of_the_answer(self, shared: Front) -> None:
        assert shared.ask(response_format="json").json() == {"text": "Hello there. None 5"}
        text = shared.ask(response_format="text")
        assert (text.text, text.headers["Content-Type"]) == (
            "Hello there. None 5\n",
            "text/plain; charset=utf-8",
        )

    @pytest.mark.parametrize(
        ("fields", "about"),
        [
            ({"response_format": "srt"}, "response_format"),
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": "nan"}, "temperature"),
            ({"temperature": "1.5"}, "temperature"),
            ({"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
            ({"prompt": "x" * (MOST_FIELD_BYTES + 1)}, "too large"),
        ],
    )
    def test_a_field_that_is_no_good_is_named(
        self, shared: Front, fields: dict[str, str], about: str
    ) -> None:
        answer = shared.ask(**fields)
        assert answer.status_code == 400
        assert about in answer.json()["error"]["message"]

    def test_a_sound_that_is_none_is_refused_for_good(self, shared: Front) -> None:
        answer = shared.ask(b"noise")
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "That is noise.")

    def test_a_form_without_a_file_and_no_form_at_all(self, shared: Front) -> None:
        for how in ({"files": {"model": (None, "x")}}, {"json": {"file": "x"}}, {"data": {"file": "x"}}):
            assert requests.post(shared.url + PATH, timeout=60, **how).status_code == 400  # type: ignore[arg-type]

    def test_a_body_without_a_length_and_one_that_is_too_long(self, shared: Front) -> None:
        assert requests.post(shared.url + PATH, data=iter([b"x"]), timeout=60).status_code == 411
        with socket.create_connection(("127.0.0.1", shared.port)) as client:
            request = (
                f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MOST_BODY_BYTES + 1}\r\n\r\n"
            )
            client.sendall(request.encode())
            assert client.makefile("rb").readline().split()[1] == b"413"

    @pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Host": "example.com"}])
    def test_pages_in_a_browser_are_not_answered(self, shared: Front, headers: dict[str, str]) -> None:
        assert requests.get(shared.url + "/health", headers=headers, timeout=60).status_code == 403

    def test_there_is_nothing_else(self, shared: Front) -> None:
        assert requests.get(shared.url + "/", timeout=60).status_code == 404
        assert requests.post(shared.url + "/health", timeout=60).status_code == 404


class TestOneAfterTheOther:
    def test_every_byte_of_a_large_sound_arrives_and_none_on_a_disk(self, ready: Front) -> None:
        content = b"hold" + os.urandom(5_000_000)
        with asking(ready) as pool:
            asked = pool.submit(ready.ask, content)
            eventually(lambda: bool(ready.held()), "it was not asked")
            assert list((ready.folder / "tmp").iterdir()) == []
            for process in (ready.process.pid, *children(ready.process.pid)):
                # The first three are pytest's, or pipes.
                held = [name for number, name in opened(process).items() if number > 2]
                assert not any(name.endswith("(deleted)") for name in held)
            ready.mark("let-go")
            assert asked.result().json()["text"].endswith(f" {len(content)}")

    def test_so_many_wait_and_the_next_is_told_to_come_back(self, ready: Front) -> None:
        with asking(ready) as pool:
            asked: list[Future[requests.Response]] = [pool.submit(ready.ask, b"hold")]
            eventually(lambda: len(ready.held()) == 1, "it was not asked")
            asked += [pool.submit(ready.ask, b"hold") for _ in range(WAITING + 1)]
            eventually(lambda: any(one.done() for one in asked), "nobody was refused")
            (refused,) = [one for one in asked if one.done()]
            assert refused.result().status_code == 429
            assert int(refused.result().headers["Retry-After"]) > 0
            # Nobody else is heard before the first one has been.
            assert len(ready.held()) == 1
            ready.mark("let-go")
            assert [one.result().status_code for one in asked if one is not refused] == [200] * (WAITING + 1)
        assert len(set(ready.held())) == 1

    def test_who_leaves_is_not_listened_for_any_longer(self, ready: Front) -> None:
        part = 'Content-Disposition: form-data; name="file"; filename="a"'
        body = f"--x\r\n{part}\r\n\r\nhold\r\n--x--\r\n"
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        with socket.create_connection(("127.0.0.1", ready.port)) as client:
            client.sendall(f"{head}{kind}{body}".encode())
            eventually(lambda: len(ready.held()) == 1, "it was not asked")
        (heard_by,) = ready.held()
        eventually(lambda: not Path(f"/proc/{heard_by}").exists(), "it goes on for nobody")
        eventually(lambda: ready.health().status_code == 200, "it is not started anew")
        assert ready.ask().status_code == 200


class TestLifeAndDeath:
    @pytest.mark.parametrize("content", [b"die", b"fail"])
    def test_a_sound_over_which_it_fails_may_be_sent_again(self, ready: Front, content: bytes) -> None:
        answer = ready.ask(content)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        # That the process has ended may be seen a moment after its last answer.
        eventually(lambda: ready.ask().status_code == 200, "it is not started anew")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_nothing_is_left_running(self, ready: Front, number: signal.Signals) -> None:
        (heard_by,) = children(ready.process.pid)
        ready.process.send_signal(number)
        ready.process.wait()
        eventually(lambda: not Path(f"/proc/{heard_by}").exists(), "the process that hears lives on")
