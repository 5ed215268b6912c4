"""The speech engine of `make run` with its model: what espeak-ng says is heard, without any network."""

from __future__ import annotations

import io
import math
import os
import re
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deploy.local.speech import fetching, weights
from deploy.local.speech.front import listener_command
from deploy.local.speech.launch import require_model
from panzoto.config import Settings
from tests.suites import need
from tests.support.make_run import started
from tests.support.processes import children, command, opened
from tests.support.speech import Front, ask, front
from tests.support.waiting import eventually

SENTENCE = "We met on Tuesday morning to talk about the garden behind the old library."
# Of a single sentence by this voice a small model is not sure, and how a processor rounds may decide.
SPOKEN_FOR_A_WHILE = {
    "de": "Guten Morgen, wir sprechen heute über den Garten hinter dem Haus. Gestern haben wir Kartoffeln "
    "und Zwiebeln gepflanzt, und abends hat es lange geregnet. Morgen kommt meine Schwester zum Mittagessen.",
    "es": "Buenos días, hoy hablamos del jardín que está detrás de la casa. Ayer plantamos patatas y "
    "cebollas, y por la noche llovió durante mucho tiempo. Mañana vienen mi hermana y sus hijos a comer.",
}


def spoken(text: str, voice: str = "en-us") -> bytes:
    """What espeak-ng says, as a WAV file."""
    command = [need("espeak-ng"), "-v", voice, "-s", "150", "--stdout", text]
    return subprocess.run(command, capture_output=True, check=True).stdout


def tone(seconds: int) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        samples = (int(3000 * math.sin(number / 6)) for number in range(16000))
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples) * seconds)
    return written.getvalue()


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    into = fetching.ENVIRONMENT
    model = weights.found(fetching.models_in(into))
    assert model is not None, "this test needs the speech engine: make speech"
    with front(tmp_path_factory.mktemp("speech"), listener_command(into, model)) as running:
        eventually(lambda: running.health().status_code == 200, "it is not ready")
        yield running


def test_a_sentence_is_heard_word_by_word(engine: Front) -> None:
    answer = engine.ask(spoken(SENTENCE), language="en").json()
    assert words_of(answer["text"]) == words_of(SENTENCE)
    assert answer["language"] == "en"
    assert [word["word"].lower().strip(".") for word in answer["words"]] == words_of(SENTENCE)
    times = [time for word in answer["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= answer["duration"]
    for segment in answer["segments"]:
        assert segment["start"] <= segment["end"]
        assert segment["avg_logprob"] > -1
        assert segment["no_speech_prob"] < 0.6


def test_the_text_is_the_same_with_and_without_times_of_words(engine: Front) -> None:
    sound = spoken(" ".join([SENTENCE, "He has lived in this village for a long time.", SENTENCE] * 2))
    with_words = engine.ask(sound, language="en").json()
    without = engine.ask(sound, language="en", **{"timestamp_granularities[]": ["segment"]}).json()
    assert with_words["text"] == without["text"]
    heard = " ".join(word["word"] for word in with_words["words"])
    assert words_of(heard) == words_of(with_words["text"])


@pytest.mark.parametrize("language", SPOKEN_FOR_A_WHILE)
def test_the_language_is_detected(engine: Front, language: str) -> None:
    answer = engine.ask(spoken(SPOKEN_FOR_A_WHILE[language], language))
    assert answer.json()["language"] == language


@pytest.mark.parametrize("sound", [tone(3), tone(0)])
def test_where_nobody_speaks_nothing_is_heard(engine: Front, sound: bytes) -> None:
    answer = engine.ask(sound).json()
    assert (answer["text"], answer["segments"], answer["words"]) == ("", [], [])


def test_a_language_that_the_model_does_not_know_is_named(engine: Front) -> None:
    answer = engine.ask(spoken("Hello."), language="xx")
    assert answer.status_code == 400
    assert "does not know the language xx" in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", os.urandom(5000), b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n"])
def test_what_is_no_sound_is_refused(engine: Front, content: bytes) -> None:
    answer = engine.ask(content)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "The file holds no sound that can be read.",
    )


def test_a_sound_of_hours_in_a_small_file_is_refused(engine: Front) -> None:
    with wave.open(file := io.BytesIO(), "wb") as hours:
        hours.setparams((1, 1, 8000, 0, "NONE", ""))
        hours.writeframes(b"\x80" * 8000 * 60 * 26)
    answer = engine.ask(file.getvalue())
    assert answer.status_code == 400
    assert "longer than 25 minutes" in answer.json()["error"]["message"]


def test_the_process_that_hears_has_no_way_into_a_network(engine: Front) -> None:
    engine.ask(spoken("Hello."))
    (heard_by,) = children(engine.process.pid)
    held = opened(heard_by).values()
    assert held
    assert not any(name.startswith("socket:") for name in held), held


def test_a_model_that_the_engine_opens_may_be_chosen() -> None:
    model = weights.found(fetching.models_in(fetching.ENVIRONMENT))
    require_model(Settings(speech_model=model))


def test_make_run_starts_it_starts_it_anew_and_stops_it(tmp_path: Path) -> None:
    with started(tmp_path, SPEECH="1") as run:
        assert requests.get(run.url + "/api/health", timeout=30).status_code == 200
        url = run.wait_for(r"Speech +(http://127\.0\.0\.1:\d+)/v1").group(1)

        def interface() -> list[int]:
            return [child for child in run.children() if "speech.front" in command(child)]

        assert words_of(ask(url, spoken(SENTENCE), language="en").json()["text"]) == words_of(SENTENCE)
        (first,) = interface()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: interface() not in ([], [first]), run.text)
        assert ask(url, spoken(SENTENCE), language="en").status_code == 200
        (web,) = [child for child in run.children() if "gunicorn" in command(child)]
        assert f"TRANSCRIPTION_URL={url}/v1" in Path(f"/proc/{web}/environ").read_text().split("\0")
        family = [pid for child in run.children() for pid in (child, *children(child))]
        run.process.send_signal(signal.SIGINT)
        assert run.ended() == 0
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), run.text)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SPEECH": "0"}, "off, by SPEECH"),
        (
            {"SPEECH": "1", "TRANSCRIPTION_URL": "http://me:secret@127.0.0.1:9/v1"},
            "the engine at 127.0.0.1, by TRANSCRIPTION_URL",
        ),
    ],
)
def test_make_run_starts_none_where_none_is_wanted(
    tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    with started(tmp_path, **settings) as run:
        assert f"  Speech    {told}\n" in run.text()
        assert "secret" not in run.text()
        assert not any("speech.front" in command(child) for child in run.children())
        (web,) = [child for child in run.children() if "gunicorn" in command(child)]
        names = dict(
            pair.partition("=")[::2] for pair in Path(f"/proc/{web}/environ").read_text().split("\0")
        )
        assert names.get("TRANSCRIPTION_URL") == settings.get("TRANSCRIPTION_URL")
