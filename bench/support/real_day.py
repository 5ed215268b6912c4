"""A day that is really done: every action of everybody, in front of a stand-in that counts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.support.day import Day, Done
from bench.support.people import SPARE, Person, prepared
from bench.support.process import cpu_seconds
from bench.support.profiles import EVENT, LAST, WORK, Calls, Cost, cost_of
from bench.support.recording import Running
from tests.support.processes import children

# More of them would make the stand-in so slow that calls are given up and made anew.
THREADS = 2


def done_for_real(
    run: Running, day: Day, history: int, threads: int = THREADS, told: Callable[[str], None] | None = None
) -> Cost:
    """Prepare everybody, let them do their day, and return what the service asked of AWS meanwhile.

    `told` gets a sentence about the processor time that it took.
    """
    crowd = _prepared(run, day, history, threads)
    run.forget_events()
    run.settled()
    before = sum(person.calls for person, *_ in crowd), _core_seconds(run)
    # Transcripts come as on any day, soon after they were asked for: no job finds another one waiting.
    with run.working(WORK):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda some: _live(run, some), (crowd[at::threads] for at in range(threads))))
        run.wait_for(WORK)
        calls: Calls = run.settled(2)
    requests = sum(person.calls for person, *_ in crowd) - before[0]
    if told is not None:
        each = (_core_seconds(run) - before[1]) / max(1, requests)
        told(f"{requests} requests, {each * 1000:.1f} ms of a core each")
    calls += run.work_off(EVENT)
    return cost_of(calls)


def _core_seconds(run: Running) -> float:
    return sum(cpu_seconds(pid) for pid in children(run.service.process.pid))


def _prepared(
    run: Running, day: Day, history: int, threads: int
) -> list[tuple[Person, list[tuple[str, str]], list[Done]]]:
    def prepare(number: int) -> tuple[Person, list[tuple[str, str]], list[Done]]:
        done = day.of(number)
        counts = Counter(one.kind for one in done)
        needs = {kind: counts[kind] for kind in SPARE if counts[kind]}
        person = prepared(run.service, number, needs, history)
        devices = counts["refresh"] + counts[LAST]
        return person, [person.new_device() for _ in range(devices)], done

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(prepare, range(day.people)))


def _live(run: Running, some: list[tuple[Person, list[tuple[str, str]], list[Done]]]) -> None:
    """Let these people do what they do, one after the other each, a piece of each one's day in turn."""
    days = [_pieces(*one) for one in some]
    for pieces in itertools.zip_longest(*days):
        for piece in pieces:
            if piece is not None:
                person, todo = piece
                for one in todo:
                    person.do(one)
                    if one.kind == "transcribe":
                        run.wait_for(WORK)


def _pieces(
    person: Person, devices: list[tuple[str, str]], done: list[Done]
) -> Iterator[tuple[Person, list[Done]]]:
    """Yield a day in pieces that begin with a visit, each from another device.

    So no process knows a session from the visit before, which in a real day was long ago.
    """
    piece: list[Done] = []
    for one in done:
        if one.kind in ("refresh", LAST):
            if piece:
                yield person, piece
            person.use(*devices.pop())
            piece = []
        piece.append(one)
    if piece:
        yield person, piece


def differences(
    real: Cost, replayed: Cost, over: Iterable[str] = ("requests", "writes", "reads")
) -> dict[str, tuple[float, float]]:
    """Return what is not the same in both: requests by name, units by table and index."""
    found = {}
    for what in over:
        sums = [_by_place(getattr(cost, what)) for cost in (real, replayed)]
        for name in sorted(sums[0].keys() | sums[1].keys()):
            if round(sums[0][name], 3) != round(sums[1][name], 3):
                found[f"{what} {name}"] = sums[0][name], sums[1][name]
    return found


def _by_place(counted: Counter[object]) -> Counter[str]:
    """Sum up over the sorts of keys, which only a profile tells apart."""
    sums: Counter[str] = Counter()
    for key, value in counted.items():
        sums[key if isinstance(key, str) else "/".join(word for word in key[:2] if word)] += value  # type: ignore[index]
    return sums
