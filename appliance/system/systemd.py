"""Notify systemd: state changes, the watchdog, the status line.

Without NOTIFY_SOCKET, so outside a service of systemd, nothing is sent.
Source: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

import httpx
import trio

_STATUS_S = 10.0
_ANSWER_S = 5.0
_INDEX = "/bigbluebutton/api"

Notify = Callable[..., None]
"""Sends states, as SystemdNotifier.send."""


class SystemdNotifier:
    """Sends state changes to the service manager; a message that cannot be sent is dropped."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _read_watchdog(environ)
        """Systemd kills the service after this time without a message; None: no watchdog."""

    def send(self, *states: str) -> None:
        """Send one message, such as `READY=1` or `STATUS=…`; each state is a line."""
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
        """Announce a reload, which READY=1 ends. Source: systemd.service(5), Type=notify-reload."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def _read_watchdog(environ: Mapping[str, str]) -> float | None:
    """Return the limit in s; None: no watchdog for this process."""
    limit_us = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # inherited from a parent process
    valid = limit_us.isascii() and limit_us.isdigit() and int(limit_us) > 0
    return int(limit_us) / 1e6 if valid else None


async def feed_watchdog(
    url: str | None, watchdog_s: float, notify: Notify, verify: bool = False
) -> None:
    """Request the index from the public listener, and notify the watchdog when it answers.

    Redis is not part of the check: the process stays up without it and recovers by itself.
    `url` is one that the listener is bound to; None (Unix socket only): a running event loop is
    enough. The certificate is not verified: it names the public host, not the loopback address.
    """
    # A third each for answer and pause: one round may fail.
    third_s = watchdog_s / 3
    limit_s = min(third_s, _ANSWER_S)
    # A connection that is kept would delay the stop of the listener by its own.
    unkept = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        timeout=limit_s, verify=verify, trust_env=False, limits=unkept
    ) as client:
        while True:
            if url is None or await _answers(client, url, limit_s):
                notify("WATCHDOG=1")
            await trio.sleep(third_s)


async def _answers(client: httpx.AsyncClient, url: str, limit_s: float) -> bool:
    # httpx limits each step only; an answer that arrives byte by byte must not delay the watchdog.
    with trio.move_on_after(limit_s):
        try:
            # Any status will do (403: the host check): an answer is enough.
            await client.get(url + _INDEX)
        except httpx.HTTPError:
            return False
        return True
    return False


async def report_status(
    describe: Callable[[], Awaitable[str]], notify: Notify, *, every_s: float = _STATUS_S
) -> None:
    """Keep the status line of `systemctl status` current."""
    while True:
        notify(f"STATUS={await describe()}")
        await trio.sleep(every_s)
