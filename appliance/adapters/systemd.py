"""Tell systemd how the service is: sd_notify, ten lines without a library.

Does nothing outside systemd (no NOTIFY_SOCKET). Truth: sd_notify(3), systemd.service(5).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping


class SystemdNotifier:
    """Sends state changes to the service manager; a message that cannot be sent is dropped."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdigit() else None
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
