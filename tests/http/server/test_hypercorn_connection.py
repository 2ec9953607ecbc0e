"""Hypercorn's own connections: they answer, and close when they must."""

from __future__ import annotations

import time

import trio

from appliance.http.server.interface import ListenerTimeouts
from tests.doubles.features import EventBook
from tests.doubles.listener import GET, WEB, App, connect
from tests.doubles.public import ended, read_answer, serving


async def test_hypercorn_connection_answers_and_is_closed_when_it_is_idle_too_long() -> None:
    timeouts = ListenerTimeouts(keep_alive_s=0.2)
    async with (
        serving(App(), WEB, EventBook(), timeouts, tuned=False) as (_, urls, _),
        await connect(urls[0]) as stream,
    ):
        for _ in range(2):
            await stream.send_all(GET)
            assert (await read_answer(stream)).body == b"http 127.0.0.1"
        with trio.fail_after(40):
            assert await ended(stream)


async def test_hypercorn_connection_is_closed_when_its_client_has_closed_it() -> None:
    async with serving(App(), WEB, EventBook(), tuned=False) as (_, urls, _):
        for _ in range(2):
            async with await connect(urls[0]) as stream:
                await stream.send_all(GET)
                await read_answer(stream)
                await stream.send_eof()
                with trio.fail_after(40):
                    assert await ended(stream)


async def test_idle_hypercorn_connection_is_closed_when_the_server_stops() -> None:
    async with (
        serving(App(), WEB, EventBook(), tuned=False) as (_, urls, stop),
        await connect(urls[0]) as stream,
    ):
        await stream.send_all(GET)
        await read_answer(stream)
        began_s = time.monotonic()
        stop.set()
        with trio.fail_after(40):
            assert await ended(stream)
    assert time.monotonic() - began_s < 40
