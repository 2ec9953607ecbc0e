"""Redis Sentinel: which server is the master, and the notice that it has become another one.

A planned failover leaves the old master alive: it accepts writes, which are lost when the Sentinels
turn it into a replica some ten seconds later. So every Sentinel is asked once a second, and at once
when one publishes that a failover begins or that the master is another one; the connection is
dropped as soon as one names another master. From the beginning of a failover until then writes may
reach the old master and a replica of it, but not the replica that becomes the master.
Source: redis.io, "Sentinel client spec" and "High availability with Redis Sentinel".
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import trio

TIMEOUT_S = 0.5
ASK_S = 1.0
"""Time between two rounds of questions."""
UNSURE_S = 10.0
"""How long a Sentinel without an answer may lead a failover: then it is over, or another leads."""
RETRY_S = 2.0
"""Pause before a lost subscription is opened again."""

CHANNELS = ("+try-failover", "+switch-master")
"""Published by a Sentinel: a failover begins, the master is another one."""
Ask = Callable[[str, int, tuple[tuple[str, ...], ...]], Awaitable[list[Any] | None]]
"""Sends commands to a Sentinel (host, port) and returns its replies, None if there are none."""
Follow = Callable[[str, int, tuple[str, ...], Callable[[], None]], Awaitable[None]]
"""Subscribes to channels of a Sentinel and calls back for each message, until it is lost."""


@dataclass(frozen=True, slots=True)
class Master:
    """A master as a Sentinel names it."""

    host: str
    port: int
    epoch: int
    """The configuration epoch: a Sentinel with a higher one knows more."""
    moving: bool
    """Whether a failover is under way."""
    unanimous: bool = False
    """Whether every Sentinel has answered."""

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        return self.host, self.port


async def find_master(
    ask: Ask, sentinels: tuple[tuple[str, int], ...], name: str, avoid: tuple[str, int] | None
) -> Master | None:
    """Return the master by the Sentinels' newest knowledge; None: no Sentinel knows one.

    During a failover the Sentinel that leads it names the new master before its epoch counts up:
    among equal epochs another address than `avoid`, the one that was in use, is preferred.
    `moving` is what any of them says.
    """
    found: list[Master] = []

    async def ask_one(host: str, port: int) -> None:
        with trio.move_on_after(TIMEOUT_S):
            master = _parse(await ask(host, port, _questions(name)))
            if master is not None:
                found.append(master)

    async with trio.open_nursery() as nursery:
        for host, port in sentinels:
            nursery.start_soon(ask_one, host, port)
    if not found:
        return None
    newest = max(found, key=lambda one: (one.epoch, one.address != avoid))
    moving, unanimous = any(one.moving for one in found), len(found) == len(sentinels)
    return replace(newest, moving=moving, unanimous=unanimous)


async def wait_for_another_master(
    ask: Ask,
    follow: Follow,
    sentinels: tuple[tuple[str, int], ...],
    name: str,
    current: tuple[str, int],
    on_moving: Callable[[bool], None] = lambda _: None,
) -> Master:
    """Return the new master as soon as the Sentinels name another one than `current`.

    `on_moving` is called with whether a failover is under way: with each round, and at once when a
    Sentinel publishes something.
    """
    notice = trio.Event()
    moved_s = -math.inf

    def note() -> None:
        nonlocal moved_s
        moved_s = trio.current_time()
        on_moving(True)
        notice.set()

    async def follow_forever(host: str, port: int) -> None:
        while True:
            await follow(host, port, CHANNELS, note)
            await trio.sleep(RETRY_S)

    async with trio.open_nursery() as nursery:
        for host, port in sentinels:
            nursery.start_soon(follow_forever, host, port)
        while True:
            master = await find_master(ask, sentinels, name, current)
            now_s = trio.current_time()
            if master is not None:
                moved_s = now_s if master.moving else moved_s
                unsure = not master.unanimous and now_s - moved_s < UNSURE_S
                on_moving(master.moving or unsure)
            if master is not None and master.address != current:
                nursery.cancel_scope.cancel()
                return master
            with trio.move_on_after(ASK_S):
                await notice.wait()
            notice = trio.Event()


def _questions(name: str) -> tuple[tuple[str, ...], ...]:
    return (("SENTINEL", "get-master-addr-by-name", name), ("SENTINEL", "MASTER", name))


def _parse(replies: list[Any] | None) -> Master | None:
    if replies is None or not isinstance(replies[0], list) or len(replies[0]) != 2:
        return None
    host, port = replies[0]
    details = replies[1] if isinstance(replies[1], list) else []
    fields = dict(zip(details[::2], details[1::2], strict=False))
    try:
        moving = "failover_in_progress" in str(fields.get("flags", "")).split(",")
        return Master(str(host), int(port), int(fields.get("config-epoch", 0)), moving)
    except ValueError:
        return None
