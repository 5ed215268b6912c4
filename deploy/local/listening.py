"""Sockets that listen: on loopback, or on every interface by IPv4 and IPv6 alike."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - what `make run` says in its banner
# gunicorn's own; Linux grants net.core.somaxconn at most.
BACKLOG = 2048
# The Fetch Standard, "Port blocking": browsers refuse these, whatever answers there.
NO_BROWSER_OPENS = frozenset(
    (
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102),
        *(103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465),
        *(512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993),
        *(995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668),
        *(6669, 6679, 6697, 10080),
    )
)
# A machine or a container without IPv6 says one of these.
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def bound(address: str, port: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """Return a TCP socket that listens on `port` (0 for any free one); raise OSError when it is taken."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As gunicorn does it: connections of a service that has just ended are no reason to refuse.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own, so that its addresses look as they always do.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def on_every_interface(port: int) -> list[socket.socket]:
    """Return sockets that listen on `port` of all addresses, by IPv6 too where there is such a thing.

    Port 0 takes one that is free in both. Raises OSError when the port is taken in either.
    """
    with ExitStack() as undo:
        first = undo.enter_context(bound(EVERY_INTERFACE, port))
        listeners = [first]
        try:
            listeners.append(bound("::", port_of(first), socket.AF_INET6))
        except OSError as error:
            if error.errno not in NO_IPV6:
                raise
        undo.pop_all()
        return listeners


def port_of(listener: socket.socket) -> int:
    """Return the port on which a socket listens."""
    port: int = listener.getsockname()[1]
    return port


def address_in_network() -> str | None:
    """Return the address by which the network knows this machine, or None where there is no network.

    It is the one from which a packet would leave; none does, since connecting a
    UDP socket only chooses the way. The other end is a documentation address (RFC 5737).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address
