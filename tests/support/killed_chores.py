"""Real workers on chores, killed at a chosen call to the storage, right before it or right after it.

`live_under_kills` does it as often as it is told, over all kinds of calls that chores make, while phones go
on; then workers that nobody kills do what is left.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from tests.support.chore_states import BusyPhone, States, wrong
from tests.support.commands import command
from tests.support.fault_proxy import Action, Answer, Fault, FaultProxy, Request
from tests.support.faults import Control, DropConnection
from tests.support.forked_commands import Command
from tests.support.rows import USERS_TABLE
from tests.support.service import Service, aws_client
from tests.support.waiting import eventually
from tests.support.wire import Piece

BEFORE, AFTER = "before", "after"
ROLE = "chores"
ACCOUNTS_AT_FIRST = 2
# After so long another day begins, whatever is left of this one.
DAY_SECONDS = 300.0
IDLE_SECONDS = 1.5
# How often is looked who was killed, and what is left to do.
LOOK_SECONDS = 0.4
# The same where nobody kills, so that nobody has to be started again: what a dead worker had is hidden for
# two minutes, and each look goes through all accounts.
LOOK_AT_REST_SECONDS = 1.5
DAYS_AFTER = 3
# So many live at once, and each is killed by itself.
WORKERS = 4
# So much is told of what a worker wrote that did not get through.
TOLD_CHARACTERS = 4000
# When in a day a worker is stopped.
STOP_SECONDS = 5.0
# So many kinds of calls are waited for at a time.
OPEN = 10
# A kind that has not come on so many days has had its turn.
DAYS_IN_VAIN = 4
# A kind that comes more often in a day than that is met after some others as well.
COMMON = 20
# When accounts are due, in seconds from now: those that nobody is at, and those that somebody took of late.
Whens = tuple[tuple[float, float], ...]
NOW: Whens = ((-math.inf, 0),)
NOW_OR_TAKEN: Whens = (*NOW, (45 * 60, 61 * 60))


@dataclass
class Lives:
    """What came of it: how often a worker was killed, by kind and moment, and what is not as it has to be."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    handed_out: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    # Before anything is done, and in the end.
    wrong_before: int = 0
    wrong: list[str] = field(default_factory=list)
    accounts: int = 0
    days: int = 2

    @property
    def never_killed_at(self) -> set[str]:
        return set(self.seen) - {kind for kind, _ in self.kills}

    @property
    def never_done(self) -> set[str]:
        return self.handed_out - self.done


def kind_of(request: Request) -> str:
    """Return what a call is called: the operation, and of DynamoDB table and index."""
    target = request.headers.get("x-amz-target")
    if target is None:
        return f"S3 {_s3_operation(request)}"
    if target.startswith("AmazonSQS"):
        return f"SQS {request.operation}"
    told = request.json()
    tables = told.get("RequestItems") or {told.get("TableName", "several tables"): None}
    index = f" {told['IndexName']}" if "IndexName" in told else ""
    names = ", ".join(name.removeprefix("panzoto-") for name in sorted(tables))
    return f"DynamoDB {request.operation} {names}{index}"


def _s3_operation(request: Request) -> str:
    asked = parse_qs(request.query, keep_blank_values=True)
    names = {
        ("GET", "versions"): "ListObjectVersions",
        ("GET", "uploads"): "ListMultipartUploads",
        ("GET", "uploadId"): "ListParts",
        ("POST", "uploadId"): "CompleteMultipartUpload",
        ("DELETE", "uploadId"): "AbortMultipartUpload",
        ("DELETE", "versionId"): "DeleteObject of a version",
    }
    for (method, parameter), name in names.items():
        if request.method == method and parameter in asked:
            return name
    copied = " from another" if "x-amz-copy-source" in request.headers else ""
    return f"{request.method} an object{copied}"


class _Plan:
    """At which calls workers are to be killed: some kinds at a time, each at whichever worker makes it.

    All kinds have a turn before one has another: who waited for a rare one while workers died of what they do
    first would never see it.
    """

    def __init__(self, lives: Lives, kills: int, seed: int) -> None:
        self._lives = lives
        self._kills = kills
        self._chance = random.Random(seed)
        # On how many days each kind was waited for.
        self._days: Counter[str] = Counter()
        # By kind: the moment, and how many are to pass before.
        self._open: dict[str, tuple[str, int]] = {}
        self._guard = threading.Lock()

    @property
    def is_over(self) -> bool:
        return self._lives.kills.total() >= self._kills

    def begin_day(self) -> None:
        """Let those go that have been waited for in vain for some days, and choose others."""
        with self._guard:
            self._days.update(self._open.keys())
            turn = self._turn()
            self._open = {kind: how for kind, how in self._open.items() if self._turns_of(kind) == turn}
            while len(self._open) < OPEN and self._choose():
                pass

    def is_met_by(self, request: Request, moment: str, life: _Life) -> bool:
        """Whether a worker is to be killed here, which nobody has killed yet; another kind is chosen then."""
        with self._guard:
            kind = kind_of(request)
            wanted, left = self._open.get(kind, ("", 0))
            if wanted != moment or life.is_over or self.is_over:
                return False
            if left:
                self._open[kind] = wanted, left - 1
                return False
            life.is_over = True
            del self._open[kind]
            self._lives.kills[kind, moment] += 1
            self._choose()
            return True

    def _turn(self) -> int:
        return min(map(self._turns_of, self._lives.seen))

    def _turns_of(self, kind: str) -> int:
        return max(self._kills_at(kind), self._days[kind] // DAYS_IN_VAIN)

    def _kills_at(self, kind: str) -> int:
        return self._lives.kills[kind, BEFORE] + self._lives.kills[kind, AFTER]

    def _choose(self) -> bool:
        """Choose one more of those whose turn it is; False when all of them are waited for."""
        turn = self._turn()
        kinds = sorted(
            kind for kind in self._lives.seen.keys() - self._open.keys() if self._turns_of(kind) == turn
        )
        if not kinds:
            return False
        kind = self._chance.choice(kinds)
        # The rarer ones come but once in a day.
        skipped = self._chance.randrange(3) if self._lives.seen[kind] > COMMON * self._lives.days else 0
        self._open[kind] = (BEFORE, AFTER)[(self._kills_at(kind) + len(kind)) % 2], skipped
        return True


class _Kill(Action):
    """Kill the worker whose call it is; the storage hears of the call, or not, and nobody of the answer."""

    def __init__(self, plan: _Plan, life: _Life) -> None:
        self._plan = plan
        self._life = life

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:  # noqa: ARG002
        self._perhaps(request, BEFORE)
        return None

    def before_reply(self, request: Request) -> None:
        self._perhaps(request, AFTER)

    def _perhaps(self, request: Request, moment: str) -> None:
        if self._plan.is_met_by(request, moment, self._life):
            self._life.kill()
            raise DropConnection


class _Watch(Action):
    """Note which pieces are handed out, and which are done: whose messages are deleted."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives
        self._bodies: dict[str, str] = {}
        self._guard = threading.Lock()

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:  # noqa: ARG002
        with self._guard:
            self._lives.seen[kind_of(request)] += 1
        return None

    def before_reply(self, request: Request) -> None:
        if request.operation == "SendMessageBatch":
            self._lives.handed_out |= {entry["MessageBody"] for entry in request.json()["Entries"]}
        elif request.operation == "DeleteMessage":
            self._lives.done.add(self._bodies[request.json()["ReceiptHandle"]])

    def body(self, pieces: Iterator[Piece], control: Control) -> Iterator[Piece]:  # noqa: ARG002
        answer = list(pieces)
        content = b"".join(piece.data for piece in answer if piece.payload)
        if b'"ReceiptHandle"' in content:
            for message in json.loads(content)["Messages"]:
                self._bodies[message["ReceiptHandle"]] = message["Body"]
        yield from answer


def live_under_kills(service: Service, kills: int, seed: int = 1) -> Lives:
    """Kill workers so many times, each kind of call in turn, and return what came of it all."""
    lives, states = Lives(), States(service)
    for _ in range(ACCOUNTS_AT_FIRST):
        states.add_account()
    states.add_deletion()
    lives.wrong_before = len(wrong(states))
    phone = BusyPhone(states)
    with ExitStack() as ours:
        proxies = [ours.enter_context(FaultProxy(service.aws_url)) for _ in range(WORKERS)]
        workers = _Workers(states, proxies, _Watch(lives), phone.user_id)
        # Two days without a kill tell which kinds there are: what is seen on one is moved on the other.
        for _ in range(2):
            states.let_a_day_pass()
            workers.work_until_idle()
            states.add_account()
            states.add_deletion()
        workers.live_until_over(lives, _Plan(lives, kills, seed))
        phone.end()
        states.give_up_restoring()
        workers.spared = ""
        for _ in range(DAYS_AFTER):
            states.let_a_day_pass()
            workers.work_until_idle()
    lives.accounts = len(states.accounts) + len(states.accounts_gone)
    lives.wrong = wrong(states)
    if phone.followed != phone.all_changes():
        lives.wrong.append("who followed the changes was told something else than who reads them all")
    # The message of an account that is gone may still be hidden, and there is nothing to do for it.
    lives.done |= {text for text in lives.handed_out if _names(text, states.accounts_gone)}
    lives.wrong += [f"handed out and never done: {piece}" for piece in sorted(lives.never_done)]
    return lives


class _Workers:
    """Workers on chores; the calls of each go through a proxy of its own."""

    def __init__(self, states: States, proxies: list[FaultProxy], watch: _Watch, spared: str) -> None:
        self._states = states
        self._proxies = proxies
        self._watch = watch
        # An account that changes all the time, whose chores are never done.
        self.spared = spared
        self._busy_at = 0.0

    def live_until_over(self, lives: Lives, plan: _Plan) -> None:
        """Let workers live, each started again when it was killed, until the plan is over.

        When nothing is left to do a day passes, and there are more accounts.
        """
        living: dict[FaultProxy, _Life] = {}
        try:
            while not plan.is_over:
                lives.days += 1
                plan.begin_day()
                self._states.let_a_day_pass()
                began = self._busy_at = time.monotonic()
                stopped = lives.days % DAYS_IN_VAIN != 0
                while not plan.is_over and not self._is_through(NOW):
                    self._start_those_killed(living, plan)
                    if not stopped and time.monotonic() - began > STOP_SECONDS:
                        # As an upgrade does; it gives back what it has not begun.
                        living[self._proxies[0]].stop()
                        stopped = True
                    if time.monotonic() - began > DAY_SECONDS:
                        break
                    time.sleep(LOOK_SECONDS)
                self._states.restore_one()
                self._states.add_account()
                self._states.add_deletion()
        finally:
            for life in living.values():
                life.end()

    def _start_those_killed(self, living: dict[FaultProxy, _Life], plan: _Plan) -> None:
        for proxy in self._proxies:
            life = living.get(proxy)
            if life is None or life.is_over:
                if life is not None:
                    life.end()
                    self._states.let_others_hand_out()
                living[proxy] = _Life(partial(self._start, proxy), proxy, self._watch, plan)

    def work_until_idle(self) -> None:
        """Let two that nobody kills do what is due."""
        started = []
        for proxy in self._proxies[:2]:
            _arm(proxy, self._watch)
            started.append(self._start(proxy))
        self._busy_at = time.monotonic()
        try:
            eventually(self._states.pass_is_handed_out, "nobody hands out", DAY_SECONDS)
            eventually(self._has_come_to_rest, self._left, DAY_SECONDS)
        except AssertionError as error:
            for worker in started:
                worker.terminate()
                error.add_note(worker.communicate(timeout=60)[0][-TOLD_CHARACTERS:])
            raise
        finally:
            for worker in started:
                worker.terminate()
            for worker in started:
                worker.wait()

    def _start(self, proxy: FaultProxy) -> Command:
        return command(self._states.service, ROLE, "chores", "work", at=proxy.url)

    def _is_through(self, whens: Whens = NOW_OR_TAKEN) -> bool:
        """Whether there was nothing to do for some time."""
        if self._due(whens) or _waiting(self._states.service):
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at > IDLE_SECONDS

    def _has_come_to_rest(self) -> bool:
        """The same, looked at seldom while there is something to do."""
        busy_at = self._busy_at
        is_through = self._is_through()
        if self._busy_at != busy_at:
            time.sleep(LOOK_AT_REST_SECONDS)
            # Nobody has looked since then.
            self._busy_at = time.monotonic()
        return is_through

    def _left(self) -> str:
        """Say who is due, and in how many seconds, and how many messages wait."""
        rows = {item["user_id"]["S"]: item for item in self._states.scan(USERS_TABLE)}
        moment = time.time()
        due = {one: float(rows[one]["due_at"]["N"]) - moment for one in self._due()}
        return (
            f"due: {due}; waiting: {_waiting(self._states.service)}; the rows: {[rows[one] for one in due]}"
        )

    def _due(self, whens: Whens = NOW_OR_TAKEN) -> list[str]:
        """Return the accounts that are due at such times from now."""
        moment = time.time()
        return [
            item["user_id"]["S"]
            for item in self._states.scan(USERS_TABLE)
            if item["user_id"]["S"] != self.spared and "due_at" in item
            if any(first <= float(item["due_at"]["N"]) - moment <= last for first, last in whens)
        ]


class _Life:
    """One worker, which is killed at the first call that the plan has for it."""

    def __init__(self, start: Callable[[], Command], proxy: FaultProxy, watch: _Watch, plan: _Plan) -> None:
        self.is_over = False
        self._started = threading.Event()
        _arm(proxy, watch, Fault(_Kill(plan, self)))
        self._worker = start()
        self._started.set()

    def kill(self) -> None:
        self._started.wait()
        os.kill(self._worker.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, which it may still be killed at."""
        self._worker.terminate()
        self._worker.wait()
        self.is_over = True

    def end(self) -> None:
        """Kill it, if nobody has, and wait until it is gone."""
        self.is_over = True
        self._worker.kill()
        self._worker.wait()


def _arm(proxy: FaultProxy, watch: _Watch, *faults: Fault) -> None:
    proxy.clear()
    for fault in (Fault(watch), *faults):
        proxy.add(fault)


def _names(text: str, accounts: list[dict[str, Any]]) -> bool:
    return json.loads(text)["of"] in {account["user_id"] for account in accounts}


def _waiting(service: Service) -> int:
    sqs = aws_client("sqs", service.aws_url)
    url = sqs.get_queue_url(QueueName="panzoto-chores")["QueueUrl"]
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])
