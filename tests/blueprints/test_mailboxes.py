"""One mailbox, one account: however its address is spelt, and whoever's domain looks like it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.support import mails, rows
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually

_serial = itertools.count()


def pair() -> tuple[str, str]:
    """Return two spellings of one new mailbox."""
    local = f"mailbox-{next(_serial)}"
    return f"{local}@straße.de", f"{local}@xn--strae-oqa.de"


def call(service: Service, path: str, email: str) -> Any:
    return service.call("POST", path, json={"email": email, "password": PASSWORD})


def claims(service: Service) -> set[str]:
    pages = service.dynamodb().get_paginator("scan").paginate(TableName="panzoto-claims")
    return {item["claim"]["S"] for page in pages for item in page["Items"]}


@pytest.mark.parametrize("first", [0, 1])
def test_a_second_spelling_is_no_second_account(service: Service, first: int) -> None:
    spelt = pair()
    registered = call(service, "/api/register", spelt[first])
    assert registered.status_code == 201, registered.text
    assert registered.json()["user"]["email"] == spelt[first]
    again = call(service, "/api/register", spelt[1 - first])
    assert (again.status_code, again.json()["error"]) == (409, "User already exists")
    for spelling in spelt:
        assert call(service, "/api/login", spelling).json()["user_id"] == registered.json()["user_id"]
    assert f"email#{spelt[1]}" in claims(service)


def test_an_account_of_before_goes_on_under_its_own_spelling(service: Service) -> None:
    unicode, ascii_ = pair()
    user_id = rows.put_user(service, unicode, PASSWORD, bytes(32))
    assert call(service, "/api/register", ascii_).status_code == 409
    for spelling in (unicode, ascii_):
        assert call(service, "/api/login", spelling).json()["user_id"] == user_id


def test_letters_go_to_the_domain_that_was_meant(service: Service) -> None:
    unicode, ascii_ = pair()
    assert call(service, "/api/register", unicode).status_code == 201
    assert service.call("POST", "/api/password/forgot", json={"email": unicode}).status_code == 202

    def receivers() -> list[str]:
        return [letter["To"].addresses[0].addr_spec for letter in mails.every(service)]

    eventually(lambda: receivers().count(ascii_) == 2, lambda: f"the letters went to {receivers()}")


@pytest.mark.parametrize(
    "email",
    ["me\u200b@example.com", "mü@example.com", "me@ex_ample.com", "me@a\u200db.com", '"me"@example.com'],
)
def test_what_is_no_mailbox_is_told_so(service: Service, email: str) -> None:
    refused = call(service, "/api/register", email)
    assert refused.status_code == 400
    assert refused.json()["fields"]["email"].startswith(("The email", "Before the", "What stands"))


def test_a_deleted_account_frees_its_mailbox(service: Service) -> None:
    unicode, ascii_ = pair()
    account = call(service, "/api/register", unicode).json()
    service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    eventually(
        lambda: call(service, "/api/register", ascii_).status_code == 201,
        lambda: "the mailbox is still taken",
    )
