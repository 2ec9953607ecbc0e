"""A pool of made-up servers with a day behind it, served with its console: for pictures and loads.

As a program: `console_pool.py COUNT [--broken]` serves until its standard input
ends, and prints its port and a token as JSON.
"""

from __future__ import annotations

import json
import math
import random
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: its packages are found from the root

import trio  # noqa: E402

from appliance.console.history import (  # noqa: E402
    DAY_MIN,
    HOUR_MIN,
    STEP_MIN,
    History,
    PoolMinute,
    ServerHistory,
)
from appliance.console.snapshot import Examination  # noqa: E402
from appliance.doctor.directory_findings import Place, judge_places  # noqa: E402
from appliance.doctor.findings import Finding, ok, warn  # noqa: E402
from appliance.doctor.front_end_findings import judge_checksums  # noqa: E402
from appliance.doctor.host_findings import judge_certificate  # noqa: E402
from appliance.doctor.settings_findings import judge_settings  # noqa: E402
from appliance.doctor.store_findings import judge_clock  # noqa: E402
from appliance.instruments import LastPoll  # noqa: E402
from appliance.model import Server, ServerState  # noqa: E402
from appliance.system.disk_facts import DirectoryFacts  # noqa: E402
from appliance.system.host_facts import CertificateFacts  # noqa: E402
from tests.doubles.console import OpenConsole, add_server, observe, open_console  # noqa: E402
from tests.doubles.store_servers import private_redis  # noqa: E402

_NAMES = ("Analysis II", "Physics 101", "Seminar on civil law", "Staff meeting", "Office hours")
_WITH_MEETINGS = 5
"""Servers that are enabled and have the meetings that are recorded."""


async def fill_pool(opened: OpenConsole, count: int, *, broken: bool = False) -> None:
    """Add servers with users and meetings, a few of them cordoned or disabled.

    broken: none of them answers, and doctor finds faults.
    """
    features, chance, limiter = opened.features, random.Random(7), trio.CapacityLimiter(100)
    now_ms = features.now_ms()

    async def add(server_id: str, users: int, options: dict[str, Any]) -> None:
        async with limiter:
            meetings = max(1, users // 14)
            await add_server(features, server_id, users=users, meetings=meetings, **options)

    async with trio.open_nursery() as nursery:
        for number in range(1, count + 1):
            server_id, luck = f"bbb{number}", chance.random()
            state = ServerState.ENABLED
            if number > _WITH_MEETINGS and luck < 0.1:
                state = ServerState.CORDONED if luck < 0.05 else ServerState.DISABLED
            users = 0 if state is ServerState.DISABLED else int(abs(chance.gauss(80, 40)))
            tag = chance.choice(["", "", "", "lectures"])
            options = {"state": state, "max_users": chance.choice([150, 200, 250]), "tag": tag}
            nursery.start_soon(add, server_id, users, {**options, "answers": not broken})
            ended_ms = now_ms - chance.randint(0, 55_000)
            failure = "no connection within 5 s" if broken else ""
            poll = LastPoll(ended_ms, 5.0 if broken else chance.uniform(0.01, 0.06), failure)
            features.metrics.last_polls[server_id] = poll
    findings = _findings(opened, broken)
    opened.console.live.reader.examination = Examination(tuple(findings), now_ms)
    opened.console.live.reader._doctor_at_s = trio.current_time() + 3600


def _findings(opened: OpenConsole, broken: bool) -> Iterator[Finding]:
    """Yield what doctor finds: a certificate that ends soon; or much."""
    if not broken:
        yield ok("redis", "answers and accepts writes, version 8.0.2")
        yield ok("directory spool", "/var/bigbluebutton/recording/scalelite, 412.0 GiB free")
        renew = "renew it, then `systemctl reload scalelite-appliance`"
        yield warn("tls certificate", "expires in 12 days", renew)
        return
    yield from judge_settings(opened.features.settings)
    path, user = "/var/bigbluebutton/published", "scalelite"
    facts = DirectoryFacts(path, "Read-only file system")
    yield from judge_places([Place("published", facts, "RECORDING_PUBLISH_DIR")], user)
    yield judge_certificate(CertificateFacts(ends_s=0), None, 1e9)
    yield judge_clock("clock of PostgreSQL", 47.0)
    yield from judge_checksums([("203.0.113.9", 412)])


async def fill_meetings(opened: OpenConsole, count: int) -> None:
    """Record meetings as creates and polls would, on the first servers."""
    redis, chance = opened.features.redis.background, random.Random(3)
    now_ms = opened.features.now_ms()
    for number in range(count):
        meeting_id, server_id = f"room-{number + 100}", f"bbb{number % _WITH_MEETINGS + 1}"
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
    """Make up the last day: quiet at night, full in the morning. As `History.add` would."""
    last = now_ms // 60_000
    shares = [_share_of(minute, last) for minute in range(last - DAY_MIN + 1, last)]
    users, meetings = (sum(getattr(one, name) for one in servers) for name in ("users", "meetings"))
    history.pool.clear()  # what was sampled of the pool before it was filled
    history.pool.extend(
        PoolMinute(last - len(shares) + at, int(users * share), int(meetings * share), 0, 0)
        for at, share in enumerate(shares)
    )
    steps = [shares[at] for at in range(0, len(shares), STEP_MIN)]
    for one in servers:
        kept = ServerHistory()
        if one.online:
            kept.hour.extend(one.users * share for share in shares[-HOUR_MIN:])
            kept.users.extend(one.users * share for share in steps)
            kept.meetings.extend(float(int(one.meetings * share)) for share in steps)
        history.servers[one.id] = kept


def _share_of(minute: int, last: int) -> float:
    hour = ((minute - last) / 60 + 11.4) % 24
    noise = 0.975 + 0.075 * math.sin(minute * 1.7) * math.sin(minute * 0.37)
    return (0.04 + 0.9 * math.exp(-((hour - 10.5) ** 2) / 12)) * noise


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


async def serve(count: int, *, broken: bool = False) -> None:
    """Serve until standard input ends."""
    with private_redis() as redis:
        name = f"t{uuid.uuid4().hex[:8]}"
        async with open_console(redis.url, name) as opened:
            await fill_pool(opened, count, broken=broken)
            await fill_meetings(opened, min(40, 8 * count))
            servers = await opened.features.pool.records.list_servers()
            fill_history(opened.console.live.history, servers, opened.features.now_ms())
            token = await opened.make_token("admin")
            print(json.dumps({"port": opened.public.port, "token": token}), flush=True)
            async with trio.open_nursery() as nursery:
                if not broken:
                    nursery.start_soon(poll_forever, opened, count)
                await trio.to_thread.run_sync(sys.stdin.read)
                nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(partial(serve, int(sys.argv[1]), broken="--broken" in sys.argv))
