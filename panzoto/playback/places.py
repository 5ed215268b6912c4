"""Places for what is streamed: how many may listen at one time, of a ticket, an account and a process.

Who listens costs memory and a connection to the storage for as long as they like. A player that pauses, or
somebody who reads nothing, gives way when a place is needed, and comes back with a range.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from panzoto.errors import Busy, TooManyStreams

# A browser opens six connections to one host.
MOST_OF_ONE = 8
# In all processes together.
MOST_OF_ACCOUNT = 64
# Whoever has taken nothing for so long may have to give way.
IDLE_SECONDS = 30


class Listener(Protocol):
    """The client that takes a stream."""

    def idle_seconds(self) -> float: ...

    def end(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """One stream of `what`, a ticket or an export, that belongs to an account."""

    user_id: str
    what: str
    listener: Listener | None


class Places:
    """The streams of one process, of which there are so many."""

    def __init__(self, places: int, processes: int) -> None:
        self._places = places
        self._of_account = max(MOST_OF_ONE, MOST_OF_ACCOUNT // processes)
        self._taken: dict[Place, None] = {}
        self._guard = threading.Lock()

    def take(self, user_id: str, what: str, listener: Listener | None) -> Callable[[], None]:
        """Take a place, and return what gives it back; repeating that does nothing.

        Raises `TooManyStreams` for one of an account or a ticket that has its share, and `Busy`.
        """
        place = Place(user_id, what, listener)
        with self._guard:
            self._make_room([one for one in self._taken if one.what == what], MOST_OF_ONE, TooManyStreams)
            own = [one for one in self._taken if one.user_id == user_id]
            self._make_room(own, self._of_account, TooManyStreams)
            self._make_room([*self._taken], self._places, Busy)
            self._taken[place] = None
        return lambda: self._give_back(place)

    def _make_room(self, places: list[Place], most: int, refusal: type[Busy | TooManyStreams]) -> None:
        """Let one of `places` give way if they are all that there may be, of whoever has most of them."""
        if len(places) < most:
            return
        idle = [(one, one.listener.idle_seconds()) for one in places if one.listener is not None]
        idle = [(one, seconds) for one, seconds in idle if seconds >= IDLE_SECONDS]
        if not idle:
            raise refusal()
        owners = [one.user_id for one in places]
        last, _ = max(idle, key=lambda found: (owners.count(found[0].user_id), found[1]))
        del self._taken[last]
        if last.listener is not None:
            last.listener.end()

    def _give_back(self, place: Place) -> None:
        with self._guard:
            self._taken.pop(place, None)
