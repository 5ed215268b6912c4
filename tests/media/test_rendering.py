"""The program that decodes AMR: confined, and not to be put out by what it is given."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from panzoto.errors import Busy, PanzotoError
from panzoto.media.amr import Track
from panzoto.media.confined import Confined
from panzoto.media.wav import PROGRAM, Renderers, WavRecording
from tests.support import clips
from tests.support.sounds import Held

SAMPLES = {b"n": 160, b"w": 320}


def block(frames: list[bytes], preparing: int = 0) -> bytes:
    head = len(frames).to_bytes(4, "big") + preparing.to_bytes(4, "big")
    return head + b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


def wav(renderers: Renderers) -> WavRecording:
    data = clips.AMR_MAGIC + (b"\x3c" + bytes(31)) * 100
    return WavRecording(Held(data), Track("bare", False, 100, 32), renderers)


@pytest.mark.parametrize("codec", SAMPLES)
def test_whatever_a_frame_holds_it_is_twenty_milliseconds(codec: bytes) -> None:
    dice = random.Random(codec)
    frames = [dice.randbytes(dice.choice((0, 1, 2, 6, 13, 31, 32, 61))) for _ in range(2000)]
    with Confined(PROGRAM) as child:
        child.send(codec)
        child.send(block(frames) + block(frames[:30], 25))
        child.end_input()
        heard = child.read(2000 * SAMPLES[codec] * 2)
        assert len(child.read(5 * SAMPLES[codec] * 2)) == 10 * SAMPLES[codec]
    assert any(heard)


def test_it_decodes_behind_the_filter_and_in_one_thread() -> None:
    with Confined(PROGRAM) as child:
        child.send(b"n")
        child.send(block([b"\x7c"] * 5000))
        child.end_input()
        # It has more to say than a pipe holds, so it is still there.
        child.read(1)
        status = Path(f"/proc/{child.pid}/status").read_text()
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (told["Seccomp"], told["NoNewPrivs"], told["Threads"]) == ("2", "1", "1")


class TestFailing:
    def test_one_that_dies_is_an_error_of_ours(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.py"
        broken.write_text("import os\n\n\ndef main():\n    os._exit(3)\n")
        with pytest.raises(PanzotoError) as raised:
            next(wav(Renderers(program=broken)).plain(0, 1000))
        assert raised.value.status == 500

    def test_when_all_are_busy_it_says_so_before_a_byte(self) -> None:
        made = wav(Renderers(1, first_wait=0.01))
        with made.renderers.permit(0), pytest.raises(Busy):
            next(made.plain(0, 1000))
        assert len(b"".join(made.plain(0, 1000))) == 1000
