"""What a device is called, as its owner reads it in a letter."""

from __future__ import annotations

import pytest

from panzoto.auth.caller import Client

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
READ = {
    "Chrome on Linux": "Chrome on Linux",
    CHROME[:64]: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 ...",
    "the telephone in the kitchen of a house by the lake in the north of"[:64]: (
        "the telephone in the kitchen of a house by the lake in the ..."
    ),
    "x" * 64: "x" * 64 + " ...",
}


@pytest.mark.parametrize("name", READ)
def test_a_name_that_was_cut_off_ends_at_a_whole_word(name: str) -> None:
    assert Client("192.0.2.1", name).device_to_read == READ[name]
