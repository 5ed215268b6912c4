"""Keys of every odd shape, none of them in the folders of whoever is asking."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

# Each makes a key from the id of the one who will record it, and a number.
SHAPES: tuple[Callable[[str, int], str], ...] = (
    lambda _, n: f"users/test-user/audio-{n}.3gp",
    lambda _, n: f"users/{n}/audio-{n}.3gp",
    lambda _, n: f"backups/dump-{n}",
    lambda _, n: f"dump-{n}",
    lambda me, n: f"backups/{me}/dump-{n}",
    lambda me, n: f"sittings/{me}/{n}",
    lambda me, n: f"transcripts/{me}/{n}",
    lambda me, n: f"aside/{me}/{n}",
    lambda me, n: f"users/{me}/../victim/audio-{n}.3gp",
    lambda me, n: f"users/{me}/./audio-{n}.3gp",
    lambda me, n: f"users/{me}//audio-{n}.3gp",
    lambda me, n: f"users/{me}\\..\\victim\\{n}",
    lambda me, n: f"/users/{me}/audio-{n}.3gp",
    lambda me, n: f"users/{me}{n}",
    lambda me, n: f"users/{me.upper()}/audio-{n}.3gp",
    lambda me, n: f"Users/{me}/audio-{n}.3gp",
    lambda me, n: f"users/{me}%2F..%2Fvictim-{n}",
    lambda me, n: f"audio_upload/{me[:8]}/audio_{n}.3gp_encrypted",
    lambda me, n: f"audio_upload/{me} /{n}",
    lambda me, n: f"audio_uploads/{me}/{n}",
    lambda _, n: f"users/grüße-{n}/録音-🎙.3gp",
    lambda _, n: f"a b+c&d={n}?versionId=1#part",
    lambda _, n: f"{n}/" + "ü" * 480,
    lambda _, n: f"users/%2e%2e/{n}",
    lambda _, n: f"..{n}/..",
)


def odd_keys(user_id: str, count: int) -> list[str]:
    """Return `count` different keys, the same ones for the same account."""
    chance = random.Random(user_id)
    return [
        SHAPES[number % len(SHAPES)](user_id, number) + chance.choice(("", "", ".3gp", f"-{uuid.uuid4()}"))
        for number in range(count)
    ]
