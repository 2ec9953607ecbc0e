"""Feed systemd's watchdog while the loop turns and the listener answers; keep STATUS current.

Redis is not part of the check: the process stays up without it and recovers by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import trio

from appliance.faults import StoreDown
from appliance.model import Server, ServerState

_STATUS_S = 10.0
_ANSWER_S = 5.0
_INDEX = "/bigbluebutton/api"

Notify = Callable[..., None]


async def feed_watchdog(
    url: str | None, watchdog_s: float, notify: Notify, verify: bool = False
) -> None:
    """Ask our own listener for its index, and tell systemd when it answered.

    `url` is one the listener is bound to; None (Unix socket only): the loop's turning must do.
    The certificate is not checked: it names the public host, not the loopback.
    """
    # A third for the answer and a third for the pause: one round may fail.
    third_s = watchdog_s / 3
    limit_s = min(third_s, _ANSWER_S)
    async with httpx.AsyncClient(timeout=limit_s, verify=verify, trust_env=False) as client:
        while True:
            if url is None or await _answers(client, url, limit_s):
                notify("WATCHDOG=1")
            await trio.sleep(third_s)


async def _answers(client: httpx.AsyncClient, url: str, limit_s: float) -> bool:
    # httpx limits each step only; an answer that drips must not hold up the feeding.
    with trio.move_on_after(limit_s):
        try:
            # Any status will do (403: the host check): what counts is that it answers.
            await client.get(url + _INDEX)
        except httpx.HTTPError:
            return False
        return True
    return False


async def report_status(
    list_servers: Callable[[], Awaitable[list[Server]]],
    notify: Notify,
    *,
    every_s: float = _STATUS_S,
) -> None:
    """Keep the STATUS line of `systemctl status` current."""
    while True:
        try:
            notify(f"STATUS={describe_pool(await list_servers())}")
        except StoreDown:
            notify("STATUS=waiting for the meeting store")
        await trio.sleep(every_s)


def describe_pool(servers: list[Server]) -> str:
    """Return one line about the pool: servers and meetings."""
    enabled = [server for server in servers if server.state is ServerState.ENABLED]
    online = sum(server.online for server in enabled)
    meetings = sum(server.meetings for server in servers)
    users = sum(server.users for server in servers)
    return f"{online} of {len(enabled)} enabled servers online, {meetings} meetings, {users} users"
