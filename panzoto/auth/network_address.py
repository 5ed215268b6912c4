"""Network addresses of clients: one spelling each, and whom a limit counts.

An IPv6 customer gets a whole network of 64 bits at least (RFC 6177), so its
calls are counted together, as those of one IPv4 address are. Where an IPv6
address only carries one of IPv4, that one is counted: 6to4 (RFC 3056) would
give each of them 65 536 such networks, and NAT64 (RFC 6052) all of them one.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

CUSTOMER_BITS = 64
NAT64 = IPv6Network("64:ff9b::/96")
# RFC 7239, 6, and what proxies write in its stead: a port behind the address, brackets around one of IPv6.
WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}")


def parse_address(text: str) -> Address | None:
    """Return the address that `text` spells, with a port, brackets, quotes or a zone perhaps; None for none.

    An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2) is that IPv4 address.
    """
    bare = text.strip().strip('"')
    found = WITH_PORT.fullmatch(bare)
    if found is not None:
        bare = found["six"] or found["four"] or ""
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def counted_as(address: str) -> str:
    """Return whom a limit counts for calls from `address`: an IPv4 address, or a network of IPv6."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        carried = parsed.sixtofour or (IPv4Address(parsed.packed[-4:]) if parsed in NAT64 else None)
        if carried is not None:
            return str(carried)
        return str(IPv6Network((parsed, CUSTOMER_BITS), strict=False))
    return address if parsed is None else str(parsed)
