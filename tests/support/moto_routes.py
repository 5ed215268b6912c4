"""The straight way to those of moto's handlers that answer for DynamoDB, S3 and SQS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError
from flask import Response
from moto.core.request import Request
from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response
from moto.sqs.responses import SQSResponse
from werkzeug.exceptions import HTTPException

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Handler = Callable[..., Any]

# What Flask would lead elsewhere, as it does what has two slashes in a row, is of neither kind.
BUCKET = re.compile(r"/[^/\n]+/?")
OBJECT = re.compile(r"/[^/\n]+(?:/[^/\n]+)+")
# Paths that are no bucket's to moto.
OTHERS = ("/moto-api", "/latest/", "/v20180820/")
FORM = "application/x-www-form-urlencoded"


class ServedRequest(Request):
    """A request as moto's own server reads it, without what Flask adds to it."""

    from_wsgi_server = True


class Straight:
    """A WSGI application that hands calls to what answers them, and all but the usual ones to `application`.

    moto finds out for each whose it is, and answers in a Flask application of that service's own, which is as
    much work as most of the answers.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_20120810."):
            return _from_dynamodb(environ, start_response)
        handler = None if "HTTP_ORIGIN" in environ else _handler(environ)
        if handler is None:
            return self._application(environ, start_response)
        response = _response(handler, ServedRequest(environ))
        # For whom Flask's extension would tell it.
        response.headers.setdefault("Access-Control-Allow-Origin", "*")
        return response(environ, start_response)


def _from_dynamodb(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    status, headers, body = DynamoHandler.dispatch(ServedRequest(environ))
    fields = [(name, str(value)) for name, value in headers.items()]
    start_response(f"{status} {HTTPStatus(int(status)).phrase}", fields)
    return [body if isinstance(body, bytes) else body.encode()]


def _handler(environ: dict[str, Any]) -> Handler | None:
    """Return what answers S3's and SQS's calls, None for any that is not plainly one of them."""
    path, signed = environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "").partition(",")[0]
    if environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSQS."):
        return SQSResponse.dispatch if path == "/" and signed.endswith("/sqs/aws4_request") else None
    if environ["REQUEST_METHOD"] == "OPTIONS" or "HTTP_X_AMZ_TARGET" in environ or path.startswith(OTHERS):
        return None
    if not (signed.endswith("/s3/aws4_request") if signed else _is_presigned(environ)):
        return None
    if OBJECT.fullmatch(path):
        return S3Response.key_dispatch
    return S3Response.ambiguous_dispatch if BUCKET.fullmatch(path) else None


def _is_presigned(environ: dict[str, Any]) -> bool:
    """Whether a query signs for S3; moto takes an underscore for one between a service and a region."""
    return (
        "%2Fs3%2Faws4_request" in environ.get("QUERY_STRING", "")
        and "_" not in environ["PATH_INFO"].split("/")[1]
        and "/.well-known/" not in environ["PATH_INFO"]
        and not environ.get("CONTENT_TYPE", "").startswith(FORM)
    )


def _response(handler: Handler, request: ServedRequest) -> Response:
    """Return what moto's Flask application makes of what a handler answers."""
    try:
        answer = handler(request, request.raw_url, dict(request.headers))
    except ClientError as error:
        answer = 400, {}, error.response["Error"]["Message"]
    except HTTPException as error:
        return Response.force_type(error, request.environ)
    status, headers, content = answer if len(answer) == 3 else (200, {}, answer)
    response = Response(response=content, status=status, headers=headers)
    if request.method == "HEAD" and "content-length" in headers:
        response.headers["Content-Length"] = headers["content-length"]
    return response
