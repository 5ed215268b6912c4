"""What reaches the AWS stand-in, written down as IAM sees it: who may do which action to what.

Who is told by the access key that signed the request, so a presigned URL
counts for the role that signed it, whoever sends it.  A permission is one
line of JSON: role, action and resource.  Calls of the tests themselves are
signed by another key and are not written down.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

# The environment variable that names the folder into which stand-ins write.
RECORD = "PANZOTO_TEST_AWS_CALLS"
# What begins the action of a line that is no permission by itself, but an attribute that was read or written;
# only of roles whose policy names attributes.
ATTRIBUTE = "attribute:"
NAMING_ATTRIBUTES = ("transcriptions",)
# A role's processes sign with this and its name.
KEY_PREFIX = "role-"

_CREDENTIAL = re.compile(r"Credential=" + KEY_PREFIX + r"([a-z]+)/")
_ITEM_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
# DynamoDB fills a restored table with the rights of who asked for it.
_FILLING_A_COPY = ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
# The families of `X-Amz-Target`: IAM's name of the service, and the kind of resource in the policy.
_FAMILIES = {
    "DynamoDB": ("dynamodb", ""),
    "AmazonSQS": ("sqs", ""),
    "secretsmanager": ("secretsmanager", "secret"),
    "AmazonEC2ContainerServiceV20141113": ("ecs", "services"),
}
_BUCKET_CONFIGURATION = {
    "versioning": "BucketVersioning",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "encryption": "EncryptionConfiguration",
    "cors": "BucketCORS",
    "lifecycle": "LifecycleConfiguration",
    "notification": "BucketNotification",
}
_BUCKET_LISTS = {"versions": "ListBucketVersions", "uploads": "ListBucketMultipartUploads"}

# The service's own folders, as the policies name them; a stand-in's process loads nothing of the service.
FOLDERS = ("users/", "audio_upload/", "sittings/", "transcripts/", "aside/")

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Permission(NamedTuple):
    """What a role needs: `action` is IAM's name, `resource` a kind or a table's name, as in the policy."""

    role: str
    action: str
    resource: str


class Recorder:
    """A WSGI application in front of the stand-in that writes down each permission once."""

    def __init__(self, application: Application, path: Path) -> None:
        self._application = application
        self._path = path
        self._known: set[Permission] = set()
        self._guard = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        role = role_of(environ)
        if role is None:
            return self._application(environ, start_response)
        body = _body_of(environ) if environ["REQUEST_METHOD"] == "POST" else b""
        status = "200"

        def started(line: str, *more: Any) -> Any:
            nonlocal status
            status = line
            return start_response(line, *more)

        answer = self._application(environ, started)
        self._note(
            Permission(role, *used)
            for used in permissions(environ, body, int(status[:3]))
            if role in NAMING_ATTRIBUTES or not used[0].startswith(ATTRIBUTE)
        )
        return answer

    def _note(self, used: Iterable[Permission]) -> None:
        with self._guard:
            new = set(used) - self._known
            self._known |= new
            if new:
                with self._path.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(permission) + "\n" for permission in sorted(new))


def recorded(folder: Path) -> set[Permission]:
    """Return what all stand-ins have written into `folder`."""
    return {
        Permission(*json.loads(line))
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    }


def role_of(environ: dict[str, Any]) -> str | None:
    """Return whose key signed the request (AWS Signature Version 4), None when it is none of ours."""
    signed = environ.get("HTTP_AUTHORIZATION", "")
    presigned = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    found = _CREDENTIAL.search(signed or f"Credential={presigned}")
    return found[1] if found else None


def permissions(environ: dict[str, Any], body: bytes, status: int) -> Iterator[tuple[str, str]]:
    """Yield the actions and resources that IAM would ask for this request."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        family, _, operation = target.rpartition(".")
        service, resource = _FAMILIES[family.partition("_")[0]]
        if service == "dynamodb":
            request = json.loads(body)
            yield from _of_tables(operation, request)
            yield from _of_attributes(operation, request)
        elif service == "sqs":
            # IAM knows no other right for several messages at once.
            yield f"sqs:{operation.removesuffix('Batch')}", _queue(json.loads(body))
        else:
            yield f"{service}:{operation}", resource
    elif "/ses/" in environ.get("HTTP_AUTHORIZATION", ""):
        # SES tells a finished message from one that it puts together itself.
        kind = "SendRawEmail" if b'"Raw"' in body else "SendEmail"
        yield f"ses:{kind}", "mail-identity"
    else:
        yield from _of_bucket(environ, status)


def _of_tables(operation: str, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if operation == "TransactWriteItems":
        for entry in request["TransactItems"]:
            for kind, what in entry.items():
                yield f"dynamodb:{_ITEM_ACTIONS[kind]}", _table(what["TableName"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for table in request["RequestItems"]:
            yield f"dynamodb:{operation}", _table(table)
    elif operation == "RestoreTableToPointInTime":
        yield f"dynamodb:{operation}", request["SourceTableName"]
        for action in _FILLING_A_COPY:
            yield f"dynamodb:{action}", "copies"
    else:
        index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
        yield f"dynamodb:{operation}", _table(request["TableName"], index)


def _of_attributes(operation: str, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each attribute that is read or written by its key, `*` for all of them; see `ATTRIBUTE`."""
    single = {"GetItem": "read", "UpdateItem": "written"}
    if operation in single:
        yield from _attributes_of(single[operation], request["TableName"], request)
    for table, wanted in request.get("RequestItems", {}).items() if operation == "BatchGetItem" else ():
        yield from _attributes_of("read", table, wanted)
    for entry in request["TransactItems"] if operation == "TransactWriteItems" else ():
        if "Update" in entry:
            yield from _attributes_of("written", entry["Update"]["TableName"], entry["Update"])


def _attributes_of(how: str, table: str, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    names = {*request.get("ExpressionAttributeNames", {}).values(), *request.get("Key", {})}
    for key in request.get("Keys", ()):
        names |= key.keys()
    if how == "read" and "ProjectionExpression" not in request:
        names = {"*"}
    for name in names:
        yield f"{ATTRIBUTE}{how}", f"{table}.{name}"


def _table(name: str, index: str = "") -> str:
    """Return the resource of a table or its index; restored ones are all of one kind."""
    return "copies" if "-restored-" in name else name + index


def _queue(request: dict[str, Any]) -> str:
    """Return the kind of a queue, by its name or its address."""
    named = request.get("QueueName") or request["QueueUrl"]
    last = named.removesuffix("-dead").rpartition("-")[2]
    whose = f"{last}-" if last in ("transcriptions", "chores", "mail") else ""
    return f"{whose}dead-letter-queue" if named.endswith("-dead") else f"{whose}queue"


def _of_bucket(environ: dict[str, Any], status: int) -> Iterator[tuple[str, str]]:
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    _, _, s3_key = environ["PATH_INFO"].lstrip("/").partition("/")
    if s3_key and not s3_key.startswith(FOLDERS):
        # What lies beyond the service's folders is asked for in vain: AWS denies it, and that is no fault.
        return
    if s3_key:
        yield f"s3:{_object_action(method, query)}", _in_folder("object", s3_key)
        if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
            copied = unquote(source).lstrip("/").partition("/")[2]
            action = "s3:GetObjectVersion" if "versionId=" in source else "s3:GetObject"
            yield action, _in_folder("object", copied)
        if status == 404 and method in ("GET", "HEAD"):
            # Without this right, S3 says of an object that is not there that it is forbidden.
            yield "s3:ListBucket", "bucket"
    elif "versions" not in query:
        yield f"s3:{_bucket_action(method, query)}", "bucket"
    elif (prefix := query.get("prefix", [""])[0]).startswith(FOLDERS):
        yield "s3:ListBucketVersions", _in_folder("folders", prefix)


def _in_folder(kind: str, s3_key: str) -> str:
    """Return the resource of a key: its kind and its folder."""
    return f"{kind}/{s3_key.partition('/')[0]}"


def _object_action(method: str, query: dict[str, list[str]]) -> str:
    if method in ("GET", "HEAD"):
        if "uploadId" in query:
            return "ListMultipartUploadParts"
        return "GetObjectVersion" if "versionId" in query else "GetObject"
    if method == "DELETE":
        if "uploadId" in query:
            return "AbortMultipartUpload"
        return "DeleteObjectVersion" if "versionId" in query else "DeleteObject"
    # A PUT of an object or of a part, and the beginning and the end of a multipart upload.
    return "PutObject"


def _bucket_action(method: str, query: dict[str, list[str]]) -> str:
    for name, thing in _BUCKET_CONFIGURATION.items():
        if name in query:
            return ("Get" if method == "GET" else "Put") + thing
    for name, action in _BUCKET_LISTS.items():
        if name in query:
            return action
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket"}.get(method, "ListBucket")


def _body_of(environ: dict[str, Any]) -> bytes:
    """Read the body of a POST, and put it back for the application."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body
