"""Facts about simulated servers, and about one with a wrong clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate

import pytest
import trio

from appliance.bbb.client import BbbClient
from appliance.bbb.server_facts import ServerFactFinder, ServerFacts, read_skew_s
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.model import ServerId, Target
from appliance.settings import Algorithm
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import now_ms

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

SUCCESS = "<response><returncode>SUCCESS</returncode><version>2.0</version></response>"


@asynccontextmanager
async def finder(ask_s: float = 40.0) -> AsyncIterator[ServerFactFinder]:
    async with aclosing(PoolTransport(open_ssl_context(None))) as pool:
        bbb = BbbClient(
            pool,
            connect_timeout_s=40.0,
            response_timeout_s=40.0,
            response_max_bytes=1 << 20,
            send_algorithm=Algorithm.SHA256,
        )
        yield ServerFactFinder(pool, bbb, now_ms, ask_s=ask_s)


def target_of(bbb: BbbProcess) -> Target:
    return Target(ServerId(bbb.server_id), bbb.url, bbb.secret)


async def test_version_of_a_good_server_is_read(bbbs: list[BbbProcess]) -> None:
    bbbs[0].clear_faults()
    async with finder() as find:
        facts = await find.read(target_of(bbbs[0]))

        assert (facts.failure, facts.secret_refused) == ("", False)
        assert facts.version
        trailing = replace(target_of(bbbs[0]), url=f"{bbbs[0].url}/")
        assert await find.read(trailing) == facts


async def test_wrong_secret_is_distinguished_from_a_dead_server(bbbs: list[BbbProcess]) -> None:
    bbbs[0].clear_faults()
    async with finder() as find:
        wrong = await find.read(replace(target_of(bbbs[0]), secret="wrong"))
        dead = await find.read(replace(target_of(bbbs[0]), url="http://127.0.0.1:1/api"))
        odd = await find.read(replace(target_of(bbbs[0]), url="not a url"))

    assert (wrong.secret_refused, wrong.failure) == (True, "")
    assert "refused" in dead.failure
    assert odd.failure


@pytest.mark.parametrize(
    ("kind", "options", "failure"),
    [
        ("hang", {}, "within 0.5 s"),
        ("status", {"status": 502}, "HTTP status 502"),
        ("failed", {"call": "isMeetingRunning"}, "FAILED (internalError)"),
    ],
)
async def test_each_failure_has_its_text(
    kind: str, options: dict[str, str], failure: str, bbbs: list[BbbProcess]
) -> None:
    bbbs[0].clear_faults()
    async with finder(ask_s=0.5 if kind == "hang" else 40.0) as find:
        with bbbs[0].fault(kind, **options):
            facts = await find.read(target_of(bbbs[0]))

    assert failure in facts.failure


@pytest.mark.parametrize("ahead_s", [-600, 0, 90])
async def test_clock_is_read_from_the_date(ahead_s: int) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            while await stream.receive_some():
                date = formatdate(now_ms() / 1000 + ahead_s, usegmt=True)
                head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(SUCCESS)}\r\n\r\n"
                await stream.send_all((head + SUCCESS).encode())

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        port = listener.socket.getsockname()[1]
        async with finder() as find:
            facts = await find.read(Target(ServerId("a"), f"http://127.0.0.1:{port}/api", "s"))
        nursery.cancel_scope.cancel()

    assert facts.failure == ""
    assert facts.skew_s is not None
    assert abs(facts.skew_s - ahead_s) < 30


@pytest.mark.parametrize("value", [b"never", b"\xff", b""])
def test_skew_is_unknown_without_a_valid_date(value: bytes) -> None:
    assert read_skew_s(((b"date", value),), 0.0) is None
    assert read_skew_s((), 0.0) is None
    assert ServerFacts().skew_s is None
