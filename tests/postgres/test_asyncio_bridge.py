"""The asyncio loop inside Trio: calls, cancellation, order, timers, unretrieved errors."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from appliance.postgres.asyncio_bridge import AsyncioCancelled, open_asyncio_loop, run_asyncio

# Imported after the bridge, which suppresses their deprecation warnings.
trio_asyncio = importlib.import_module("trio_asyncio")
_base = importlib.import_module("trio_asyncio._base")

DEADLINE_S = 40.0
BOTH = pytest.mark.parametrize("tuned", [True, False], ids=["tuned", "stock"])


async def test_run_asyncio_returns_the_result() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True):
            assert await run_asyncio(double, 21) == 42


@BOTH
async def test_run_asyncio_raises_what_the_coroutine_raises(tuned: bool) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=tuned):
            with pytest.raises(ValueError, match="no"):
                await run_asyncio(fail)


@BOTH
async def test_cancellation_runs_the_coroutine_to_its_exits(tuned: bool) -> None:
    seen: list[str] = []

    async def hold() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)  # noqa: ASYNC102 - the subject of this test
            seen.append("left")

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=tuned):
            with trio.move_on_after(0.02) as scope:
                await run_asyncio(hold)
    assert scope.cancelled_caught
    assert seen == ["left"]


async def test_run_asyncio_translates_a_cancellation_on_the_asyncio_side() -> None:
    async def cancelled_by_the_driver() -> None:
        raise asyncio.CancelledError

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True):
            with pytest.raises(AsyncioCancelled):
                await run_asyncio(cancelled_by_the_driver)


@BOTH
async def test_unretrieved_error_is_logged_and_the_process_continues(tuned: bool) -> None:
    async def orphan() -> None:
        raise ValueError("lost")

    async def drop_a_task() -> None:
        task = asyncio.ensure_future(orphan())
        await asyncio.wait([task])
        del task
        gc.collect()

    def broken_callback(_secret: str) -> None:
        raise ZeroDivisionError

    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        async with open_asyncio_loop(tuned=tuned) as loop:
            await run_asyncio(drop_a_task)
            loop.call_soon(broken_callback, "geheim")
            while len(logs) < 2:
                await run_asyncio(asyncio.sleep, 0)
            assert await run_asyncio(asyncio.sleep, 0, "alive") == "alive"
    logged = sorted((log["event"], log["log_level"]) for log in logs)
    assert logged == [("asyncio_error", "error"), ("asyncio_error", "warning")]
    assert {type(log["exc_info"]) for log in logs} == {ValueError, ZeroDivisionError}
    assert "geheim" not in str([log["reason"] for log in logs])


@BOTH
async def test_callbacks_keep_their_order(tuned: bool) -> None:
    seen: list[int] = []

    async def schedule() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_soon(seen.append, number)
        loop.call_soon(lambda: [loop.call_soon(seen.append, n) for n in (60, 61)])
        loop.call_soon(seen.append, 50)
        # Long enough for the stock loop, which runs one callback per tick, on a busy machine.
        for delay_ms in (300, 100, 200):
            loop.call_later(delay_ms / 1000, seen.append, delay_ms)
        while len(seen) < 56:
            await asyncio.sleep(0.01)

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=tuned):
            await run_asyncio(schedule)
    assert seen == [*range(51), 60, 61, 100, 200, 300]


@BOTH
async def test_cancelled_callbacks_and_timers_do_not_run(tuned: bool) -> None:
    seen: list[str] = []

    async def schedule() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(seen.append, "soon").cancel()
        loop.call_later(0.001, seen.append, "later").cancel()
        kept = loop.call_later(0.001, seen.append, "in the heap")
        await asyncio.sleep(0)
        kept.cancel()
        await asyncio.sleep(0.01)

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=tuned):
            await run_asyncio(schedule)
    assert seen == []


@pytest.mark.parametrize("delay_s", [None, 0.0])
async def test_busy_asyncio_side_lets_trio_tasks_run(delay_s: float | None) -> None:
    stop = False

    def again(loop: asyncio.AbstractEventLoop) -> None:
        if not stop:
            if delay_s is None:
                loop.call_soon(again, loop)
            else:
                loop.call_later(delay_s, again, loop)

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True) as loop:
            for _ in range(3):
                loop.call_soon(again, loop)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            stop = True


async def _cancel_many_timers(loop: Any, count: int) -> int:
    async def schedule() -> None:
        for _ in range(count):
            handle = loop.call_later(3600, print)
            await asyncio.sleep(0)
            handle.cancel()

    await run_asyncio(schedule)
    return len(loop._timers)


async def test_cancelled_timers_are_reaped() -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True) as loop:
            assert await _cancel_many_timers(loop, 1000) < 250


async def test_live_timers_survive_the_reaping() -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=True) as loop:
            rang = trio.Event()
            loop.call_later(0.3, rang.set)
            await _cancel_many_timers(loop, 500)
            await rang.wait()


async def test_stock_loop_still_needs_the_reaping() -> None:
    """When this fails, trio-asyncio drops cancelled timers and `_Turns` can be removed."""
    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=False) as loop:
            assert await _cancel_many_timers(loop, 500) >= 500


@pytest.mark.parametrize(
    ("function", "digest"),
    [
        (_base.BaseTrioEventLoop._main_loop_one, "cbe727d658663f07"),
        (_base.BaseTrioEventLoop._main_loop, "45a1198042d30c94"),
        (_base.BaseTrioEventLoop._timer_handle_cancelled, "b5a033e367a48656"),
    ],
)
def test_replaced_private_methods_are_the_known_ones(
    function: Callable[..., Any], digest: str
) -> None:
    """When this fails, compare trio-asyncio's new code with `_Turns`, then change TUNED_VERSION."""
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]

    assert (trio_asyncio.__version__, found) == ("0.16.0", digest)


async def test_unknown_version_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_asyncio, "__version__", "0.17.0")
    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        async with open_asyncio_loop(tuned=True) as loop:
            assert "_main_loop_one" not in vars(loop)
    assert [log["event"] for log in logs] == ["asyncio_loop_not_tuned"]


@BOTH
async def test_streams_work_in_many_tasks_at_once(tuned: bool) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async def talk(port: int, number: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answers = []
        for turn in range(20):
            writer.write(b"%d %d\n" % (number, turn))
            answers.append(await asyncio.wait_for(reader.readline(), 40))
        writer.close()
        await writer.wait_closed()
        return answers

    async def one(port: int, number: int) -> None:
        expected = [b"%d %d\n" % (number, turn) for turn in range(20)]
        assert await run_asyncio(talk, port, number) == expected

    with trio.fail_after(DEADLINE_S):
        async with open_asyncio_loop(tuned=tuned):
            server = await run_asyncio(asyncio.start_server, echo, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(one, port, number)
            server.close()


async def test_error_in_the_block_is_raised() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_asyncio_loop(tuned=True):
            raise KeyError("mine")
    assert caught.group_contains(KeyError)
