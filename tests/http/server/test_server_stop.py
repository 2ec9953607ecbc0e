"""The orderly end of the public listener: who is let go at once, and who is waited for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from appliance.http.server.hypercorn_connection import Limits
from appliance.http.server.server import PublicServer
from appliance.settings import Bind, WebSettings
from tests.doubles.bbb_process import until
from tests.doubles.features import EventBook
from tests.doubles.listener import (
    GET,
    LIMITS,
    WEB,
    App,
    connect,
    tls_settings,
)
from tests.doubles.public import ended, read_answer, request
from tests.doubles.raw_http import Authority, make_authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A private CA with a certificate for localhost."""
    return make_authority(tmp_path)


class Ending:
    """A listener whose end the test brings about."""

    def __init__(self, web: WebSettings, limits: Limits) -> None:
        self.app, self.log, self.stop = App(), EventBook(), trio.Event()
        self.server = PublicServer(self.app, web, self.log, max_target_bytes=1024, limits=limits)
        self.url = ""
        self.ended_s: float | None = None
        self._streams: list[trio.SocketStream] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            (self.url,) = await nursery.start(partial(self.server.run, self.stop))
            task_status.started()
        self.ended_s = time.monotonic()

    async def connect(self) -> trio.SocketStream:
        if self.url.startswith("unix:"):
            stream = await trio.open_unix_socket(self.url.removeprefix("unix://"))
        else:
            stream = await connect(self.url)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        for stream in self._streams:
            stream.socket.close()

    async def begin(self, path: str) -> trio.SocketStream:
        """Make a request and wait until it is under way."""
        stream = await self.connect()
        before = self.app.under_way
        await stream.send_all(request("GET", path))
        await until(lambda: self.app.under_way > before, 40)
        return stream


@asynccontextmanager
async def open_ending(web: WebSettings = WEB, limits: Limits = LIMITS) -> AsyncIterator[Ending]:
    ending = Ending(web, limits)
    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            await nursery.start(ending.run)
            yield ending
            ending.stop.set()
    ending.close()


async def test_stop_closes_listeners_and_idle_connections_at_once() -> None:
    async with open_ending(limits=Limits(drain_s=60)) as ending:
        fresh, used, half = [await ending.connect() for _ in range(3)]
        await used.send_all(GET)
        await read_answer(used)
        await half.send_all(GET[:20])
        await trio.testing.wait_all_tasks_blocked(0.01)

        began_s = time.monotonic()
        ending.stop.set()
        for stream in (fresh, used, half):
            assert await ended(stream)
        with pytest.raises(OSError, match="failed"):
            await ending.connect()
    assert ending.ended_s is not None
    assert ending.ended_s - began_s < 30


async def test_stop_ends_a_tls_handshake_under_way(tmp_path: Path, authority: Authority) -> None:
    web = tls_settings(tmp_path, "ssl://127.0.0.1:0")
    async with open_ending(web, Limits(drain_s=60)) as ending:
        stream = await ending.connect()
        await trio.testing.wait_all_tasks_blocked(0.01)

        began_s = time.monotonic()
        ending.stop.set()
        assert await ended(stream)
    assert ending.ended_s is not None
    assert ending.ended_s - began_s < 30


async def test_request_under_way_is_finished_and_its_connection_closed() -> None:
    async with open_ending(limits=Limits(drain_s=60)) as ending:
        stream = await ending.begin("/slow")
        ending.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.02)
        ending.app.go_on.set()

        assert (await read_answer(stream)).body == b"http 127.0.0.1"
        assert await ended(stream)
    assert not ending.log.errors


async def test_second_request_in_a_connection_does_not_hold_up_the_stop() -> None:
    async with open_ending(limits=Limits(drain_s=60)) as ending:
        stream = await ending.begin("/slow")
        await stream.send_all(GET * 2)
        await trio.testing.wait_all_tasks_blocked(0.02)
        began_s = time.monotonic()
        ending.stop.set()
        ending.app.go_on.set()

        assert (await read_answer(stream)).body == b"http 127.0.0.1"
    assert ending.ended_s is not None
    assert ending.ended_s - began_s < 30


async def test_request_that_takes_too_long_is_cut_off() -> None:
    async with open_ending(limits=Limits(drain_s=0.2)) as ending:
        stream = await ending.begin("/slow")
        began_s = time.monotonic()
        ending.stop.set()

        assert await ended(stream)
    assert ending.ended_s is not None
    assert 0.15 < ending.ended_s - began_s < 30
    assert ending.app.under_way == 0


@pytest.mark.parametrize("local", [False, True])
async def test_client_that_never_reads_does_not_hold_up_the_stop(
    local: bool, tmp_path: Path
) -> None:
    web = replace(WEB, binds=(Bind("unix", path=f"{tmp_path}/a.sock"),)) if local else WEB
    async with open_ending(web, Limits(drain_s=0.2)) as ending:
        await ending.begin("/big")
        await trio.testing.wait_all_tasks_blocked(0.05)
        began_s = time.monotonic()
        ending.stop.set()
        await until(lambda: ending.ended_s is not None, 40)
    assert ending.ended_s is not None
    assert ending.ended_s - began_s < 30
