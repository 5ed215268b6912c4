"""Sockets that listen: on loopback, or on every interface by IPv4 and IPv6 alike."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - what `make run` says in its banner
# gunicorn's own; Linux grants net.core.somaxconn at most.
BACKLOG = 2048
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
