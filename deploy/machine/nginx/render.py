"""Write nginx's configuration for one machine to standard output.

For example:
    python3 deploy/machine/nginx/render.py --server-name voice.example.com > /etc/nginx/nginx.conf
    nginx -t && systemctl reload nginx

It needs nothing but Python 3.9 or newer.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import pwd
import re
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent / "nginx.conf.template"
SERVER_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")
# What may stand in the configuration without quotation marks.
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,20}://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
USERS = ("www-data", "nginx", "nobody")

# Status, code, sentence and Retry-After of what nginx answers by itself, as the service would have said it.
# What begins with $ is a variable of the template.
ERRORS: tuple[tuple[int, str, str, int | None], ...] = (
    (400, "bad_request", "The request cannot be understood", None),
    (404, "not_found", "There is nothing at this address", None),
    (405, "method_not_allowed", "This address does not take that method", None),
    (408, "request_timeout", "The request took too long to arrive", None),
    (413, "payload_too_large", "The request body is larger than $panzoto_longest_body", None),
    (414, "uri_too_long", "The address is too long", None),
    (421, "misdirected_request", "This host is not served here", None),
    (429, "too_many_requests", "Too many requests from this address; please wait a moment", 1),
    (431, "headers_too_large", "The request headers are too large", None),
    (500, "internal_error", "Something went wrong on our side; please try again", None),
    (503, "unavailable", "The service cannot be reached right now; please try again in a moment", 5),
)


# What nginx calls otherwise. A service that is not there is 503, which clients know, and not 502 or 504.
ALIASES = {400: (495, 496, 497, 505), 405: (501,), 431: (494,), 503: (502, 504)}
# What pages may read of an answer and send with a call, as the service itself says it.
EXPOSED_HEADERS = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, RateLimit, RateLimit-Limit, "
    "RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-ID"
)
ALLOWED_HEADERS = "Authorization, Content-Type, If-Range, Range, X-Request-ID"
ALLOWED_METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
# Errors that have nothing to do with what is asked for, so that the question before a call meets them too.
MET_BY_PREFLIGHTS = (429, 503)


def cors_maps(origins: list[str]) -> str:
    """Return the maps that say what a page of the request's origin is told; none where no page may call.

    What comes before a request has been read names no origin: there the one allowed origin is told, or `*`.
    """
    if "*" in origins:
        allowed = ['default "*";']
    else:
        unnamed = [f'"" "{origins[0]}";'] if len(origins) == 1 else []
        allowed = ['default "";', *unnamed, *(f'"{origin}" "{origin}";' for origin in origins)]
    maps = {
        ("$http_origin", "$panzoto_origin"): allowed,
        ("$panzoto_origin", "$panzoto_exposed"): [f'default "{EXPOSED_HEADERS}";', '"" "";'],
        ('"$panzoto_method $panzoto_origin $http_access_control_request_method"', "$panzoto_preflight"): [
            'default "";',
            '"~^OPTIONS [^ ]+ [A-Z]+$" 1;',
        ],
        ("$panzoto_preflight", "$panzoto_methods"): ['default "";', f'1 "{ALLOWED_METHODS}";'],
        ("$panzoto_preflight", "$panzoto_headers"): ['default "";', f'1 "{ALLOWED_HEADERS}";'],
    }
    return "".join(
        f"\n    map {source} {name} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }"
        for (source, name), lines in maps.items()
    )


def cors_headers(status: int, origins: list[str]) -> list[str]:
    """Return what an error page says about who may read it."""
    if not origins:
        return []
    told = {
        "Access-Control-Allow-Origin": "$panzoto_origin",
        "Access-Control-Expose-Headers": "$panzoto_exposed",
    }
    if "*" not in origins:
        told["Vary"] = "Origin"
    if status in MET_BY_PREFLIGHTS:
        told |= {
            "Access-Control-Allow-Methods": "$panzoto_methods",
            "Access-Control-Allow-Headers": "$panzoto_headers",
        }
    return [f"add_header {name} {value} always;" for name, value in told.items()]


def error_page(status: int, code: str, sentence: str, retry_after: int | None, origins: list[str]) -> str:
    """Return the location that answers `status` in the service's own shape, for pages of `origins` too."""
    shape = {"error": sentence, "code": code, "request_id": "$panzoto_request_id"}
    body = json.dumps(shape, separators=(",", ":"))
    headers = [
        'add_header Strict-Transport-Security "max-age=63072000" always;',
        "add_header X-Request-ID $panzoto_request_id always;",
        'add_header Cache-Control "no-store" always;',
        'add_header X-Content-Type-Options "nosniff" always;',
    ]
    if retry_after is not None:
        headers.append(f"add_header Retry-After {retry_after} always;")
    headers += cors_headers(status, origins)
    if origins and status in MET_BY_PREFLIGHTS:
        headers.append("if ($panzoto_preflight) { return 204; }")
    lines = ["internal;", *headers, f"return {status} '{body}';"]
    inner = "\n".join(f"            {line}" for line in lines)
    return f"        location = /-/{status} {{\n{inner}\n        }}"


def errors(origins: list[str]) -> str:
    """Return what makes nginx's own errors look like the service's, in any of its servers.

    Each page says its own status, which may be another one than the error's: a
    page's question whether it may ask at all is answered yes, so that it can
    read why its call failed.
    """
    lines = ["        # What nginx answers by itself looks like what the service answers."]
    for status, *_ in ERRORS:
        causes = " ".join(str(cause) for cause in (status, *ALIASES.get(status, ())))
        lines.append(f"        error_page {causes} = /-/{status};")
    return "\n".join([*lines, *(error_page(*error, origins) for error in ERRORS)])


def render(arguments: argparse.Namespace) -> str:
    """Return the configuration."""
    port = arguments.https_port
    balancers = [f"    set_real_ip_from {network};" for network in arguments.balancer]
    if balancers:
        balancers += ["    real_ip_header X-Forwarded-For;", "    real_ip_recursive on;"]
    else:
        balancers = ["    # Clients connect directly, so it is who they are connected from."]

    def also_ipv6(listen: str) -> str:
        return f"\n        listen [::]:{listen};" if arguments.ipv6 else ""

    values = {
        "USER": arguments.user,
        "PID": str(arguments.pid),
        "LOGS": str(arguments.logs),
        "STATE": str(arguments.state),
        "REAL_IP": "\n".join(["", *balancers, ""]),
        "UPSTREAM_PORT": str(arguments.upstream_port),
        "HTTP_PORT": str(arguments.http_port),
        "HTTPS_PORT": str(port),
        "PUBLIC_PORT": "" if port == 443 else f":{port}",
        "LISTEN_HTTP_IPV6": also_ipv6(f"{arguments.http_port} default_server"),
        "LISTEN_HTTPS_IPV6": also_ipv6(f"{port} ssl"),
        "LISTEN_HTTPS_IPV6_DEFAULT": also_ipv6(f"{port} ssl default_server"),
        "SERVER_NAME": arguments.server_name,
        "ACME_ROOT": str(arguments.acme_root),
        "CERTIFICATE": str(arguments.certificate),
        "CERTIFICATE_KEY": str(arguments.certificate_key),
        "CORS": cors_maps(arguments.cors_origin) if arguments.cors_origin else "    # None may.",
        "ERRORS": errors(arguments.cors_origin),
    }
    return re.sub(r"@([A-Z_0-9]+)@", lambda found: values[found[1]], TEMPLATE.read_text("utf-8"))


def main() -> int:
    """Run the command line."""
    sys.stdout.write(render(_arguments()))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="render.py"
    )
    add = parser.add_argument
    add("--server-name", type=_server_name, required=True, help="the name in the certificate")
    add("--certificate", type=_path, help="default: Let's Encrypt's fullchain.pem of the server name")
    add("--certificate-key", type=_path, help="default: Let's Encrypt's privkey.pem of the server name")
    add("--upstream-port", type=_port, default=5000, help="the service's PORT (%(default)s)")
    add("--http-port", type=_port, default=80, help="(%(default)s)")
    add("--https-port", type=_port, default=443, help="(%(default)s)")
    add("--ipv6", action="store_true", help="listen on IPv6 too")
    add(
        "--balancer",
        type=_network,
        action="append",
        default=[],
        metavar="NETWORK",
        help="a network, such as 10.0.0.0/16, whose load balancers are believed about the client's address",
    )
    add(
        "--cors-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin, such as https://voice.example.com, whose pages may read nginx's own errors; once "
        "for each, or * for all. Without it CORS_ORIGINS counts, as in the service's own settings",
    )
    add("--user", type=_user, default=_known_user(), help="whom nginx runs as (%(default)s)")
    add("--logs", type=_path, default=Path("/var/log/nginx"), help="folder of the logs (%(default)s)")
    add("--state", type=_path, default=Path("/var/lib/nginx"), help="folder that stays empty (%(default)s)")
    add("--pid", type=_path, default=Path("/run/nginx.pid"), help="(%(default)s)")
    add("--acme-root", type=_path, default=Path("/var/www/html"), help="certbot's webroot (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.cors_origin:
        arguments.cors_origin = _origins_of_the_environment(parser)
    issued = Path("/etc/letsencrypt/live") / arguments.server_name
    arguments.certificate = arguments.certificate or issued / "fullchain.pem"
    arguments.certificate_key = arguments.certificate_key or issued / "privkey.pem"
    return arguments


def _server_name(value: str) -> str:
    if len(value) > 253 or not SERVER_NAME.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a host name, such as voice.example.com")
    return value


def _path(value: str) -> Path:
    if not PLAIN_PATH.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is not an absolute path of plain characters")
    return Path(value)


def _port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65535:
        raise argparse.ArgumentTypeError(f"{value!r} is not a port, 1 to 65535")
    return int(value)


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a network, such as 10.0.0.0/16") from error


def _origin(value: str) -> str:
    origin = value.strip().lower()
    if origin != "*" and not ORIGIN.fullmatch(origin):
        raise argparse.ArgumentTypeError(
            f"{value!r} is not an origin, such as https://voice.example.com, or *"
        )
    return origin


def _origins_of_the_environment(parser: argparse.ArgumentParser) -> list[str]:
    words = os.environ.get("CORS_ORIGINS", "").split(",")
    try:
        return [_origin(word) for word in words if word.strip()]
    except argparse.ArgumentTypeError as error:
        parser.error(f"CORS_ORIGINS: {error}")


def _user(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a user's name")
    return value


def _known_user() -> str:
    for name in USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return "nobody"


if __name__ == "__main__":
    sys.exit(main())
