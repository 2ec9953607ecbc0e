"""Ports for servers that listen on one of their own, and again on the same after a restart.

Not from where the kernel takes ports by itself (net.ipv4.ip_local_port_range begins at 32768):
while the server is away, an outgoing connection or a `bind` to port 0 could get it.
"""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """Return a TCP port of the loopback on which nobody listens."""
    for port in random.SystemRandom().sample(_PORTS, 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
