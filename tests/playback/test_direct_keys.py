"""The direct keys are dear, and derived for single-shot recordings alone; once for all of a request's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from panzoto import create_app
from panzoto.config import Settings
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.keys import DerivedLater, DirectKeys, Keys
from panzoto.playback.opening import Playback
from tests.support.service import Service
from tests.support.vectors import KEY_SALT, OPENING, PASSWORD, VAULT_KEY, content, name_of

AT_ONCE = 8


class Derivation:
    """Derives the vectors' direct keys, and counts how often it was wanted."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> DirectKeys:
        self.count += 1
        return direct_keys(PASSWORD, KEY_SALT)


@pytest.fixture(scope="module")
def playback(service: Service) -> Iterator[Playback]:
    """The service's own part, in this process and on the same bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        yield create_app(Settings.from_environment()).extensions["panzoto"].playback


@pytest.mark.parametrize("case", OPENING, ids=name_of)
def test_only_single_shot_recordings_need_them(
    service: Service, playback: Playback, case: dict[str, Any]
) -> None:
    service.put_object(case["s3_key"], content(case))
    derivation = Derivation()
    keys = Keys(VAULT_KEY, DerivedLater(derivation))
    first = playback.open(case["s3_key"], keys, None)
    again = playback.open(case["s3_key"], keys, first.format)
    assert again.format == first.format
    assert derivation.count == (0 if case["name"].startswith("v2") else 1)


def test_threads_that_need_them_at_once_have_them_derived_once() -> None:
    together, derivation = threading.Barrier(AT_ONCE), Derivation()
    keys = Keys(VAULT_KEY, DerivedLater(derivation))

    def needed(_: int) -> tuple[DirectKeys, ...]:
        together.wait()
        return keys.generations

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert set(threads.map(needed, range(AT_ONCE))) == {(direct_keys(PASSWORD, KEY_SALT),)}
    assert derivation.count == 1


def test_todays_come_first_and_each_once() -> None:
    today, before = (DirectKeys(bytes([number]) * 32, bytes(32)) for number in (1, 2))
    assert Keys(VAULT_KEY, DerivedLater(lambda: today), (today, before)).generations == (today, before)
    assert Keys(VAULT_KEY, earlier=(before,)).generations == (before,)
    assert Keys(VAULT_KEY).generations == ()


def test_no_key_is_shown_with_them() -> None:
    keys = Keys(VAULT_KEY, DerivedLater(lambda: direct_keys(PASSWORD, KEY_SALT)))
    assert keys.generations
    shown = repr(keys)
    assert PASSWORD not in shown
    assert repr(VAULT_KEY) not in shown
