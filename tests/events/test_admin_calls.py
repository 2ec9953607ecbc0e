"""The calls `getEvents` and `followEvents`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio

from appliance.events.journal import Event, EventJournal
from tests.doubles.control import open_control
from tests.doubles.features import now_ms, open_features, rewire
from tests.doubles.pool import open_pool

ONLINE = {"event": "server_online", "level": "info", "server": "bbb1"}
WITHIN_S = 20.0


async def test_events_are_listed(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        for _ in range(3):
            pool.res.events.take(ONLINE)

        (event,) = (await pool.control.get("getEvents", limit="1"))["events"]

        assert event["text"] == "bbb1 is online"
        assert (event["kind"], event["level"], event["appliance"]) == ("server", "info", "test")
        assert event["fields"] == {"server": "bbb1"}
        assert len((await pool.control.get("getEvents"))["events"]) == 3
        late = str(event["time_ms"] + 1)
        assert (await pool.control.get("getEvents", since_ms=late))["events"] == []


class WatchedJournal(EventJournal):
    """A journal that sets `left` when a client does not follow it any more."""

    left: trio.Event

    async def follow(
        self, limit: int = 0, *, since_ms: int = 0
    ) -> AsyncGenerator[list[Event], None]:
        """Yield events."""
        self.left = trio.Event()
        try:
            async with aclosing(super().follow(limit, since_ms=since_ms)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self.left.set()


async def test_client_that_leaves_ends_its_stream(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace, log=None) as features:
        journal = WatchedJournal(features.redis.background, now_ms, "test")
        async with open_control(rewire(features, events=journal)) as control:
            stream = await trio.open_unix_socket(str(control.path))
            target = "/scalelite/api/followEvents?limit=5"
            await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = b""
            with trio.fail_after(WITHIN_S):
                while b"\r\n\r\n1\r\n\n\r\n" not in received:  # the first, empty batch
                    received += await stream.receive_some(10_000)
                journal.take(ONLINE)
                while b"server_online" not in received:
                    received += await stream.receive_some(10_000)
                assert not journal.left.is_set()

                await stream.aclose()
                await journal.left.wait()
