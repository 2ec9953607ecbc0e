"""Rounds that calls share (how getMeetings uses them: test_listing.py)."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from appliance.meetings.rounds import SharedRounds


async def test_client_that_calls_again_when_answered_shares_the_round_others_wait_for() -> None:
    rounds: SharedRounds[int] = SharedRounds()
    begun, go_on = 0, trio.Event()
    found: list[list[int]] = []

    async def work() -> int:
        nonlocal begun
        begun += 1
        number = begun
        await go_on.wait()
        return number

    async def client() -> None:
        got = [await rounds.share("key", work)]
        for _ in range(4):  # its answer is sent, and its next call read
            await trio.lowlevel.checkpoint()
        found.append([*got, await rounds.share("key", work)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        await wait_all_tasks_blocked()
        nursery.start_soon(client)
        await wait_all_tasks_blocked()
        assert begun == 1
        go_on.set()

    assert sorted(found) == [[1, 2], [2, 3]]
