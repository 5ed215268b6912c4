"""Pins the base image of the Dockerfile to a digest: what `deploy/container/pin-base-image` runs.

    deploy/container/pin-base-image            ask the registry and write the digest into the Dockerfile
    deploy/container/pin-base-image --check    exit with 1 unless the Dockerfile names a digest

A tag is moved to new images; a digest is one image for ever.  It is asked for
as the OCI distribution specification says, and without credentials, as
public images allow.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

DOCKERFILE = Path(__file__).resolve().parents[2] / "Dockerfile"
LINE = re.compile(
    r"^ARG BASE_IMAGE=(?P<registry>[^/\s]+)/(?P<name>[^:@\s]+):(?P<tag>[^@\s]+)(?:@(?P<digest>\S+))?$",
    re.MULTILINE,
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Docker's own images are served under another name than they are called by.
HOSTS = {"docker.io": "registry-1.docker.io"}
KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
SECONDS = 30


class Failed(Exception):
    """The digest cannot be had; the sentence says why."""


def digest_of(registry: str, name: str, tag: str, scheme: str = "https") -> str:
    """Return the digest of an image's index, which covers every processor. Raises `Failed`."""
    url = f"{scheme}://{HOSTS.get(registry, registry)}/v2/{name}/manifests/{tag}"
    headers = {"Accept": ", ".join(KINDS)}
    try:
        try:
            return _ask(url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            challenge = error.headers.get("WWW-Authenticate", "")
            return _ask(url, headers | {"Authorization": f"Bearer {_token(challenge)}"})
    except (OSError, ValueError) as error:
        raise Failed(f"{registry} does not tell the digest of {name}:{tag}: {error}") from error


def _ask(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310 - built here
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        digest = str(answer.headers.get("Docker-Content-Digest", ""))
    if not DIGEST.fullmatch(digest):
        raise ValueError("the answer holds no digest")
    return digest


def _token(challenge: str) -> str:
    """Get a token for reading, at the place that the registry names."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm", "")
    if not realm.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("the registry wants a kind of sign-in that is not known here")
    with urllib.request.urlopen(f"{realm}?{urlencode(fields)}", timeout=SECONDS) as answer:  # noqa: S310
        told: dict[str, Any] = json.load(answer)
    return str(told.get("token") or told.get("access_token"))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="deploy/container/pin-base-image",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="only say whether it is pinned")
    parser.add_argument("--dockerfile", type=Path, default=DOCKERFILE, help="(%(default)s)")
    parser.add_argument("--http", action="store_true", help="ask without TLS, for a registry on this machine")
    arguments = parser.parse_args()
    text = arguments.dockerfile.read_text("utf-8")
    found = LINE.search(text)
    if found is None:
        print("pin-base-image: the Dockerfile has no line ARG BASE_IMAGE=registry/name:tag", file=sys.stderr)
        return 2
    if arguments.check:
        pinned = DIGEST.fullmatch(found["digest"] or "") is not None
        print(
            "pinned"
            if pinned
            else "not pinned: run deploy/container/pin-base-image, and commit the Dockerfile"
        )
        return 0 if pinned else 1
    try:
        digest = digest_of(
            found["registry"], found["name"], found["tag"], "http" if arguments.http else "https"
        )
    except Failed as error:
        print(f"pin-base-image: {error}", file=sys.stderr)
        return 1
    image = f"{found['registry']}/{found['name']}:{found['tag']}@{digest}"
    arguments.dockerfile.write_text(LINE.sub(f"ARG BASE_IMAGE={image}", text), "utf-8")
    print(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
