"""Work for each of many: at most so many at a time, and started one by one."""

from __future__ import annotations

import pytest
import trio

from appliance.system.tasks import for_each


async def test_all_are_worked_on_a_few_at_a_time() -> None:
    running, most, done = 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(0.001)
        running -= 1
        done.append(number)

    await for_each(range(20), work, 3)

    assert most == 3
    assert sorted(done) == list(range(20))


async def test_failure_ends_the_others() -> None:
    async def work(number: int) -> None:
        if number == 5:
            raise ValueError(number)
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await for_each(range(6), work, 10)
    assert raised.group_contains(ValueError, match="5")
