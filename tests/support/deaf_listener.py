"""Stands in for the process that hears: what it does is written in the sound; its folder holds marks.

It answers once `loaded` is there. `die` ends it, `fail` and `noise` are told so, `hold` waits for `let-go`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def wait_for(mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.01)


def answer(folder: Path, asked: dict[str, Any], content: bytes) -> dict[str, Any]:
    if content == b"die":
        os._exit(9)
    if content == b"fail":
        return {"failed": "RuntimeError"}
    if content == b"noise":
        return {"refused": "That is noise."}
    if content.startswith(b"hold"):
        with (folder / "held").open("a") as held:
            held.write(f"{os.getpid()}\n")
        wait_for(folder / "let-go")
    words = [{"word": " Hello", "start": 0.5, "end": 0.9}, {"word": " there.", "start": 0.9, "end": 1.5}]
    segment = {"start": 0.5, "end": 1.5, "text": " Hello there.", "avg_logprob": -0.2, "no_speech_prob": 0.1}
    told = f" {asked['prompt']} {len(content)}"
    return {
        "heard": {
            "language": asked["language"] or "en",
            "duration": 2.0,
            "segments": [
                {**segment, "words": words if asked["words"] else []},
                {
                    **segment,
                    "start": 1.6,
                    "end": 1.9,
                    "text": told,
                    "words": [],
                },
            ],
        }
    }


def main(folder: Path) -> None:
    wait_for(folder / "loaded")
    said = sys.stdout.buffer
    said.write(b'{"languages": ["en"]}\n')
    said.flush()
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        content = sys.stdin.buffer.read(asked["bytes"])
        said.write(json.dumps(answer(folder, asked, content)).encode() + b"\n")
        said.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
