"""Hears what is said in a sound: Whisper, in a process of its own, with its three standard streams alone.

`deploy.local.speech.engine` starts this file with the interpreter of `.venv-speech`, in which the service's
own libraries are not installed; so nothing here imports panzoto, and nothing imports this. The argument is a
folder with a model in CTranslate2's form. Once that is loaded, one line of JSON on standard output tells its
`languages`. After that, each line on standard input asks one question,

    {"bytes": 12345, "language": "en" | null, "prompt": "…" | null, "temperature": 0.0, "words": true}

with so many bytes of sound behind it, and is answered by one line: `{"heard": {…}}`, `{"refused": "why"}` or
`{"failed": "what"}`. Sound and words stay in memory, and nothing of them is written anywhere else.
"""

from __future__ import annotations

import copy
import io
import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.vad import SpeechTimestampsMap, VadOptions, collect_chunks, get_speech_timestamps

RATE = 16000
LONGEST_SECONDS = 25 * 60
# Whisper listens to windows of so many seconds; what is cut elsewhere than in silence loses words.
WINDOW_SECONDS = 30
# What FFmpeg may take a sound for; its playlists would make it open files and addresses.
FORMATS = "flac,wav,mp3,ogg,mov,matroska,aac,amr"


class Refused(Exception):
    """There is nothing to hear in that; the sentence says why."""


class Model(WhisperModel):
    """Whisper whose text is the same with and without times of words.

    faster-whisper lets these times decide where the next window begins and which segments are dropped
    (`generate_segments`), so that a phrase is lost now and then. Here they are kept aside, by the tokens.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1)
        self.times: dict[tuple[int, tuple[int, ...]], list[dict[str, Any]]] = {}

    def add_word_timestamps(self, segments: list[Any], *how: Any, **more: Any) -> Any:
        timed = copy.deepcopy(segments)
        last = super().add_word_timestamps(timed, *how, **more)
        for bare_ones, timed_ones in zip(segments, timed, strict=True):
            for bare, with_words in zip(bare_ones, timed_ones, strict=True):
                self.times[bare["seek"], tuple(bare["tokens"])] = with_words["words"]
                bare["words"] = []
        return last


@dataclass
class Question:
    """What is asked about a sound."""

    sound: np.ndarray
    language: str | None
    prompt: str | None
    temperature: float
    words: bool


def decode(content: bytes) -> np.ndarray:
    """Return the samples of a sound, mono at `RATE`, as floats. Raises `Refused`."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pieces: list[np.ndarray] = []
    samples = 0
    try:
        with av.open(
            io.BytesIO(content), metadata_errors="ignore", options={"format_whitelist": FORMATS}
        ) as container:
            if not container.streams.audio:
                raise Refused("The file holds no sound.")
            for frame in _frames(container):
                for piece in resampler.resample(frame):
                    pieces.append(piece.to_ndarray().reshape(-1))
                    samples += len(pieces[-1])
                if samples > LONGEST_SECONDS * RATE:
                    raise Refused(f"The sound is longer than {LONGEST_SECONDS // 60} minutes.")
    except (av.FFmpegError, ValueError):
        raise Refused("The file holds no sound that can be read.") from None
    joined = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return joined.astype(np.float32) / 32768.0


def _frames(container: Any) -> Iterator[Any]:
    for frame in container.decode(audio=0):
        # Whatever the container says of times: the samples follow each other.
        frame.pts = None
        yield frame
    yield None


def hear(model: Model, question: Question) -> dict[str, Any]:
    """Return the segments, each with its words where they were wanted, and the language."""
    # Silence is left out before anything is listened to: Whisper hears words in it.
    options = VadOptions(min_silence_duration_ms=500, max_speech_duration_s=WINDOW_SECONDS - 1)
    spoken = get_speech_timestamps(question.sound, options)
    language = question.language
    segments: list[dict[str, Any]] = []
    for window in _windows(spoken):
        sound = np.concatenate(collect_chunks(question.sound, window)[0])
        heard, info = model.transcribe(
            sound,
            language=language,
            temperature=question.temperature,
            word_timestamps=question.words,
            condition_on_previous_text=False,
            # Names that are expected; as a first prompt they would be forgotten after the first window.
            hotwords=question.prompt,
        )
        language = info.language
        times = SpeechTimestampsMap(window, RATE)
        segments += [_segment(one, model, times) for one in heard]
        model.times.clear()
    return {
        "language": language,
        "duration": round(len(question.sound) / RATE, 3),
        "segments": _in_order(segments),
    }


def _windows(spoken: list[dict[str, int]]) -> Iterator[list[dict[str, int]]]:
    """Gather what is spoken into windows that Whisper takes in whole."""
    window: list[dict[str, int]] = []
    length = 0
    for chunk in spoken:
        size = chunk["end"] - chunk["start"]
        if window and length + size > WINDOW_SECONDS * RATE:
            yield window
            window, length = [], 0
        window.append(chunk)
        length += size
    if window:
        yield window


def _segment(one: Any, model: Model, times: SpeechTimestampsMap) -> dict[str, Any]:
    words = [_word(word, times) for word in model.times.get((one.seek, tuple(one.tokens)), [])]
    is_whole = "".join(word["word"] for word in words).split() == one.text.split()
    segment = {
        "start": times.get_original_time(one.start),
        "end": times.get_original_time(one.end, is_end=True),
        "text": one.text,
        "temperature": one.temperature,
        "avg_logprob": one.avg_logprob,
        "compression_ratio": one.compression_ratio,
        "no_speech_prob": one.no_speech_prob,
        # Times of other words than those of the text help nobody.
        "words": words if is_whole else [],
    }
    if segment["words"]:
        segment["start"], segment["end"] = words[0]["start"], words[-1]["end"]
    return segment


def _word(word: dict[str, Any], times: SpeechTimestampsMap) -> dict[str, Any]:
    # Both ends belong to the stretch of speech in which the word's middle lies.
    stretch = times.get_chunk_index((word["start"] + word["end"]) / 2)
    return {
        "word": word["word"],
        "start": times.get_original_time(float(word["start"]), stretch),
        "end": times.get_original_time(float(word["end"]), stretch),
    }


def _in_order(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let nothing begin before what stands before it begins or has ended, and end before it begins."""
    reached = 0.0
    for segment in segments:
        for part in (*segment["words"], *([] if segment["words"] else [segment])):
            part["start"] = max(part["start"], reached)
            reached = part["end"] = max(part["end"], part["start"])
        if segment["words"]:
            segment["start"], segment["end"] = segment["words"][0]["start"], segment["words"][-1]["end"]
    return segments


def answer(model: Model, asked: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Return the answer to one question; none of them ends this process."""
    try:
        question = Question(
            decode(content),
            _known(asked["language"], model),
            asked["prompt"],
            float(asked["temperature"]),
            bool(asked["words"]),
        )
        return {"heard": hear(model, question)}
    except Refused as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - its text may quote what was said
        return {"failed": type(error).__name__}


def _known(language: str | None, model: Model) -> str | None:
    known = model.supported_languages
    if language is not None and language not in known:
        raise Refused(f"This model does not know the language {language}; it knows {', '.join(known)}.")
    return language


def main(folder: str) -> None:
    # What a library prints must not be taken for an answer.
    answers: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    model = Model(folder)
    _say(answers, {"languages": model.supported_languages})
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        content = sys.stdin.buffer.read(asked["bytes"])
        if len(content) < asked["bytes"]:
            return
        _say(answers, answer(model, asked, content))


def _say(answers: BinaryIO, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
