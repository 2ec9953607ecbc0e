"""What the Sentinels know of a master, from answers as Sentinels give them."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from appliance.redis.sentinel import find_master, wait_for_another_master

OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


def answer(address: tuple[str, int] | None, epoch: int) -> list[Any] | None:
    if address is None:
        return [None, None]
    host, port = address
    return [[host, str(port)], ["name", "pool", "ip", host, "config-epoch", str(epoch)]]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([answer(OLD, 3)], OLD),
        ([answer(OLD, 3), answer(NEW, 4)], NEW),
        ([answer(NEW, 4), answer(OLD, 3)], NEW),
        # The Sentinel that leads a failover names the new master first, in the same epoch.
        ([answer(OLD, 3), answer(NEW, 3)], NEW),
        ([None, answer(None, 0), answer(NEW, 1)], NEW),
        ([None, answer(None, 0)], None),
        ([[["host", "no port"], []]], None),
    ],
)
async def test_newest_knowledge_counts(answers: list[Any], expected: Any) -> None:
    async def ask(host: str, port: int, commands: tuple[tuple[str, ...], ...]) -> Any:
        return answers[port]

    sentinels = tuple(("sentinel", number) for number in range(len(answers)))
    master = await find_master(ask, sentinels, "pool", OLD)

    assert (master.address if master else None) == expected


async def test_failover_that_one_sentinel_knows_of_is_under_way() -> None:
    async def ask(host: str, port: int, commands: tuple[tuple[str, ...], ...]) -> Any:
        address, details = answer(OLD, 3) or []
        return [address, [*details, "flags", "master,failover_in_progress" if port else "master"]]

    sentinels = tuple(("sentinel", number) for number in range(2))
    masters = [await find_master(ask, sentinels[:count], "pool", None) for count in (1, 2)]

    assert [one.moving for one in masters if one] == [False, True]


async def test_sentinel_that_falls_silent_in_its_failover_may_still_lead_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Asked once a second: it leads for 2 s and is silent from then on, the other knows nothing."""
    seen: list[tuple[int, bool]] = []

    async def ask(host: str, port: int, commands: tuple[tuple[str, ...], ...]) -> Any:
        address, details = answer(OLD, 3) or []
        if port and trio.current_time() - began_s > 2:
            return None
        return [address, [*details, "flags", "master,failover_in_progress" if port else "master"]]

    async def follow(host: str, port: int, channels: Any, on_message: Any) -> None:
        await trio.sleep_forever()

    def note(moving: bool) -> None:
        seen.append((round(trio.current_time() - began_s), moving))

    sentinels = (("sentinel", 0), ("sentinel", 1))
    began_s = trio.current_time()
    with trio.move_on_after(15):
        await wait_for_another_master(ask, follow, sentinels, "pool", OLD, note)

    assert [second for second, moving in seen if moving] == list(range(12))
    assert [second for second, moving in seen if not moving] == [12, 13, 14]
