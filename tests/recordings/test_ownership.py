"""Naming a key is not owning it: of objects outside the caller's folders, by whoever recorded their keys."""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support import clips, rows
from tests.support.odd_keys import SHAPES, odd_keys
from tests.support.recordings import decrypt, hear, single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, Service
from tests.support.waiting import eventually

NewAccount = Callable[..., dict[str, Any]]
NEW = "another walk, in the rain"
PLAIN = clips.amr(1, 20)
OLD_SALT = bytes(range(32))


def outside_key() -> str:
    return f"users/{uuid.uuid4().hex}/audio-9.3gp"


def made_by(account: dict[str, Any], plain: bytes = PLAIN) -> bytes:
    return single_shot(PASSWORD, account["key_salt"], plain)


def record(service: Service, account: dict[str, Any], s3_key: str) -> requests.Response:
    return service.call("POST", "/api/audio-file", account["token"], json={"s3_key": s3_key})


def recorded(service: Service, account: dict[str, Any], s3_key: str) -> str:
    answer = record(service, account, s3_key)
    assert answer.status_code == 201, answer.text
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


def open_by_key(service: Service, account: dict[str, Any], s3_key: str) -> requests.Response:
    body = {"s3_key": s3_key, "password": PASSWORD}
    return service.call("POST", "/api/decrypt-audio", account["token"], json=body)


def download(service: Service, account: dict[str, Any], file_id: str) -> requests.Response:
    return service.call("GET", f"/api/audio-file/{file_id}/download", account["token"])


def erase(service: Service, account: dict[str, Any], file_id: str) -> None:
    answer = service.call("DELETE", f"/api/audio-file/{file_id}?permanent=true", account["token"])
    assert answer.status_code == 204, answer.text


def export(service: Service, account: dict[str, Any]) -> zipfile.ZipFile:
    answer = service.call("GET", "/api/user/export", account["token"])
    assert answer.status_code == 200, answer.text
    return zipfile.ZipFile(io.BytesIO(answer.content))


def object_at(service: Service, s3_key: str) -> bytes | None:
    try:
        body: bytes = service.s3().get_object(Bucket=BUCKET, Key=s3_key)["Body"].read()
    except service.s3().exceptions.NoSuchKey:
        return None
    return body


def delete_account(service: Service, account: dict[str, Any]) -> None:
    answer = service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    assert answer.status_code == 202, answer.text

    def is_gone() -> bool:
        key = {"user_id": {"S": account["user_id"]}}
        return "Item" not in service.dynamodb().get_item(TableName=rows.USERS_TABLE, Key=key)

    eventually(is_gone, lambda: "the account is still there")


def earlier_account(service: Service, email: str) -> dict[str, Any]:
    """Sign in to an account of the earlier service."""
    rows.put_user(service, email, PASSWORD, OLD_SALT)
    answer = service.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    account: dict[str, Any] = answer.json()
    return account


class TestAStrangersRecord:
    def test_gives_out_no_byte_and_takes_nothing(self, service: Service, new_account: NewAccount) -> None:
        stranger = new_account()
        # Each shape twice: the later ones are erased by themselves, the earlier ones with the account.
        keys = odd_keys(stranger["user_id"], 2 * len(SHAPES))
        secret = b"what somebody said in private" + bytes(200)
        for s3_key in keys:
            service.put_object(s3_key, secret)
        for s3_key in keys:
            file_id = recorded(service, stranger, s3_key)
            refused = download(service, stranger, file_id)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_opened_yet"), s3_key
            assert decrypt(service, stranger["token"], file_id, PASSWORD).status_code == 422, s3_key
        archive = export(service, stranger)
        assert not [name for name in archive.namelist() if name.startswith("objects/")]
        assert len(
            service.call("GET", "/api/user/audio-files?limit=1000", stranger["token"]).json()["audio_files"]
        ) == len(keys)
        for row in service.call("GET", "/api/user/audio-files?limit=1000", stranger["token"]).json()[
            "audio_files"
        ][: len(SHAPES)]:
            erase(service, stranger, row["file_id"])
        delete_account(service, stranger)
        # What literally lies under the account's own prefixes goes with the account, by the contract.
        own = tuple(f"{folder}/{stranger['user_id']}/" for folder in ("users", "audio_upload", "sittings"))
        others = [s3_key for s3_key in keys if not s3_key.startswith(own)]
        assert [s3_key for s3_key in others if object_at(service, s3_key) != secret] == []

    def test_an_upgrade_moves_nothing(self, service: Service, new_account: NewAccount) -> None:
        owner, stranger = new_account(), new_account()
        s3_key = outside_key()
        service.put_object(s3_key, made_by(owner))
        file_id = recorded(service, stranger, s3_key)
        path = f"/api/audio-file/{file_id}/upgrade"
        refused = service.call("POST", path, stranger["token"], json={"password": PASSWORD})
        assert refused.status_code == 422
        assert object_at(service, s3_key) is not None

    def test_does_not_keep_the_owner_out(self, service: Service, new_account: NewAccount) -> None:
        owner, stranger = new_account(), new_account()
        s3_key = outside_key()
        service.put_object(s3_key, made_by(owner))
        named = recorded(service, stranger, s3_key)
        taken = record(service, owner, s3_key)
        assert (taken.status_code, taken.json()["code"]) == (409, "key_taken")

        opened = open_by_key(service, owner, s3_key)
        assert opened.status_code == 200, opened.text
        assert requests.get(opened.json()["download_url"], timeout=60).content == PLAIN
        own = opened.json()["file_info"]
        assert own["user_id"] == owner["user_id"]
        assert own["file_id"] != named
        # From now on it is an ordinary recording of the owner's.
        assert recorded(service, owner, s3_key) == own["file_id"]
        listed = service.call("GET", "/api/user/audio-files", owner["token"]).json()["audio_files"]
        assert [row["file_id"] for row in listed] == [own["file_id"]]
        assert (
            requests.get(download(service, owner, own["file_id"]).json()["url"], timeout=60).status_code
            == 200
        )
        assert download(service, stranger, named).status_code == 404
        erase(service, stranger, named)
        assert object_at(service, s3_key) is not None
        erase(service, owner, own["file_id"])
        assert object_at(service, s3_key) is None

    def test_is_not_a_way_to_learn_what_is_there(self, service: Service, new_account: NewAccount) -> None:
        owner, stranger = new_account(), new_account()
        there, absent, unrecorded = outside_key(), outside_key(), outside_key()
        for s3_key in (there, unrecorded):
            service.put_object(s3_key, made_by(owner))
        for s3_key in (there, absent):
            recorded(service, owner, s3_key)
        answers = [open_by_key(service, stranger, s3_key) for s3_key in (there, absent, unrecorded)]
        assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [
            (404, "Audio file not found")
        ] * 3


class TestWhatAStrangerHasNamedFirst:
    @pytest.fixture
    def stranger(self, new_account: NewAccount) -> dict[str, Any]:
        return new_account()

    @pytest.fixture
    def s3_key(self, service: Service, account: dict[str, Any], stranger: dict[str, Any]) -> str:
        """The key of an object of `account`'s that the stranger has recorded."""
        s3_key = outside_key()
        service.put_object(s3_key, made_by(account))
        recorded(service, stranger, s3_key)
        return s3_key

    @pytest.fixture
    def own(self, service: Service, account: dict[str, Any], s3_key: str) -> str:
        """The owner's recording of it, which has opened."""
        opened = open_by_key(service, account, s3_key)
        assert opened.status_code == 200, opened.text
        file_id: str = opened.json()["file_info"]["file_id"]
        return file_id

    def named(self, service: Service, stranger: dict[str, Any]) -> str:
        listed = service.call("GET", "/api/user/audio-files", stranger["token"]).json()["audio_files"]
        (file_id,) = [row["file_id"] for row in listed]
        return str(file_id)

    def test_goes_when_its_owner_erases_it(
        self, service: Service, account: dict[str, Any], s3_key: str, own: str
    ) -> None:
        erase(service, account, own)
        assert object_at(service, s3_key) is None
        (erasure,) = service.call("GET", "/api/user/erasures", account["token"]).json()["erasures"]
        assert (erasure["objects_removed"], erasure["objects_waiting"]) == (1, 0)

    @pytest.mark.usefixtures("own")
    def test_goes_with_its_owners_account(
        self, service: Service, account: dict[str, Any], s3_key: str
    ) -> None:
        delete_account(service, account)
        assert object_at(service, s3_key) is None

    def test_goes_when_it_is_upgraded(
        self, service: Service, account: dict[str, Any], s3_key: str, own: str
    ) -> None:
        path = f"/api/audio-file/{own}/upgrade"
        answer = service.call("POST", path, account["token"], json={"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        assert object_at(service, s3_key) is None
        assert hear(service, account["token"], own, PASSWORD) == PLAIN

    @pytest.mark.parametrize("how", ["erase", "delete the account"])
    def test_stays_when_the_stranger_goes(
        self,
        service: Service,
        account: dict[str, Any],
        stranger: dict[str, Any],
        s3_key: str,
        how: str,
    ) -> None:
        """Be it that nobody has opened it yet."""
        if how == "erase":
            erase(service, stranger, self.named(service, stranger))
        else:
            delete_account(service, stranger)
        assert open_by_key(service, account, s3_key).status_code == 404
        recorded(service, account, s3_key)
        assert open_by_key(service, account, s3_key).status_code == 200

    def test_stays_while_nobody_has_opened_it(self, service: Service, s3_key: str) -> None:
        """A row of the earlier service has proved nothing: the object may be the stranger's after all."""
        going = earlier_account(service, f"{uuid.uuid4().hex}@example.com")
        of_going = rows.put_file(service, going["user_id"], s3_key)
        claim = {"claim": {"S": f"s3key#{s3_key}"}}
        service.dynamodb().delete_item(TableName="panzoto-claims", Key=claim)
        erase(service, going, of_going)
        assert object_at(service, s3_key) is not None

    @pytest.mark.parametrize("change", ["REMOVE unproved", "SET unproved = s3_key"])
    @pytest.mark.usefixtures("own")
    def test_stays_while_a_row_names_it_that_does_not_say_unproved(
        self, service: Service, account: dict[str, Any], stranger: dict[str, Any], s3_key: str, change: str
    ) -> None:
        service.dynamodb().update_item(
            TableName=rows.FILES_TABLE,
            Key={"file_id": {"S": self.named(service, stranger)}},
            UpdateExpression=change,
        )
        delete_account(service, account)
        assert object_at(service, s3_key) is not None


class TestTheOwner:
    def test_may_do_everything_once_it_has_opened(self, service: Service, account: dict[str, Any]) -> None:
        s3_key = outside_key()
        file_id = store(service, account, s3_key, made_by(account))
        assert download(service, account, file_id).json()["code"] == "not_opened_yet"
        assert hear(service, account["token"], file_id, PASSWORD) == PLAIN
        given = requests.get(download(service, account, file_id).json()["url"], timeout=60)
        assert given.content == object_at(service, s3_key)
        assert f"objects/{file_id}" in export(service, account).namelist()
        erase(service, account, file_id)
        assert object_at(service, s3_key) is None

    def test_needs_no_opening_in_the_own_folders(self, service: Service, account: dict[str, Any]) -> None:
        for folder in ("users", "audio_upload"):
            s3_key = f"{folder}/{account['user_id']}/audio-1.3gp"
            file_id = store(service, account, s3_key, made_by(account))
            assert download(service, account, file_id).status_code == 200
            erase(service, account, file_id)
            assert object_at(service, s3_key) is None

    def test_has_it_by_a_sitting_too(self, service: Service, account: dict[str, Any]) -> None:
        file_ids = [store(service, account, outside_key(), made_by(account)) for _ in range(12)]
        body = {"file_ids": file_ids, "password": PASSWORD}
        opened = service.call("POST", "/api/decrypt-audio", account["token"], json=body)
        assert opened.status_code == 200, opened.text
        assert {download(service, account, file_id).status_code for file_id in file_ids} == {200}


class TestRowsOfTheEarlierService:
    @pytest.fixture
    def two(self, service: Service) -> tuple[dict[str, Any], dict[str, Any]]:
        first, second = (earlier_account(service, f"{uuid.uuid4().hex}@example.com") for _ in range(2))
        return first, second

    def test_count_as_proved_until_another_opens_the_object(
        self, service: Service, new_account: NewAccount, two: tuple[dict[str, Any], dict[str, Any]]
    ) -> None:
        mine, other = two[0], new_account()
        s3_key = outside_key()
        service.put_object(s3_key, made_by(other))
        of_mine = rows.put_file(service, mine["user_id"], s3_key)
        of_other = rows.put_file(service, other["user_id"], s3_key)
        assert download(service, mine, of_mine).status_code == 200
        assert hear(service, other["token"], of_other, PASSWORD) == PLAIN
        assert download(service, mine, of_mine).json()["code"] == "not_opened_yet"
        assert download(service, other, of_other).status_code == 200
        assert f"objects/{of_mine}" not in export(service, mine).namelist()

    def test_two_of_one_account_are_opened_as_one_sitting(
        self, service: Service, two: tuple[dict[str, Any], dict[str, Any]]
    ) -> None:
        mine, other = two
        s3_key = outside_key()
        service.put_object(s3_key, made_by(mine))
        of_other = rows.put_file(service, other["user_id"], s3_key)
        # Whose row is settled first has the claim.
        assert service.call("GET", "/api/user/changes", other["token"]).status_code == 200
        file_ids = [rows.put_file(service, mine["user_id"], s3_key, 1700000100 + at) for at in range(2)]
        body = {"file_ids": file_ids, "password": PASSWORD}
        opened = service.call("POST", "/api/decrypt-audio", mine["token"], json=body)
        assert opened.status_code == 200, opened.text
        assert {download(service, mine, file_id).status_code for file_id in file_ids} == {200}
        assert download(service, other, of_other).json()["code"] == "not_opened_yet"

    @pytest.mark.parametrize("how", ["erase", "delete the account"])
    @pytest.mark.parametrize("where", ["outside", "in the folder of who goes"])
    def test_one_that_goes_leaves_the_object_to_the_other(
        self, service: Service, two: tuple[dict[str, Any], dict[str, Any]], how: str, where: str
    ) -> None:
        going, staying = two
        s3_key = outside_key() if where == "outside" else f"users/{going['user_id']}/audio-1.3gp"
        service.put_object(s3_key, made_by(staying))
        of_going = rows.put_file(service, going["user_id"], s3_key)
        of_staying = rows.put_file(service, staying["user_id"], s3_key)
        if how == "erase":
            erase(service, going, of_going)
        else:
            delete_account(service, going)
        assert hear(service, staying["token"], of_staying, PASSWORD) == PLAIN

    def test_the_last_one_takes_the_object_along(
        self, service: Service, two: tuple[dict[str, Any], dict[str, Any]]
    ) -> None:
        s3_key = outside_key()
        service.put_object(s3_key, made_by(two[0]))
        file_ids = [rows.put_file(service, account["user_id"], s3_key) for account in two]
        for account, file_id in zip(two, file_ids, strict=True):
            assert object_at(service, s3_key) is not None
            erase(service, account, file_id)
        assert object_at(service, s3_key) is None

    def test_one_account_with_two_rows_may_be_deleted_whole(
        self, service: Service, two: tuple[dict[str, Any], dict[str, Any]]
    ) -> None:
        s3_key = outside_key()
        service.put_object(s3_key, made_by(two[0]))
        for _ in range(2):
            rows.put_file(service, two[0]["user_id"], s3_key)
        delete_account(service, two[0])
        assert object_at(service, s3_key) is None


class TestVersion2StaysVersion2:
    def own_key(self, account: dict[str, Any]) -> str:
        return f"users/{account['user_id']}/audio-{uuid.uuid4().hex}"

    def test_what_opened_as_version_2_opens_as_nothing_older(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        s3_key = self.own_key(account)
        file_id = store(service, account, s3_key, version_2(account, PASSWORD, s3_key, PLAIN))
        assert hear(service, account["token"], file_id, PASSWORD) == PLAIN
        for iv_length in (12, 16):
            service.put_object(s3_key, single_shot(PASSWORD, account["key_salt"], b"forged", iv_length))
            refused = decrypt(service, account["token"], file_id, PASSWORD)
            assert (refused.status_code, refused.json()["code"]) == (422, "decryption_failed")
            body = {"file_ids": [file_id], "password": PASSWORD}
            assert service.call("POST", "/api/decrypt-audio", account["token"], json=body).status_code == 422

    def test_nor_does_what_was_upgraded(self, service: Service, account: dict[str, Any]) -> None:
        file_id = store(service, account, self.own_key(account), made_by(account))
        path = f"/api/audio-file/{file_id}/upgrade"
        upgraded = service.call("POST", path, account["token"], json={"password": PASSWORD})
        assert upgraded.status_code == 200, upgraded.text
        service.put_object(upgraded.json()["audio_file"]["s3_key"], made_by(account, b"forged"))
        assert decrypt(service, account["token"], file_id, PASSWORD).status_code == 422
        again = service.call("POST", path, account["token"], json={"password": PASSWORD})
        assert again.status_code == 422

    def test_what_is_older_may_become_version_2(self, service: Service, account: dict[str, Any]) -> None:
        s3_key = self.own_key(account)
        file_id = store(service, account, s3_key, made_by(account))
        assert hear(service, account["token"], file_id, PASSWORD) == PLAIN
        service.put_object(s3_key, version_2(account, PASSWORD, s3_key, PLAIN))
        assert hear(service, account["token"], file_id, PASSWORD) == PLAIN


class TestKeysOfEarlierPasswords:
    """They go with the last recording that needs them, so that a leaked password makes nothing that opens."""

    def change(self, service: Service, account: dict[str, Any]) -> dict[str, Any]:
        body = {"password": PASSWORD, "new_password": NEW}
        answer = service.call("POST", "/api/user/password", account["token"], json=body)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    def upgrade(self, service: Service, account: dict[str, Any], file_id: str) -> None:
        path = f"/api/audio-file/{file_id}/upgrade"
        answer = service.call("POST", path, account["token"], json={"password": NEW})
        assert answer.status_code == 200, answer.text

    def forged_opens(self, service: Service, before: dict[str, Any], account: dict[str, Any]) -> bool:
        """Whether an object made with the earlier password opens as a recording of the account."""
        s3_key = f"users/{account['user_id']}/{uuid.uuid4().hex}.3gp"
        file_id = store(service, account, s3_key, made_by(before, b"forged"))
        status = decrypt(service, account["token"], file_id, NEW).status_code
        assert status in (200, 422)
        erase(service, account, file_id)
        return status == 200

    def test_they_go_with_the_last_single_shot_recording(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        file_ids = [store(service, account, outside_key(), made_by(account)) for _ in range(2)]
        changed = self.change(service, account)
        self.upgrade(service, changed, file_ids[0])
        assert hear(service, changed["token"], file_ids[1], NEW) == PLAIN
        self.upgrade(service, changed, file_ids[1])
        assert not self.forged_opens(service, account, changed)
        assert [hear(service, changed["token"], file_id, NEW) for file_id in file_ids] == [PLAIN, PLAIN]

    def test_they_stay_for_one_in_the_trash(self, service: Service, account: dict[str, Any]) -> None:
        binned, other = (store(service, account, outside_key(), made_by(account)) for _ in range(2))
        service.call("DELETE", f"/api/audio-file/{binned}", account["token"])
        changed = self.change(service, account)
        self.upgrade(service, changed, other)
        restored = service.call("POST", f"/api/audio-file/{binned}/restore", changed["token"])
        assert restored.status_code == 200
        assert hear(service, changed["token"], binned, NEW) == PLAIN

    def test_they_stay_for_what_a_phone_has_yet_to_record(
        self, service: Service, account: dict[str, Any]
    ) -> None:
        waiting = f"audio_upload/{account['user_id']}/audio_{account['user_id'][:8]}_1_0001.3gp_encrypted"
        service.put_object(waiting, made_by(account))
        file_id = store(service, account, outside_key(), made_by(account))
        changed = self.change(service, account)
        self.upgrade(service, changed, file_id)
        late = recorded(service, changed, waiting)
        assert hear(service, changed["token"], late, NEW) == PLAIN


def test_erasing_lists_no_more_than_the_key_has_versions(service: Service, account: dict[str, Any]) -> None:
    s3_key = f"users/{account['user_id']}/audio"
    file_id = store(service, account, s3_key, made_by(account))
    neighbours = [f"{s3_key}-{number}" for number in range(250)]
    for neighbour in neighbours:
        service.put_object(neighbour, b"x")
    erase(service, account, file_id)
    assert object_at(service, s3_key) is None
    found = service.s3().list_objects_v2(Bucket=BUCKET, Prefix=s3_key)
    assert [entry["Key"] for entry in found["Contents"]] == sorted(neighbours)
