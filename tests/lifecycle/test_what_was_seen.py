"""Looking once more for what was nobody's costs as much as that key has versions, whatever begins like it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator

import pytest
import requests

from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.fault_proxy import FaultProxy
from tests.support.recordings import store
from tests.support.service import BUCKET, Service, run_service

ROLE = "chores"
# More than S3 lists in a page.
OTHERS = 1050


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with start_moto() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(aws: str) -> Iterator[FaultProxy]:
    with FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, **UNLIMITED) as running:
        yield running


def put_all(aws: str, s3_keys: Iterable[str]) -> None:
    """Put an object at each, with nothing in between and unsigned, which the stand-in does not mind."""
    with requests.Session() as session:
        session.trust_env = False
        for s3_key in s3_keys:
            session.put(f"{aws}/{BUCKET}/{s3_key}", data=b"s", timeout=60).raise_for_status()


def test_a_key_with_which_all_others_begin(service: Service, proxy: FaultProxy, aws: str) -> None:
    account = service.register(f"{uuid.uuid4()}@example.com")
    store(service, account, f"users/{account['user_id']}/{uuid.uuid4()}", b"sound")
    # As consoles make folders.
    service.put_object("users/", b"")
    done(service, ROLE, "chores", "run")
    s3 = service.s3()
    (version,) = s3.list_object_versions(Bucket=BUCKET, Prefix="users/", MaxKeys=1)["Versions"]
    s3.delete_object(Bucket=BUCKET, Key="users/", VersionId=version["VersionId"])
    put_all(aws, (f"users/{account['user_id']}/{number}" for number in range(OTHERS)))
    before = len(proxy.requests)
    done(service, ROLE, "chores", "run")
    pages = [
        one
        for one in proxy.requests[before:]
        if "versions" in one.query and "prefix=users%2F&" in f"{one.query}&"
    ]
    # One of the pass over the folder for each thousand, and one of what was seen.
    assert len(pages) == 3
