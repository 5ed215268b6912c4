"""The firewall: rates of one address, far above a phone's; the service has finer ones of its own.

No sampled requests: they hold whole addresses, and an address of playback holds a ticket.
"""

from __future__ import annotations

from deploy.aws.cloudformation.template import TAGS, Json, att, ref, resource

# Calls of one address in five minutes, all of them and those at which passwords can be guessed.
RATE = 3000
SIGN_IN_RATE = 100
SIGN_INS = ("/api/login", "/api/register", "/api/recover", "/api/password/", "/api/decrypt-audio")
TOO_MANY = '{"error": "Too many requests; please wait", "code": "too_many_requests", "request_id": ""}'


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
    sign_ins = {"OrStatement": {"Statements": [_begins(path) for path in SIGN_INS]}}
    properties = {
        "Name": "panzoto",
        "Scope": "REGIONAL",
        "DefaultAction": {"Allow": {}},
        "Rules": [
            _rate("sign-ins", 0, SIGN_IN_RATE, sign_ins),
            _rate("all-calls", 1, RATE),
        ],
        "CustomResponseBodies": {"TooMany": {"ContentType": "APPLICATION_JSON", "Content": TOO_MANY}},
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


def _visible(name: str) -> Json:
    return {
        "CloudWatchMetricsEnabled": True,
        "MetricName": f"panzoto-{name}",
        "SampledRequestsEnabled": False,
    }


def _begins(path: str) -> Json:
    return {
        "ByteMatchStatement": {
            "FieldToMatch": {"UriPath": {}},
            "PositionalConstraint": "STARTS_WITH",
            "SearchString": path,
            "TextTransformations": [{"Priority": 0, "Type": "NORMALIZE_PATH"}],
        }
    }
