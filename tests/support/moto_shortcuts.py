"""Ways that moto goes again and again, cut short for this process: the answers stay the same.

Of what the suite asks of its stand-in, most of the work was in these; and for a page of a megabyte moto took
longer than the service waits for DynamoDB. What is DynamoDB's alone is in `moto_dynamodb_shortcuts` and
`moto_expression_shortcuts`, and the way to who answers in `moto_routes`.
"""

from __future__ import annotations

import functools
import json
import string
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

from moto import backends
from moto.core import exceptions, responses
from moto.core.model import Shape
from moto.core.parse import JSONParser
from moto.core.request import Request
from moto.core.responses import BaseResponse
from moto.core.serialize import AttributePickerContext, ResponseSerializer, XFormedAttributePicker
from moto.core.utils import get_service_model
from moto.iam.models import mark_account_as_visited
from moto.moto_api._internal.moto_random import MotoRandom
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import _VersionedKeyStore
from moto.sqs import models as sqs
from moto.utilities.utils import get_partition
from werkzeug.exceptions import HTTPException
from werkzeug.sansio import request as werkzeug_request

from tests.support import moto_dynamodb_shortcuts, moto_expression_shortcuts

# The services whose requests are JSON alone, and how clients say so.
SPEAKING_JSON = ("dynamodb", "sqs")
JSON_TYPE = "application/x-amz-json-1.0"
REQUEST_ID = "<RequestId>"


def take_all() -> None:
    """Let moto take each of them from now on."""
    moto_dynamodb_shortcuts.take_all()
    moto_expression_shortcuts.take_all()
    look_up_once()
    read_json_alone()
    pick_members_by_their_names()
    draw_identifiers_at_once()
    look_for_request_ids_in_xml()
    look_at_hosts_once()
    tell_errors_in_json_alone()
    look_at_a_cheaper_clock()
    copy_only_versions_that_are_listed()


def look_up_once() -> None:
    """Let moto look once into itself, and at names and addresses that come again with each request."""
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    spelled = functools.lru_cache(1024)(responses.camelcase_to_underscores)
    responses.camelcase_to_underscores = sqs.camelcase_to_underscores = spelled
    for name in ("get_host", "get_current_url"):
        setattr(werkzeug_request, name, functools.lru_cache(256)(getattr(werkzeug_request, name)))


def read_json_alone() -> None:
    """Let a request of a service that speaks JSON be read as such.

    moto reads it first as a form, as a query and as headers, for parameters that might be in them.
    """
    set_up = BaseResponse.setup_class

    @functools.wraps(set_up)
    def read(response: BaseResponse, request: Request, *given: Any, **named: Any) -> None:
        if response.service_name in SPEAKING_JSON and _speaks_json(request.environ):
            _read_json(response, request)
        else:
            set_up(response, request, *given, **named)

    BaseResponse.setup_class = read


def _speaks_json(environ: dict[str, Any]) -> bool:
    return (
        environ.get("CONTENT_TYPE") == JSON_TYPE
        and "HTTP_X_AMZ_TARGET" in environ
        and "HTTP_CONTENT_ENCODING" not in environ
        and not environ.get("QUERY_STRING")
    )


def _read_json(response: BaseResponse, request: Request) -> None:
    """Note what moto notes of each request."""
    response.normalized_request, response.headers = request, request.headers
    response.method, response.raw_path = request.method, request.raw_path
    response.uri = request.raw_url
    response.parsed_url = urlparse(response.uri)
    response.path = response.parsed_url.path
    response.is_werkzeug_request = True
    response.response_headers = {"server": "amazon.com"}
    response.form_data, response.querystring, response.uri_match = {}, {}, {}
    response.data = response.querystring
    response.raw_body = request.get_data()
    response.body = response.raw_body.decode()
    operation = get_service_model(response.boto3_service_name).operation_model(response._get_action())
    parser = JSONParser(operation, map_type=response.PROTOCOL_PARSER_MAP_TYPE)
    response.params = parser.parse({"body": response.raw_body})
    _note_who_asks(response, request)


def _note_who_asks(response: BaseResponse, request: Request) -> None:
    response.region = response.get_region_from_url(request, response.uri)
    response.partition = get_partition(response.region)
    response.access_key = response.get_access_key()
    response.current_account = response.get_current_account()
    mark_account_as_visited(
        account_id=response.current_account,
        access_key=response.access_key,
        service=response.service_name,
        region=response.region,
    )


def pick_members_by_their_names() -> None:
    """Let members of an answer be taken from where they are by their names.

    moto looks under up to a dozen spellings for each, which it makes up anew for each, and finds most under
    the first, or nothing.
    """
    pick, spellings = ResponseSerializer.get_value, XFormedAttributePicker.get_possible_keys

    @functools.lru_cache(8192)
    def known_spellings(shape: Shape, key: str) -> tuple[str, ...]:
        context = AttributePickerContext(obj={}, key=key, shape=shape)
        return tuple(spellings(XFormedAttributePicker(), context))

    def picked(serializer: ResponseSerializer, value: Any, key: str, shape: Shape) -> Any:
        picker = serializer._value_picker
        if (
            type(value) is not dict
            or type(picker) is not XFormedAttributePicker
            or picker.response_transformers
        ):
            return pick(serializer, value, key, shape)
        if key in value:
            return value[key]
        return next((value[name] for name in known_spellings(shape, key) if name in value), None)

    ResponseSerializer.get_value = picked


def draw_identifiers_at_once() -> None:
    """Let all characters of an identifier be drawn together; each answer has one of 52."""

    def drawn(
        random: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False
    ) -> str:
        pool = string.ascii_letters + (string.digits if include_digits else "")
        text = "".join(random.choices(pool, k=length))
        return text.lower() if lower_case else text

    MotoRandom.get_random_string = drawn


def look_for_request_ids_in_xml() -> None:
    """Let a request's number be put where there is a place for it; moto looks for that at each character."""
    enrich = BaseResponse._enrich_response

    def enriched(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        if isinstance(body, str) and REQUEST_ID in body:
            told: tuple[dict[str, str], Any] = enrich(headers, body)
            return told
        return enrich(headers, "")[0], body

    BaseResponse._enrich_response = staticmethod(enriched)


def look_at_hosts_once() -> None:
    """Let S3 find out once whether a host's name begins with a bucket's; it does so five times a request."""
    look = S3Response.subdomain_based_buckets

    @functools.lru_cache(256)
    def known(host: str) -> bool:
        return bool(look(SimpleNamespace(headers={"host": host})))

    def looked(request: Any) -> bool:
        host = request.headers.get("host")
        return known(host) if host else bool(look(request))

    S3Response.subdomain_based_buckets = staticmethod(looked)


def tell_errors_in_json_alone() -> None:
    """Let an error that is told as JSON be told so at once; moto writes it as XML first."""

    def made(error: exceptions.JsonRESTError, error_type: str, message: str, *_: Any, **__: Any) -> None:
        HTTPException.__init__(error)
        error.error_type, error.message = error_type, message
        error.description = json.dumps({"__type": error_type, "message": message})
        error.content_type = "application/json"

    exceptions.JsonRESTError.__init__ = made


def look_at_a_cheaper_clock() -> None:
    """Let queues take the time from the system at once, without a calendar.

    For each message that is sent, moto asks four times of each that is there whether it can be seen by now.
    """
    sqs.unix_time_millis = lambda: time.time() * 1000


def copy_only_versions_that_are_listed() -> None:
    """Let a list of versions begin with those under its prefix; moto copies all that a bucket holds first."""
    all_lists, list_versions = _VersionedKeyStore.iterlists, S3Backend.list_object_versions
    # Of the list that this thread is just making.
    listing = threading.local()

    def lists(keys: _VersionedKeyStore) -> Iterator[tuple[str, list[Any]]]:
        prefix = getattr(listing, "prefix", "")
        return ((key, versions) for key, versions in all_lists(keys) if key.startswith(prefix))

    @functools.wraps(list_versions)
    def list_under_prefix(self: S3Backend, bucket_name: str, *given: Any, **named: Any) -> Any:
        listing.prefix = named.get("prefix") or ""
        try:
            return list_versions(self, bucket_name, *given, **named)
        finally:
            listing.prefix = ""

    _VersionedKeyStore.iterlists = lists
    S3Backend.list_object_versions = list_under_prefix
