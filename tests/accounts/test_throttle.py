"""The throttle against a real table: windows of addresses, growing delays, and guesses made in parallel."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import panzoto.accounts.throttle
import panzoto.models.attempts
import panzoto.models.windows
from panzoto.accounts.throttle import Throttle, account_subject, session_subject
from panzoto.auth.caller import Caller, Client
from panzoto.config import Argon2Parameters, Rate, Settings
from panzoto.errors import (
    Busy,
    InvalidCredentials,
    InvalidPassword,
    PanzotoError,
    RecoveryFailed,
    TooManyRequests,
    Unavailable,
)
from panzoto.models import User, bind_models
from panzoto.models.attempts import LONGEST_DELAY_SECONDS
from panzoto.services import Services
from tests.support import rows
from tests.support.aws import aws_environment
from tests.support.fault_proxy import Action, Fault, FaultProxy, Request
from tests.support.faults import Control
from tests.support.service import PASSWORD, Service

FREE = 5
DELAYS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
HERE = Client("203.0.113.5", "a test")


class OneAtATime(Action):
    """Let the stand-in see one call after another.

    DynamoDB judges a condition and writes in one step.  moto does not: of two calls at once both may find
    the row as it was before either.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def before_forwarding(self, request: Request, control: Control) -> None:  # noqa: ARG002
        self._turn.acquire()

    def before_reply(self, request: Request) -> None:  # noqa: ARG002
        self._turn.release()


@pytest.fixture(scope="module")
def atomic(service: Service) -> Iterator[str]:
    """The address of the stand-in with the service's tables, its updates as atomic as those of DynamoDB."""
    with FaultProxy(service.aws_url) as proxy:
        proxy.add(Fault(OneAtATime()))
        yield proxy.url


@pytest.fixture
def settings(atomic: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings by which this process uses those tables; the models are bound to them."""
    for name, value in aws_environment(atomic).items():
        monkeypatch.setenv(name, value)
    chosen = Settings(secret_key="s" * 40, argon2=Argon2Parameters(2, 19456, 1), custom_aws_endpoint=True)
    bind_models(chosen)
    return chosen


class Clock:
    """The throttle's time, which passes when the test says so."""

    def __init__(self) -> None:
        # In the middle of a minute and of a day.
        self.moment = datetime(2031, 3, 5, 12, 0, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def timestamp(self) -> float:
        return self.moment.timestamp()

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(panzoto.accounts.throttle, "time", SimpleNamespace(time=clock.timestamp))
    monkeypatch.setattr(panzoto.models.windows, "time", SimpleNamespace(time=clock.timestamp))
    monkeypatch.setattr(panzoto.models.attempts, "now", clock.now)
    return clock


@pytest.fixture
def throttle(settings: Settings, clock: Clock) -> Throttle:
    return Throttle({"login": Rate(3, 60), "register": Rate(1, 86400)}, FREE)


def fresh(kind: str = "subject") -> str:
    return f"{kind}-{uuid.uuid4().hex}"


def row_of(service: Service, subject: str) -> dict[str, Any]:
    found = service.dynamodb().get_item(TableName="panzoto-throttle", Key={"subject": {"S": subject}})
    item: dict[str, Any] = found["Item"]
    return item


def wait_asked(throttle: Throttle, subject: str) -> int:
    """Seconds that a try at `subject` is told to wait; 0 when it is let through."""
    try:
        throttle.reserve(subject)
    except TooManyRequests as refusal:
        return refusal.retry_after or 0
    return 0


class TestAddresses:
    def test_so_many_in_a_window(self, throttle: Throttle) -> None:
        address = fresh("address")
        seen = [throttle.count_address("login", address) for _ in range(5)]
        assert [one.remaining for one in seen] == [2, 1, 0, -1, -2]
        assert {one.reset_seconds for one in seen} == {30}
        assert {(one.name, one.rate) for one in seen} == {("login", Rate(3, 60))}

    def test_a_new_window_begins_afresh(self, throttle: Throttle, clock: Clock) -> None:
        address = fresh("address")
        for _ in range(9):
            throttle.count_address("login", address)
        clock.advance(29.5)
        last = throttle.count_address("login", address)
        assert (last.remaining, last.reset_seconds) == (-7, 1)
        clock.advance(0.5)
        first = throttle.count_address("login", address)
        assert (first.remaining, first.reset_seconds) == (2, 60)

    def test_addresses_and_kinds_are_counted_apart(self, throttle: Throttle) -> None:
        one, other = fresh("address"), fresh("address")
        assert throttle.count_address("login", one).remaining == 2
        assert throttle.count_address("login", other).remaining == 2
        assert throttle.count_address("register", one).remaining == 0
        assert throttle.count_address("login", one).remaining == 1

    def test_those_at_once_are_all_counted(self, throttle: Throttle) -> None:
        address = fresh("address")
        with ThreadPoolExecutor(16) as pool:
            left = list(pool.map(lambda _: throttle.count_address("login", address).remaining, range(40)))
        assert sorted(left, reverse=True) == list(range(2, -38, -1))

    def test_the_counter_goes_by_itself(self, service: Service, throttle: Throttle, clock: Clock) -> None:
        address = fresh("address")
        throttle.count_address("login", address)
        window = int(clock.moment.timestamp()) // 60
        row = row_of(service, f"address#login#{address}#{window}")
        assert int(row["expires_at"]["N"]) == (window + 1) * 60 + 60


class TestGrowingDelays:
    def test_five_are_free_and_then_each_waits_twice_as_long(self, throttle: Throttle, clock: Clock) -> None:
        subject = fresh()
        assert [wait_asked(throttle, subject) for _ in range(FREE)] == [0] * FREE
        for delay in DELAYS:
            assert wait_asked(throttle, subject) == delay
            clock.advance(delay - 0.5)
            # Asking too early neither lets one through nor makes the wait longer.
            assert [wait_asked(throttle, subject) for _ in range(3)] == [1] * 3
            clock.advance(0.5)
            assert wait_asked(throttle, subject) == 0
        assert max(DELAYS) == LONGEST_DELAY_SECONDS

    def test_a_pause_is_not_forgiveness_before_the_day_is_over(
        self, service: Service, throttle: Throttle, clock: Clock
    ) -> None:
        subject = fresh()
        for _ in range(FREE):
            throttle.reserve(subject)
        clock.advance(3600)
        assert wait_asked(throttle, subject) == 0
        assert wait_asked(throttle, subject) == 2
        expires_at = int(row_of(service, subject)["expires_at"]["N"])
        assert expires_at == math.floor((clock.moment + timedelta(days=1)).timestamp())

    @pytest.mark.parametrize("tries", [1, 4, 5, 7])
    def test_a_success_resets_it(self, throttle: Throttle, clock: Clock, tries: int) -> None:
        subject = fresh()
        for _ in range(tries):
            clock.advance(1000)
            throttle.reserve(subject)
        throttle.reset(subject)
        assert [wait_asked(throttle, subject) for _ in range(FREE + 1)] == [0] * FREE + [1]

    def test_subjects_do_not_touch_each_other(self, throttle: Throttle) -> None:
        one, other = fresh(), fresh()
        for _ in range(FREE):
            throttle.reserve(one)
        assert wait_asked(throttle, one) == 1
        assert wait_asked(throttle, other) == 0

    @pytest.mark.usefixtures("settings", "clock")
    @pytest.mark.parametrize("free", [1, 2, 9])
    def test_how_many_are_free_can_be_chosen(self, free: int) -> None:
        throttle, subject = Throttle({}, free), fresh()
        waits = [wait_asked(throttle, subject) for _ in range(free + 1)]
        assert waits == [0] * free + [1]

    def test_of_many_at_once_no_more_than_the_free_ones_pass(self, throttle: Throttle, clock: Clock) -> None:
        subject = fresh()
        with ThreadPoolExecutor(25) as pool:
            waits = list(pool.map(lambda _: wait_asked(throttle, subject), range(100)))
        assert waits.count(0) == FREE
        for delay in (1, 2, 4):
            clock.advance(delay)
            with ThreadPoolExecutor(25) as pool:
                waits = list(pool.map(lambda _: wait_asked(throttle, subject), range(50)))
            assert waits.count(0) == 1
            assert set(waits) <= {0, 2 * delay}


class TestSubjects:
    def test_an_account_is_counted_by_a_digest_and_not_by_its_address(self) -> None:
        assert account_subject("a@example.com") == account_subject("a@example.com")
        assert account_subject("a@example.com") != account_subject("b@example.com")
        assert "example" not in account_subject("a@example.com")

    def test_sessions_and_accounts_are_counted_apart(self) -> None:
        subjects = {
            session_subject("u", "s"),
            session_subject("u", "t"),
            session_subject("v", "s"),
            session_subject("u", None),
            account_subject("u"),
        }
        assert len(subjects) == 5


class Person:
    """An account at this process's own services, which count the hashes they compute."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.email = f"{uuid.uuid4().hex}@example.com"
        self.user, self.grant = services.accounts.register(self.email, PASSWORD, HERE)
        self.caller = Caller(services.tokens.identify(self.grant.token), HERE)

    def computed(self, verb: Callable[[], object], *refusals: type[PanzotoError]) -> int:
        """How many hashes `verb` computes; it must end in one of `refusals` when there are any."""
        before = self.services.permits.computed
        if refusals:
            with pytest.raises(refusals):
                verb()
        else:
            verb()
        return self.services.permits.computed - before


@pytest.fixture
def person(settings: Settings) -> Person:
    return Person(Services.build(settings))


class TestHashes:
    """A hash is nearly all that a guess costs, so what is counted here is what an attacker can spend."""

    def test_every_login_path_computes_one(self, person: Person) -> None:
        accounts, email = person.services.accounts, person.email
        assert person.computed(lambda: accounts.sign_in(email, PASSWORD, HERE)) == 1
        wrong = person.computed(lambda: accounts.sign_in(email, "not my password", HERE), InvalidCredentials)
        nobody = person.computed(
            lambda: accounts.sign_in(f"{uuid.uuid4().hex}@example.com", PASSWORD, HERE), InvalidCredentials
        )
        assert (wrong, nobody) == (1, 1)

    def test_an_account_of_the_earlier_service_costs_more_once(
        self, service: Service, person: Person
    ) -> None:
        """The verify, the hash with today's parameters and the vault's key; from then on one.

        A refusal makes up for the cheaper hash of before, so that it takes as long as any.
        """
        email = f"{uuid.uuid4().hex}@example.com"
        rows.put_user(service, email, PASSWORD, bytes(range(32)))
        accounts = person.services.accounts
        wrong = person.computed(lambda: accounts.sign_in(email, "not my password", HERE), InvalidCredentials)
        first = person.computed(lambda: accounts.sign_in(email, PASSWORD, HERE))
        second = person.computed(lambda: accounts.sign_in(email, PASSWORD, HERE))
        assert (wrong, first, second) == (2, 3, 1)

    def test_opening_the_vault_computes_one_whether_or_not_it_opens(self, person: Person) -> None:
        accounts = person.services.accounts
        user = User.find(person.user.user_id)
        assert user is not None
        right = person.computed(lambda: accounts.unlock(user, PASSWORD, person.caller))
        wrong = person.computed(
            lambda: accounts.unlock(user, "not my password", person.caller), InvalidPassword
        )
        assert (right, wrong) == (1, 1)

    def test_what_is_held_back_computes_none(self, person: Person) -> None:
        accounts = person.services.accounts
        user = User.find(person.user.user_id)
        assert user is not None
        for subject in (
            account_subject(person.email),
            session_subject(person.user.user_id, person.grant.session_id),
        ):
            for _ in range(FREE):
                person.services.throttle.reserve(subject)
        held_back = [
            person.computed(lambda: accounts.sign_in(person.email, PASSWORD, HERE), TooManyRequests),
            person.computed(lambda: accounts.unlock(user, PASSWORD, person.caller), TooManyRequests),
            person.computed(
                lambda: person.services.recovery.recover(person.email, "0" * 56, "a good new password", HERE),
                TooManyRequests,
                PanzotoError,
            ),
        ]
        assert held_back == [0, 0, 0]

    def test_a_wrong_recovery_key_computes_none(self, person: Person) -> None:
        recovery = person.services.recovery
        user = User.find(person.user.user_id)
        assert user is not None
        key, _ = recovery.make_key(user, PASSWORD, person.caller)
        nobody, without_one = f"{uuid.uuid4().hex}@example.com", Person(person.services).email
        costs = [
            person.computed(lambda: recovery.recover(nobody, key, "a new one", HERE), RecoveryFailed),
            person.computed(lambda: recovery.recover(without_one, key, "a new one", HERE), RecoveryFailed),
        ]
        assert costs == [0, 0]

    @pytest.mark.parametrize("exists", [True, False])
    def test_guesses_at_once_compute_no_more_than_they_may(self, person: Person, exists: bool) -> None:
        email = person.email if exists else f"{uuid.uuid4().hex}@example.com"

        def guess(number: int) -> type[PanzotoError]:
            try:
                person.services.accounts.sign_in(email, f"guess number {number}", HERE)
            except PanzotoError as refusal:
                return type(refusal)
            raise AssertionError("a guess was right")

        before, started = person.services.permits.computed, time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            refusals = list(pool.map(guess, range(200)))
        # One more passes after a second, one more two seconds later, then four ...
        allowed = FREE + math.floor(math.log2(time.monotonic() - started + 1))
        computed = person.services.permits.computed - before
        assert FREE <= computed <= allowed
        # A busy machine's stand-in may be too slow to count some; nothing is computed for those.
        # Nor for those who found no place to wait for their turn.
        assert set(refusals) <= {InvalidCredentials, TooManyRequests, Unavailable, Busy}
        assert refusals.count(InvalidCredentials) <= computed
