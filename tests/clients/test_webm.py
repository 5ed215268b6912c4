"""How the console puts duration and cues into WebM that was written before its end was known."""

from __future__ import annotations

import hashlib
import io
import json
import random
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.suites import need
from tests.support import clips

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = bytes.fromhex("1f43b675")
# Seconds by which a file may end otherwise than a packet does.
PACKET = 0.04
# Rewrites each of the files named, and prints what it found, in the order in which they are named.
PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { withDuration } from "PLACE/panzoto/console/uploading/webm.js";

const told = [];
for (const name of process.argv.slice(1)) {
  const bytes = new Uint8Array(readFileSync(name));
  const source = { size: bytes.length, read: async (start, stop) => bytes.subarray(start, stop) };
  const found = await withDuration(source);
  told.push(found && found.durationMs);
  if (found === null) continue;
  const pieces = [];
  const { size } = found.source;
  for (let at = 0; at < size; at += 1000) pieces.push(await found.source.read(at, Math.min(at + 1000, size)));
  writeFileSync(`${name}.out`, Buffer.concat(pieces));
}
console.log(JSON.stringify(told));
"""


def rewritten(*files: Path) -> list[int | None]:
    """Rewrite files, each into one beside it; return the milliseconds that each was found to last."""
    program = PROGRAM.replace("PLACE", ROOT.as_uri())
    done = subprocess.run(
        [need("node"), "--input-type=module", "--eval", program, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told: list[int | None] = json.loads(done.stdout)
    return told


def out(file: Path) -> bytes:
    return file.with_name(file.name + ".out").read_bytes()


def live(seconds: int, rate: int = 48000) -> bytes:
    """Return Opus in WebM as it is written for a stream: nothing in it tells its length."""
    made = io.BytesIO()
    options = {"live": "1", "cluster_time_limit": "1000"}
    with av.open(made, "w", format="webm", options=options) as container:
        stream = container.add_stream("libopus", rate=rate, layout="mono")
        for second in range(seconds):
            tone = clips.second_of(220 + 20 * second, rate, "s16", 1)
            frame = av.AudioFrame(format="s16", layout="mono", samples=rate)
            frame.planes[0].update(tone.tobytes())
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return made.getvalue()


def decoded(data: bytes) -> tuple[float, str]:
    """Return how many seconds come out of a file, and their digest."""
    whole, seconds = hashlib.sha256(), Fraction()
    with av.open(io.BytesIO(data)) as container:
        for frame in container.decode(audio=0):
            whole.update(bytes(frame.planes[0]))
            seconds += Fraction(frame.samples, frame.sample_rate)
    return float(seconds), whole.hexdigest()


def told(data: bytes) -> float | None:
    with av.open(io.BytesIO(data)) as container:
        return None if container.duration is None else container.duration / av.time_base


def sought(data: bytes, seconds: float) -> float:
    """Return where the first packet after a seek lies."""
    with av.open(io.BytesIO(data)) as container:
        container.seek(int(seconds * av.time_base))
        packet = next(container.demux(audio=0))
        assert packet.pts is not None
        assert packet.time_base is not None
        return float(packet.pts * packet.time_base)


def endless(data: bytes) -> bytes:
    """Return WebM whose clusters do not say how long they are, as browsers write them."""
    head, *clusters = data.split(CLUSTER)
    # Their sizes have two bytes here.
    assert all(cluster[0] & 0xC0 == 0x40 for cluster in clusters)
    return head + b"".join(CLUSTER + b"\x01" + b"\xff" * 7 + cluster[2:] for cluster in clusters)


def written(folder: Path, *contents: bytes) -> list[Path]:
    files = [folder / f"{number}.webm" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


@pytest.fixture(scope="module")
def recorded() -> bytes:
    return endless(live(31))


def test_duration_and_cues_are_there_and_the_sound_is_the_same(recorded: bytes, tmp_path: Path) -> None:
    assert told(recorded) is None
    (file,) = written(tmp_path, recorded)
    (milliseconds,) = rewritten(file)
    made = out(file)
    assert milliseconds is not None
    assert told(made) == pytest.approx(milliseconds / 1000, abs=0.001)
    assert told(made) == pytest.approx(31, abs=PACKET)
    assert decoded(made) == decoded(recorded)
    for second in (0, 4, 17, 30):
        # A cue is at most five seconds before what is sought.
        assert second - 6 < sought(made, second) <= second
    # What has a duration stays as it is.
    (again,) = written(tmp_path, made)
    assert rewritten(again) == [None]


def test_what_was_cut_off_plays_up_to_there(recorded: bytes, tmp_path: Path) -> None:
    chance = random.Random(19)
    first = recorded.index(CLUSTER)
    cuts = sorted(chance.randrange(first + 4000, len(recorded)) for _ in range(24))
    files = written(tmp_path, *(recorded[:cut] for cut in cuts))
    for file, milliseconds in zip(files, rewritten(*files), strict=True):
        assert milliseconds is not None
        made = out(file)
        assert told(made) == pytest.approx(milliseconds / 1000, abs=0.001)
        assert decoded(made)[0] == pytest.approx(milliseconds / 1000, abs=PACKET)
        # Nothing that is whole is lost: a block has 20 ms.
        share = (file.stat().st_size - first) / (len(recorded) - first)
        assert milliseconds / 1000 == pytest.approx(31 * share, abs=2)


def test_what_is_no_recording_of_a_browser_stays_as_it_is(recorded: bytes, tmp_path: Path) -> None:
    first = recorded.index(CLUSTER)
    noise = random.Random(7).randbytes(5000)
    others = [b"", b"\x1a", noise, b"RIFF" + noise, recorded[:60], recorded[:first], recorded[:first] + noise]
    files = written(tmp_path, *others)
    assert rewritten(*files) == [None] * len(files)


def test_ten_hours_have_few_cues(tmp_path: Path) -> None:
    """What a player fetches before the first sound stays small."""
    head = live(1)
    first = head.index(CLUSTER)
    hours = bytearray(head[:first])
    for second in range(36_000):
        stamp = b"\xe7\x84" + (1000 * second).to_bytes(4)
        hours += CLUSTER + b"\x01" + b"\xff" * 7 + stamp + b"\xa3\x85\x81\x00\x00\x80\xf8"
    (file,) = written(tmp_path, bytes(hours))
    (milliseconds,) = rewritten(file)
    assert milliseconds == 35_999_020
    made = out(file)
    assert made.index(CLUSTER) < 200_000
