"""A pool of made-up servers with a day behind it, served with its console: for pictures and loads.

As a program: `python tests/doubles/console_pool.py COUNT` serves until its standard input ends, and
prints its port and a token as JSON.
"""

from __future__ import annotations

import json
import math
import random
import sys
import uuid
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: its packages are found from the root

import trio  # noqa: E402

from appliance.console.history import DAY_MIN, History  # noqa: E402
from appliance.console.snapshot import Examination  # noqa: E402
from appliance.doctor.findings import ok, warn  # noqa: E402
from appliance.instruments import LastPoll  # noqa: E402
from appliance.model import Server, ServerState  # noqa: E402
from tests.doubles.console import OpenConsole, add_server, observe, open_console  # noqa: E402
from tests.doubles.store_servers import private_redis  # noqa: E402

_NAMES = ("Analysis II", "Physics 101", "Seminar on civil law", "Staff meeting", "Office hours")


async def fill_pool(opened: OpenConsole, count: int) -> None:
    """Add servers with users and meetings, a few of them cordoned, disabled or dead."""
    features, chance = opened.features, random.Random(7)
    now_ms = features.now_ms()
    for number in range(1, count + 1):
        server_id, luck = f"bbb{number}", chance.random()
        state = ServerState.ENABLED
        if count > 5 and luck < 0.1:
            state = ServerState.CORDONED if luck < 0.05 else ServerState.DISABLED
        users = 0 if state is ServerState.DISABLED else int(abs(chance.gauss(80, 40)))
        await add_server(
            features,
            server_id,
            users=users,
            meetings=max(1, users // 14),
            state=state,
            max_users=chance.choice([150, 200, 250]),
            tag=chance.choice(["", "", "", "lectures"]),
        )
        poll = LastPoll(now_ms - chance.randint(0, 55_000), chance.uniform(0.01, 0.06), "")
        features.metrics.last_polls[server_id] = poll
    opened.console.live.reader.examination = Examination(
        (
            ok("redis", "answers, persistent"),
            ok("directories", "writable, on one file system"),
            warn("certificate", "ends in 12 days", "renew it (docs/tls.md)"),
        ),
        now_ms,
    )
    opened.console.live.reader._doctor_at_s = trio.current_time() + 3600


async def fill_meetings(opened: OpenConsole, count: int) -> None:
    """Record meetings as creates and polls would, on the first servers."""
    redis, chance = opened.features.redis.background, random.Random(3)
    now_ms = opened.features.now_ms()
    for number in range(count):
        meeting_id, server_id = f"room-{number + 100}", f"bbb{number % 5 + 1}"
        name, users = chance.choice(_NAMES), chance.randint(3, 60)
        record = ("server_id", server_id, "moderator_pw", "x", "voice_bridge", 70000 + number)
        seen = ("name", name, "users", users, "moderators", 2, "videos", users // 5)
        began = ("seen_created", now_ms - chance.randint(60_000, 4_000_000))
        await redis.pipeline(
            [
                ("HSET", redis.key(f"meeting:{meeting_id}"), *record),
                ("EXPIRE", redis.key(f"meeting:{meeting_id}"), 3600),
                ("SADD", redis.key("meetings"), meeting_id),
                ("SADD", redis.own_key(f"meetings_of:{server_id}"), meeting_id),
                ("HSET", redis.own_key(f"meeting:{meeting_id}"), *seen, *began),
                ("EXPIRE", redis.own_key(f"meeting:{meeting_id}"), 3600),
            ]
        )


def fill_history(history: History, servers: list[Server], now_ms: int) -> None:
    """Make up the last day: quiet at night, full in the morning."""
    chance, last = random.Random(5), now_ms // 60_000
    history.pool.clear()  # what was sampled of the pool before it was filled
    for minute in range(last - DAY_MIN + 1, last):
        hour = (minute - last) / 60 + 11.4
        day = 0.04 + 0.9 * math.exp(-(((hour % 24) - 10.5) ** 2) / 12)
        made = [
            replace(
                one,
                users=int(one.users * day * chance.uniform(0.9, 1.05)),
                meetings=int(one.meetings * day),
            )
            for one in servers
        ]
        history.add(minute, made, refused=0, errors=0)


async def poll_forever(opened: OpenConsole, count: int) -> None:
    """Poll as the appliance would, every server once a minute; a few users come and go."""
    number, chance = 0, random.Random(11)
    while True:
        await trio.sleep(60 / max(1, count))
        number = number % max(1, count) + 1
        server_id = f"bbb{number}"
        row = opened.console.live.reader.last.by_id.get(server_id)
        users = 0 if row is None else max(0, row.server.users + chance.randint(-3, 3))
        if row is not None and row.server.state is ServerState.ENABLED:
            await observe(opened.features, server_id, users, max(1, users // 14))
        poll = LastPoll(opened.features.now_ms(), chance.uniform(0.01, 0.06), "")
        opened.features.metrics.last_polls[server_id] = poll


async def serve(count: int) -> None:
    """Serve until standard input ends."""
    with private_redis() as redis:
        name = f"t{uuid.uuid4().hex[:8]}"
        async with open_console(redis.url, name) as opened:
            await fill_pool(opened, count)
            await fill_meetings(opened, min(40, 8 * count))
            servers = await opened.features.pool.records.list_servers()
            fill_history(opened.console.live.history, servers, opened.features.now_ms())
            token = await opened.make_token("admin")
            print(json.dumps({"port": opened.public.port, "token": token}), flush=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(poll_forever, opened, count)
                await trio.to_thread.run_sync(sys.stdin.read)
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]))
