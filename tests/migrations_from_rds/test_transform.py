"""The rules: what becomes of each kind of untidy row."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError
from hypothesis import example, given
from hypothesis import strategies as st
from marshmallow import ValidationError

from migrations_from_rds import transform
from migrations_from_rds.rows import EARLIEST, LATEST, FileRow, UserRow
from migrations_from_rds.transform import Policy
from panzoto.blueprints.requests import NewEmail
from tests.support.legacy import BCRYPT, HASH, TOO_COSTLY

SALT = bytes(range(32))
ROW = UserRow("0b6f6c0e-5d1c-4a8e-9d1d-3d2f0f6d8a01", "anna@example.com", HASH, SALT, 1_614_585_600_500_001)
FILE = FileRow(
    "7a1d9b52-1d34-4c0a-8f62-b6a5f6f0f9e3",
    ROW.user_id,
    "users/anna/audio-1.3gp",
    4096,
    1_614_585_600_000_001,
    True,
)


def code_of(row: UserRow) -> str:
    """The one thing there is to say about an account."""
    _, (problem,) = transform.user(row)
    return f"rejected {problem.code}" if problem.rejected else problem.code


def file_code_of(row: FileRow, *, owner_rejected: bool = False, holder: str | None = None) -> str:
    _, (problem,) = transform.recording(row, owner_rejected, holder)
    return f"rejected {problem.code}" if problem.rejected else problem.code


class TestAccounts:
    def test_a_tidy_one_arrives_bit_for_bit(self) -> None:
        taken, problems = transform.user(ROW)
        assert taken is not None
        assert not problems
        assert taken == (ROW.user_id, ROW.email, None, HASH, base64.b64encode(SALT).decode(), ROW.created_at)

    @pytest.mark.parametrize(
        ("email", "address"),
        [
            ("Anna@Example.COM", "anna@example.com"),
            ("  anna@example.com\t\n", "anna@example.com"),
            ("\u3000ÄNNA@example.com\u00a0", "änna@example.com"),
            ("\u212aarl@example.com", "karl@example.com"),
        ],
    )
    def test_an_address_is_stripped_and_lowered_and_its_form_kept(self, email: str, address: str) -> None:
        taken, problems = transform.user(ROW._replace(email=email))
        assert taken is not None
        assert (taken.email, taken.email_display) == (address, email)
        assert not problems

    @pytest.mark.parametrize("email", [None, "", "  \t", "\u3000"])
    def test_without_an_address(self, email: str | None) -> None:
        assert code_of(ROW._replace(email=email)) == "rejected email_missing"

    @pytest.mark.parametrize("email", ["anna", "anna smith@example.com", "a@b@c", "x" * 65 + "@example.com"])
    def test_a_malformed_address_is_taken_and_told(self, email: str) -> None:
        assert code_of(ROW._replace(email=email)) == "email_malformed"

    @given(st.text(max_size=80).map(transform.normalise).filter(bool))
    def test_malformed_is_what_no_account_gets_any_more(self, email: str) -> None:
        try:
            NewEmail().deserialize(email)
            refused = False
        except ValidationError:
            refused = True
        _, problems = transform.user(ROW._replace(email=email))
        assert refused == any(problem.code == "email_malformed" for problem in problems)

    @pytest.mark.parametrize("salt", [None, b"", SALT[:16], SALT * 2, SALT.hex().encode()])
    def test_a_salt_of_another_length(self, salt: bytes | None) -> None:
        assert code_of(ROW._replace(key_salt=salt)) == "rejected salt_length"

    @pytest.mark.parametrize(
        "encoded",
        [
            None,
            "",
            BCRYPT,
            " " + HASH,
            "argon2id",
        ],
    )
    def test_what_is_no_argon2_hash(self, encoded: str | None) -> None:
        assert code_of(ROW._replace(password_hash=encoded)) == "rejected hash_not_argon2"

    @pytest.mark.parametrize(
        "encoded", [TOO_COSTLY, HASH.replace("t=1", "t=21"), HASH.replace("p=1", "p=17")]
    )
    def test_a_hash_that_the_service_would_not_compute(self, encoded: str) -> None:
        assert code_of(ROW._replace(password_hash=encoded)) == "rejected hash_too_costly"

    @pytest.mark.parametrize("kind", list(Type))
    def test_every_hash_of_the_library_is_taken(self, kind: Type) -> None:
        encoded = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=kind).hash("a password")
        assert transform.user(ROW._replace(password_hash=encoded))[0] is not None
        # Argon2 1.0 wrote no version.
        assert transform.user(ROW._replace(password_hash=encoded.replace("$v=19", "")))[0] is not None

    @given(st.text("$argon2id$v=19$m=8,t=1p", max_size=60))
    @example("$argon2")
    @example("$argon2id$v=19$m=8,t=1,p=1$")
    def test_what_the_library_cannot_read_is_not_taken_for_whole(self, encoded: str) -> None:
        try:
            extract_parameters(encoded)
        except (InvalidHashError, ValueError):
            # What was meant as an Argon2 hash is a cut one, whose owner sets a password anew.
            meant = encoded.startswith("$argon2")
            told = "hash_unverifiable" if meant else "rejected hash_not_argon2"
            assert code_of(ROW._replace(password_hash=encoded)) == told

    @pytest.mark.parametrize("created_at", [None, EARLIEST - 1, LATEST + 1])
    def test_an_unknown_moment_stands_as_1970(self, created_at: int | None) -> None:
        row = ROW._replace(created_at=created_at)
        assert code_of(row) == "created_at_unknown"
        taken, _ = transform.user(row)
        assert taken is not None
        assert taken.created_at == 0

    @pytest.mark.parametrize("created_at", [EARLIEST, -1, 0, LATEST])
    def test_every_moment_of_the_calendar_is_kept(self, created_at: int) -> None:
        taken, problems = transform.user(ROW._replace(created_at=created_at))
        assert taken is not None
        assert taken.created_at == created_at
        assert not problems


class TestRecordings:
    def test_a_tidy_one_arrives_bit_for_bit(self) -> None:
        taken, problems = transform.recording(FILE, False, None)
        assert taken == FILE[:5]
        assert not problems

    @pytest.mark.parametrize(
        ("row", "code"),
        [
            (FILE._replace(user_id=None, owner_found=False), "owner_missing"),
            (FILE._replace(owner_found=False), "owner_unknown"),
            (FILE._replace(s3_key=""), "s3_key_empty"),
            (FILE._replace(s3_key=None), "s3_key_empty"),
        ],
    )
    def test_what_cannot_be_taken(self, row: FileRow, code: str) -> None:
        assert file_code_of(row) == f"rejected {code}"

    def test_it_goes_with_its_account(self) -> None:
        assert file_code_of(FILE, owner_rejected=True) == "rejected owner_rejected"

    def test_a_second_one_under_a_key_is_taken(self) -> None:
        assert file_code_of(FILE, holder="another") == "s3_key_duplicate"

    @pytest.mark.parametrize("size", [None, -1])
    def test_an_unknown_size_is_absent(self, size: int | None) -> None:
        row = FILE._replace(file_size=size)
        assert file_code_of(row) == "file_size_unknown"
        taken, _ = transform.recording(row, False, None)
        assert taken is not None
        assert taken.file_size is None

    @pytest.mark.parametrize("s3_key", ["a\nb", "a\x7f", "ü" * 513, "a\x85b"])
    def test_a_key_that_s3_does_not_know_is_taken_as_it_is(self, s3_key: str) -> None:
        row = FILE._replace(s3_key=s3_key)
        assert file_code_of(row) == "s3_key_unusable"
        taken, _ = transform.recording(row, False, None)
        assert taken is not None
        assert taken.s3_key == s3_key

    @pytest.mark.parametrize(
        ("s3_key", "microseconds"),
        [
            ("audio_upload/u/audio_0b6f6c0e_1650000000123_0042.3gp_encrypted", 1_650_000_000_123_000),
            ("users/u/audio-1650000000123.3gp", 0),
            ("audio_upload/u/audio_0b6f6c0e_16500000001234_0042.3gp_encrypted", 0),
        ],
    )
    def test_an_unknown_moment_is_that_in_its_key(self, s3_key: str, microseconds: int) -> None:
        row = FILE._replace(s3_key=s3_key, uploaded_at=None)
        assert file_code_of(row) == "uploaded_at_unknown"
        taken, _ = transform.recording(row, False, None)
        assert taken is not None
        assert taken.uploaded_at == microseconds

    def test_several_things_may_be_said_of_one(self) -> None:
        _, problems = transform.recording(FILE._replace(file_size=None, uploaded_at=None), False, "another")
        assert [problem.code for problem in problems] == [
            "s3_key_duplicate",
            "file_size_unknown",
            "uploaded_at_unknown",
        ]


def account(number: int, **how: Any) -> UserRow:
    return ROW._replace(user_id=f"00000000-0000-4000-8000-{number:012d}", **how)


class TestCollisions:
    def test_groups_are_of_equal_addresses_only(self) -> None:
        one, other, alone = (
            account(1),
            account(2, email=" ANNA@example.com"),
            account(3, email="carl@example.com"),
        )
        nobody = [account(4, email=None), account(5, email="")]
        assert transform.collisions([one, other, alone, *nobody]) == [[one, other]]

    @pytest.mark.parametrize("policy", [Policy.FAIL, Policy.SKIP])
    def test_nobody_wins(self, policy: Policy) -> None:
        group = [account(1), account(2)]
        assert transform.winner(group, policy) is None
        problems = transform.collision_problems(group, None)
        assert [problem.rejected for problem in problems] == [True, True]
        assert group[1].user_id in problems[0].sentence
        assert group[0].user_id in problems[1].sentence

    def test_age_decides(self) -> None:
        old, young = account(1, created_at=10), account(2, created_at=20)
        assert transform.winner([young, old], Policy.OLDEST) == old
        assert transform.winner([old, young], Policy.NEWEST) == young

    @pytest.mark.parametrize("policy", [Policy.OLDEST, Policy.NEWEST])
    def test_an_unknown_age_comes_last(self, policy: Policy) -> None:
        known, unknown = account(2, created_at=10), account(1, created_at=None)
        assert transform.winner([unknown, known], policy) == known

    @pytest.mark.parametrize("policy", [Policy.OLDEST, Policy.NEWEST])
    def test_of_equal_age_the_lower_id(self, policy: Policy) -> None:
        assert transform.winner([account(2), account(1)], policy) == account(1)

    def test_one_that_cannot_be_taken_does_not_win(self) -> None:
        broken, fit = account(1, key_salt=b"", created_at=1), account(2, created_at=2)
        assert transform.winner([broken, fit], Policy.OLDEST) == fit
        assert transform.winner([broken], Policy.OLDEST) is None

    def test_all_are_listed_the_winner_too(self) -> None:
        group = [account(1), account(2), account(3)]
        problems = transform.collision_problems(group, group[1])
        assert [(problem.row_id, problem.rejected) for problem in problems] == [
            (group[0].user_id, True),
            (group[1].user_id, False),
            (group[2].user_id, True),
        ]


def test_every_code_has_its_rule_written_down() -> None:
    said = {
        problem.code
        for problem in [
            *(transform.user(ROW._replace(email=None))[1]),
            *(
                transform.recording(FILE._replace(file_size=None, uploaded_at=None, s3_key="\n"), False, "x")[
                    1
                ]
            ),
            *transform.collision_problems([account(1), account(2)], None),
        ]
    }
    assert said <= transform.RULES.keys()
