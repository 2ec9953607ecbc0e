"""The calls `getEvents` and `followEvents`."""

from __future__ import annotations

import trio

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


async def test_client_that_leaves_ends_its_stream(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        stream = await trio.open_unix_socket(str(pool.control.path))
        target = "/scalelite/api/followEvents?limit=5"
        await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        with trio.fail_after(WITHIN_S):
            while b"\r\n\r\n1\r\n\n\r\n" not in received:  # the first, empty batch
                received += await stream.receive_some(10_000)
            pool.res.events.take(ONLINE)
            while b"server_online" not in received:
                received += await stream.receive_some(10_000)
        client = pool.res.redis.background.client
        before = client.round_trips
        await trio.sleep(1.2)
        assert client.round_trips > before  # it looks for events of others

        await stream.aclose()
        await trio.sleep(0.2)
        before = client.round_trips
        await trio.sleep(1.2)

        assert client.round_trips == before
