"""Tell systemd how the service is: sd_notify, ten lines without a library.

Does nothing outside systemd (no NOTIFY_SOCKET). Truth: sd_notify(3), systemd.service(5).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class SystemdNotifier:
    """Sends state changes to the service manager; a message that cannot be sent is dropped."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _read_watchdog(environ)
        """Systemd kills the service when it hears nothing for so long; None: no watchdog."""

    def send(self, *states: str) -> None:
        """Send one message, such as `READY=1` or `STATUS=…`, each state a line."""
        if not self._address:
            return
        message = "\n".join(state.replace("\n", " ") for state in states).encode()
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            with socket.socket(socket.AF_UNIX, kind) as notify:
                notify.sendto(message, self._address)
        except OSError:
            return

    def send_reloading(self) -> None:
        """Say that a reload has begun; READY=1 ends it. Source: Type=notify-reload."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def _read_watchdog(environ: Mapping[str, str]) -> float | None:
    """Return the limit in s if it is meant for us. Source: sd_watchdog_enabled(3)."""
    limit_us = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # inherited from a process that started us
    ours = limit_us.isascii() and limit_us.isdigit() and int(limit_us) > 0
    return int(limit_us) / 1e6 if ours else None
