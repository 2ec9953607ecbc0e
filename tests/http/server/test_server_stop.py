"""The orderly stop of the server: what closes when, and what is waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from appliance.http.server.interface import ListenerTimeouts
from appliance.http.server.server import HttpServer
from appliance.settings import Bind, WebSettings
from tests.doubles.bbb_process import until
from tests.doubles.features import EventBook
from tests.doubles.listener import (
    GET,
    TIMEOUTS,
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


SOON = ListenerTimeouts(drain_s=60, last_request_s=0.2)


class StoppableServer:
    """A server that the test stops."""

    def __init__(self, web: WebSettings, timeouts: ListenerTimeouts) -> None:
        self.app, self.log, self.stop = App(), EventBook(), trio.Event()
        self.server = HttpServer(self.app, web, self.log, timeouts=timeouts)
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
        """Make a request and wait until the application runs it."""
        stream = await self.connect()
        before = self.app.under_way
        await stream.send_all(request("GET", path))
        await until(lambda: self.app.under_way > before, 40)
        return stream


@asynccontextmanager
async def open_stoppable(
    web: WebSettings = WEB, timeouts: ListenerTimeouts = TIMEOUTS
) -> AsyncIterator[StoppableServer]:
    server = StoppableServer(web, timeouts)
    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            yield server
            server.stop.set()
    server.close()


async def test_stop_closes_listeners_at_once_and_idle_connections_soon() -> None:
    async with open_stoppable(timeouts=SOON) as server:
        fresh, used, half = [await server.connect() for _ in range(3)]
        await used.send_all(GET)
        await read_answer(used)
        await half.send_all(GET[:20])
        await trio.testing.wait_all_tasks_blocked(0.01)

        began_s = time.monotonic()
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(OSError, match="failed"):
            await server.connect()
        for stream in (fresh, used, half):
            assert await ended(stream)
    assert server.ended_s is not None
    assert server.ended_s - began_s < 30


@pytest.mark.parametrize("asked", [GET, request("POST", "/", body=b"body")], ids=["simple", "h11"])
async def test_request_on_its_way_to_a_kept_or_new_connection_is_answered(asked: bytes) -> None:
    async with open_stoppable(timeouts=ListenerTimeouts(drain_s=60, last_request_s=60)) as server:
        used, fresh = await server.connect(), await server.connect()
        await used.send_all(GET)
        assert "connection" not in (await read_answer(used)).headers
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)

        for stream in (used, fresh):
            await stream.send_all(asked)
            answer = await read_answer(stream)
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            assert await ended(stream)
    assert server.ended_s is not None  # without waiting for further requests


async def test_connections_that_the_kernel_has_accepted_are_served() -> None:
    async with open_stoppable(timeouts=ListenerTimeouts(drain_s=60, last_request_s=60)) as server:
        address = urlsplit(server.url)
        sockets = [socket.socket() for _ in range(100)]
        for one in sockets:  # without a checkpoint, so that the server cannot accept them before
            one.connect((address.hostname, address.port))
            one.sendall(GET)
        server.stop.set()

        for one in sockets:
            one.setblocking(False)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(one))
            assert (await read_answer(stream)).status == 200
            await stream.aclose()


async def test_stop_ends_a_tls_handshake_under_way(tmp_path: Path, authority: Authority) -> None:
    web = tls_settings(tmp_path, "ssl://127.0.0.1:0")
    async with open_stoppable(web, SOON) as server:
        stream = await server.connect()
        await trio.testing.wait_all_tasks_blocked(0.01)

        began_s = time.monotonic()
        server.stop.set()
        assert await ended(stream)
    assert server.ended_s is not None
    assert server.ended_s - began_s < 30


async def test_running_request_is_finished_and_its_connection_closed() -> None:
    async with open_stoppable(timeouts=ListenerTimeouts(drain_s=60)) as server:
        stream = await server.begin("/slow")
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.02)
        server.app.go_on.set()

        assert (await read_answer(stream)).body == b"http 127.0.0.1"
        assert await ended(stream)
    assert not server.log.errors


async def test_stop_is_not_held_up_by_a_second_request_in_a_connection() -> None:
    async with open_stoppable(timeouts=ListenerTimeouts(drain_s=60)) as server:
        stream = await server.begin("/slow")
        await stream.send_all(GET * 2)
        await trio.testing.wait_all_tasks_blocked(0.02)
        began_s = time.monotonic()
        server.stop.set()
        server.app.go_on.set()

        assert (await read_answer(stream)).body == b"http 127.0.0.1"
    assert server.ended_s is not None
    assert server.ended_s - began_s < 30


async def test_running_request_is_cut_off_when_it_takes_too_long() -> None:
    async with open_stoppable(timeouts=ListenerTimeouts(drain_s=0.2)) as server:
        stream = await server.begin("/slow")
        began_s = time.monotonic()
        server.stop.set()

        assert await ended(stream)
    assert server.ended_s is not None
    assert 0.15 < server.ended_s - began_s < 30
    assert server.app.under_way == 0


@pytest.mark.parametrize("local", [False, True])
async def test_stop_is_not_held_up_by_a_client_that_never_reads(
    local: bool, tmp_path: Path
) -> None:
    web = replace(WEB, binds=(Bind("unix", path=f"{tmp_path}/a.sock"),)) if local else WEB
    async with open_stoppable(web, ListenerTimeouts(drain_s=0.2)) as server:
        await server.begin("/big")
        await trio.testing.wait_all_tasks_blocked(0.05)
        began_s = time.monotonic()
        server.stop.set()
        await until(lambda: server.ended_s is not None, 40)
    assert server.ended_s is not None
    assert server.ended_s - began_s < 30
