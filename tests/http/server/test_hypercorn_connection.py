"""Hypercorn's own connections behind our listener: when they are chosen, and that they answer."""

from __future__ import annotations

import time

import pytest
import trio

from appliance.http.server.connection import Connection
from appliance.http.server.hypercorn_connection import (
    Limits,
    StockConnection,
    choose_connection,
    hypercorn_version,
)
from tests.doubles.features import EventBook
from tests.doubles.listener import GET, WEB, App, connect
from tests.doubles.public import ended, read_answer, serving


def test_our_connections_fit_the_hypercorn_that_is_installed() -> None:
    log = EventBook()

    assert choose_connection(True, hypercorn_version(), log) is Connection
    assert not log.events


@pytest.mark.parametrize("hypercorn", ["0.17.2", "0.19.0", "1.0", ""])
def test_another_hypercorn_serves_by_itself_and_that_is_logged(hypercorn: str) -> None:
    log = EventBook()

    assert choose_connection(True, hypercorn, log) is StockConnection
    assert log.named("connections_not_tuned") == [{"hypercorn": hypercorn}]


def test_our_connections_can_be_switched_off() -> None:
    log = EventBook()

    assert choose_connection(False, hypercorn_version(), log) is StockConnection
    assert not log.events


async def test_stock_connection_answers_and_is_closed_when_it_is_idle_too_long() -> None:
    limits = Limits(keep_alive_s=0.2)
    async with (
        serving(App(), WEB, EventBook(), limits, tuned=False) as (_, urls, _),
        await connect(urls[0]) as stream,
    ):
        for _ in range(2):
            await stream.send_all(GET)
            assert (await read_answer(stream)).body == b"http 127.0.0.1"
        with trio.fail_after(40):
            assert await ended(stream)


async def test_stock_connection_is_closed_when_its_client_has_closed_it() -> None:
    async with serving(App(), WEB, EventBook(), tuned=False) as (_, urls, _):
        for _ in range(2):
            async with await connect(urls[0]) as stream:
                await stream.send_all(GET)
                await read_answer(stream)
                await stream.send_eof()
                with trio.fail_after(40):
                    assert await ended(stream)


async def test_idle_stock_connection_is_closed_when_the_server_stops() -> None:
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
