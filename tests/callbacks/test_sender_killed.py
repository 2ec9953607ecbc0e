"""SIGKILL between a claim and its end: another process sends the callback."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from appliance.callbacks.rules import CallbackState, recording_ready
from tests.doubles.callback_bench import open_callback_bench
from tests.doubles.callback_receiver import open_receiver

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("store", ["rows", "buffer"])
async def test_callback_survives_the_death_of_its_sender(
    redis_url: str, redis_namespace: str, database_url: str, store: str
) -> None:
    command = [sys.executable, "-m", "tests.doubles.callback_driver"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    async with (
        open_receiver() as receiver,
        open_callback_bench(redis_url, redis_namespace, database_url) as bench,
    ):
        queue = bench.rows if store == "rows" else bench.buffer
        receiver.hang_first = True
        callback = recording_ready(receiver.url("/ready"), meeting_id="m", record_id="r")
        await queue.add(callback, "key")
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [*command, redis_url, redis_namespace, database_url, store],
                    cwd=ROOT, env=environ, check=False,
                )
            )  # fmt: skip
            await receiver.wait(1)
            (claimed,) = await queue.show(None, 10)
            assert claimed.sending
            process.kill()
        async with bench.sending(bench.sender("next")):
            (sent,) = await bench.wait_for(CallbackState.DONE, 1, queue)
    assert sent.attempts == 1
    first, second = receiver.received
    assert first.body == second.body
