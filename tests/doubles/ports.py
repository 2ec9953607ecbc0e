"""Ports for servers that keep their port over a restart.

They are below the range from which the kernel assigns ports (net.ipv4.ip_local_port_range begins at
32768): otherwise an outgoing connection or a `bind` to port 0 could take the port meanwhile.
"""

from __future__ import annotations

import random
import socket
from contextlib import suppress

_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """Return a free TCP port of the loopback."""
    for port in random.SystemRandom().sample(_PORTS, 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")
