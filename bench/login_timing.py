"""What the time of a refused login tells of an account, and what logins and decrypt-audio compute.

Logins with a wrong password take turns: one at an account that exists, one at an address that has none; the
order within a pair changes from pair to pair.  The difference of the medians is told as a share of one hash.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack

from argon2 import PasswordHasher

from bench.support.report import Target, percentile, print_table, print_targets
from bench.support.service import Client, create_resources, running
from bench.support.stand_in import client, default_kind, stand_in
from panzoto.auth.caller import Caller, Identity
from panzoto.auth.caller import Client as Device
from panzoto.config import Settings
from panzoto.crypto.segments import encrypt
from panzoto.errors import PanzotoError
from panzoto.models import bind_models
from panzoto.services import Services
from tests.support.aws import aws_environment

PASSWORD = "a long walk by the quiet river"
WRONG = "another walk by another river"
ACCOUNTS = 10
DIFFERENCE_BOUND = 0.05
BARE_EVERY = 10
HERE = Device("127.0.0.1", "bench")


def main() -> None:
    arguments = _arguments()
    with ExitStack() as stack:
        aws = stack.enter_context(stand_in(arguments.stand_in))
        create_resources(aws)
        service = stack.enter_context(running(aws, MAIL="off"))
        http = service.connect()
        targets = [_difference(arguments.pairs, http), *_computations(aws)]
        http.close()
    print_targets(targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200, help="pairs of refused logins")
    parser.add_argument("--stand-in", default=default_kind(), help="moto, ministack or a URL")
    return parser.parse_args()


def _difference(pairs: int, http: Client) -> Target:
    known = [f"sleeper-{number}@example.com" for number in range(ACCOUNTS)]
    unknown = [f"stranger-{number}@example.com" for number in range(ACCOUNTS)]
    for email in known:
        http.expect(201, "POST", "/api/register", {"email": email, "password": PASSWORD})
    argon2 = Settings().argon2
    hasher = PasswordHasher(argon2.time_cost, argon2.memory_cost_kib, argon2.parallelism)
    encoded = hasher.hash(PASSWORD)

    def refused(email: str) -> float:
        started = time.perf_counter()
        http.expect(401, "POST", "/api/login", {"email": email, "password": WRONG})
        return time.perf_counter() - started

    def bare() -> float:
        started = time.perf_counter()
        hasher.verify(encoded, PASSWORD)
        return time.perf_counter() - started

    # The first of each warms connections up and lets the throttle's rows come into being.
    for email in (*known, *unknown):
        refused(email)
    samples: dict[str, list[float]] = {"account exists": [], "no such account": [], "bare verify": []}
    for number in range(pairs):
        at = number % ACCOUNTS
        pair = [("account exists", known[at]), ("no such account", unknown[at])]
        for name, email in pair if number % 2 else reversed(pair):
            samples[name].append(refused(email))
        if number % BARE_EVERY == 0:
            samples["bare verify"].append(bare())
    rows = [
        (name, *(f"{figure * 1000:.1f}" for figure in _figures(seconds))) for name, seconds in samples.items()
    ]
    print_table(f"{pairs} pairs of refused logins", ("", "median ms", "p10 ms", "p90 ms"), rows)
    medians = {name: statistics.median(seconds) for name, seconds in samples.items()}
    difference = medians["account exists"] - medians["no such account"]
    # The same kind against itself shows what this machine's own unrest is worth.
    existing = samples["account exists"]
    unrest = statistics.median(existing[::2]) - statistics.median(existing[1::2])
    pairwise = statistics.median(
        one - other for one, other in zip(existing, samples["no such account"], strict=True)
    )
    print(f"  difference of the medians {difference * 1000:+.2f} ms")
    print(f"  median of the pairs' differences {pairwise * 1000:+.2f} ms")
    print(f"  every other login of one kind against the rest of it {unrest * 1000:+.2f} ms")
    share = abs(difference) / medians["bare verify"]
    return Target("difference of the medians / one hash", share, DIFFERENCE_BOUND)


def _figures(seconds: list[float]) -> tuple[float, float, float]:
    return statistics.median(seconds), percentile(seconds, 0.1), percentile(seconds, 0.9)


def _computations(aws: str) -> list[Target]:
    """Count the Argon2 computations of every way through a login, in a process of one's own."""
    os.environ.update(aws_environment(aws))
    settings = Settings(secret_key="b" * 40, custom_aws_endpoint=True)
    bind_models(settings)
    services = Services.build(settings)
    person, guessed, earlier = (f"{uuid.uuid4().hex}@example.com" for _ in range(3))
    for email in (person, guessed):
        services.accounts.register(email, PASSWORD, HERE)
    _put_account_of_the_earlier_service(aws, earlier)

    def login(email: str, password: str) -> int:
        return _computed(services, lambda: services.accounts.sign_in(email, password, HERE))

    counted = {
        "right password": (login(person, PASSWORD), 1),
        "wrong password": (login(person, WRONG), 1),
        "no such account": (login(f"{uuid.uuid4().hex}@example.com", PASSWORD), 1),
        "wrong password, account of the earlier service": (login(earlier, WRONG), 1),
        # Its hash is made anew with today's costs, and its vault for the first time.
        "first login, account of the earlier service": (login(earlier, PASSWORD), 3),
        "later login, account of the earlier service": (login(earlier, PASSWORD), 1),
    }
    for _ in range(settings.limit_failures):
        login(guessed, WRONG)
    counted["held back by the throttle"] = (login(guessed, PASSWORD), 0)
    counted |= _openings(services, person)
    print_table(
        "Argon2 computations of a login, and of opening a recording",
        ("", "counted", "expected"),
        [(name, str(count), str(expected)) for name, (count, expected) in counted.items()],
    )
    unexpected = sum(count != expected for count, expected in counted.values())
    return [Target("ways with another count", unexpected, 0)]


def _openings(services: Services, email: str) -> dict[str, tuple[int, int]]:
    """Count what decrypt-audio computes for version 2, where unwrapping the vault key proves the password."""
    user, grant = services.accounts.sign_in(email, PASSWORD, HERE)
    caller = Caller(Identity(user.user_id, int(time.time()), grant.session_id), HERE)
    vault_key = services.accounts.unlock(user, PASSWORD, caller).the_vault_key()
    s3_key = f"users/{user.user_id}/audio-1.3gp"
    services.storage.put(s3_key, b"".join(encrypt(vault_key, s3_key, [b"#!AMR\n" * 1000])))

    def opening(password: str) -> int:
        def verb() -> None:
            keys = services.accounts.unlock(user, password, caller)
            opened = services.playback.open(s3_key, keys, None)
            if opened.format != "v2":
                raise RuntimeError(f"opened as {opened.format}")

        return _computed(services, verb)

    return {
        "decrypt-audio, version 2": (opening(PASSWORD), 1),
        "decrypt-audio, version 2, wrong password": (opening(WRONG), 1),
    }


def _computed(services: Services, verb: Callable[[], object]) -> int:
    before = services.permits.computed
    try:
        verb()
    except PanzotoError as refusal:
        # Anything but a refusal would be counted as one.
        if refusal.status not in (401, 429):
            raise
    return services.permits.computed - before


def _put_account_of_the_earlier_service(aws: str, email: str) -> None:
    client("dynamodb", aws).put_item(
        TableName=Settings().users_table,
        Item={
            "user_id": {"S": str(uuid.uuid4())},
            "email": {"S": email},
            "password_hash": {"S": PasswordHasher(2, 19456, 1).hash(PASSWORD)},
            "key_salt": {"S": base64.b64encode(os.urandom(32)).decode()},
            "created_at": {"N": "1700000000"},
            "created_at_iso": {"S": "2023-11-14T22:13:20"},
        },
    )


if __name__ == "__main__":
    main()
