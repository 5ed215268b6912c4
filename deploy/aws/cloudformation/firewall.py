"""The firewall: rates of one address, far above a phone's; the service has finer ones of its own.

No sampled requests: they hold whole addresses, and an address of playback holds a ticket.
"""

from __future__ import annotations

import re

from deploy.aws.cloudformation.template import TAGS, Json, att, ref, resource
from panzoto.blueprints.guessable_calls import guessable_calls

# Calls of one address in five minutes, all of them and those at which passwords can be guessed.
RATE = 3000
SIGN_IN_RATE = 100
# As the service itself sees a path: decoded once, without empty and dotted segments.
AS_SERVED = [{"Priority": 0, "Type": "URL_DECODE"}, {"Priority": 1, "Type": "NORMALIZE_PATH"}]
TOO_MANY = '{"error": "Too many requests; please wait", "code": "too_many_requests", "request_id": ""}'

NOT_FOUND = '{"error": "There is nothing at this address", "code": "not_found", "request_id": ""}'


def firewall() -> Json:
    """The rules, and that they stand before the load balancer."""
    return {
        "Firewall": _rules(),
        "FirewallAssociation": resource(
            "WAFv2::WebACLAssociation",
            {"ResourceArn": ref("LoadBalancer"), "WebACLArn": att("Firewall")},
        ),
    }


def _rules() -> Json:
    properties = {
        "Name": "panzoto",
        "Scope": "REGIONAL",
        "DefaultAction": {"Allow": {}},
        "Rules": [
            _rate("sign-ins", 0, SIGN_IN_RATE, _guessing()),
            _rate("all-calls", 1, RATE),
            _closed(),
        ],
        "CustomResponseBodies": {
            "TooMany": {"ContentType": "APPLICATION_JSON", "Content": TOO_MANY},
            "NotFound": {"ContentType": "APPLICATION_JSON", "Content": NOT_FOUND},
        },
        "VisibilityConfig": _visible("firewall"),
        "Tags": TAGS,
    }
    return resource("WAFv2::WebACL", properties)


def _rate(name: str, priority: int, limit: int, scope: Json | None = None) -> Json:
    statement = {
        "AggregateKeyType": "IP",
        "Limit": limit,
        "EvaluationWindowSec": 300,
        **({"ScopeDownStatement": scope} if scope else {}),
    }
    # In the contract's own shape: an error is JSON and says when to come back.
    answer = {
        "ResponseCode": 429,
        "CustomResponseBodyKey": "TooMany",
        "ResponseHeaders": [{"Name": "Retry-After", "Value": "300"}],
    }
    return {
        "Name": name,
        "Priority": priority,
        "Action": {"Block": {"CustomResponse": answer}},
        "Statement": {"RateBasedStatement": statement},
        "VisibilityConfig": _visible(name),
    }


def _closed() -> Json:
    """Anybody could have the service ask DynamoDB and S3 by readiness; the load balancer asks /api/health."""
    statement = _byte_match({"UriPath": {}}, "/api/health/ready", AS_SERVED)
    statement["ByteMatchStatement"]["PositionalConstraint"] = "STARTS_WITH"
    answer = {"ResponseCode": 404, "CustomResponseBodyKey": "NotFound"}
    return {
        "Name": "readiness",
        "Priority": 2,
        "Action": {"Block": {"CustomResponse": answer}},
        "Statement": statement,
        "VisibilityConfig": _visible("readiness"),
    }


def _visible(name: str) -> Json:
    return {
        "CloudWatchMetricsEnabled": True,
        "MetricName": f"panzoto-{name}",
        "SampledRequestsEnabled": False,
    }


def _guessing() -> Json:
    """Return what is a call at which a password, a code or a key can be guessed, as the code has them."""
    paths: dict[str, list[str]] = {}
    for method, path in guessable_calls():
        paths.setdefault(method, []).append(path)
    return _any(
        [_all([_is_method(method), _any([_is(path) for path in those])]) for method, those in paths.items()]
    )


def _any(statements: list[Json]) -> Json:
    return {"OrStatement": {"Statements": statements}} if len(statements) > 1 else statements[0]


def _all(statements: list[Json]) -> Json:
    return {"AndStatement": {"Statements": statements}}


def _is_method(method: str) -> Json:
    return _byte_match({"Method": {}}, method, [{"Priority": 0, "Type": "NONE"}])


def _is(path: str) -> Json:
    """Return what is this very path; a parameter in it is any one segment.

    The service takes a slash behind a path for nothing, and so does this.
    """
    pattern = re.sub(r"\{\w+\}", "[^/]+", path)
    return {
        "RegexMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "RegexString": f"^{pattern}/?$",
            "TextTransformations": AS_SERVED,
        }
    }


def _byte_match(field: Json, text: str, transformations: list[Json]) -> Json:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": field,
            "PositionalConstraint": "EXACTLY",
            "SearchString": text,
            "TextTransformations": transformations,
        }
    }
