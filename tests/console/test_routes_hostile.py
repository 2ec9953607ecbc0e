"""What servers and a Scalelite on the same Redis may write cannot act in ctl, console or hooks."""

from __future__ import annotations

import json
import re
from pathlib import Path

from appliance.features import Features
from appliance.fleet.autoscale import make_hooks, tell
from tests.doubles.console import OpenConsole, open_console
from tests.doubles.control import open_control

EVIL = "\x1b]0;pwn\x07\x1b[31m\"<img src=x onerror=alert(1)>';{}$(id)\r\n\u202e&\x9b"
COMMANDS = (
    "status",
    "capacity",
    "versions",
    "autoscale plan",
    "servers list",
    "servers list --retired",
    "servers maintenance list",
    "meetings list",
    "recordings owed",
    "events",
    "cluster-proxy nginx",
)
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\n\\\\u202e")
"""Control sequences of terminals, and the rest of the text after a line break."""
HOSTILE_HTML = re.compile(r"<img[^>]*onerror|=\"[^\"]*\"<img")
PAGES = ("", "servers", "servers/evil", "meetings", "recordings", "doctor", "what-if", "audit")


async def write_servers(features: Features) -> None:
    """Write servers and meetings as a hostile BigBlueButton, or Scalelite, could leave them."""
    redis, now_ms = features.redis.foreground, features.now_ms()
    for server_id, url in (
        ("evil", f"https://evil.example.com/{EVIL}"),
        (f"id{EVIL}", "https://evil.example.com/x"),
        ("location", "https://h;}\nlocation / {return 200;}/x"),
        ("nothing", EVIL),
    ):
        values = ("url", url, "secret", "s", "state", "enabled", "online", "true")
        told = ("bbb_version", EVIL, "tag", EVIL, "meetings", EVIL, "users", "1e5")
        await redis.command("HSET", redis.key(f"server:{server_id}"), *values, *told)
        await redis.command("SADD", redis.key("servers"), server_id)
        await redis.command("ZADD", redis.key("server_load"), 1, server_id)
        await redis.command("HSET", redis.own_key(f"server:{server_id}"), "dial_in", EVIL)
    meeting = ("server_id", "evil", "moderator_pw", EVIL, "voice_bridge", EVIL)
    await redis.command("HSET", redis.key(f"meeting:{EVIL}"), *meeting)
    own = ("name", EVIL, "users", 3, "placed_ms", now_ms)
    await redis.command("HSET", redis.own_key(f"meeting:{EVIL}"), *own)
    await redis.command("SADD", redis.key("meetings"), EVIL)
    await redis.command("SADD", redis.own_key("meetings_of:evil"), EVIL)
    await redis.command("SADD", redis.own_key("owed"), "evil")
    await redis.command("ZADD", redis.own_key("owed:evil"), now_ms, EVIL)
    await redis.command("HINCRBY", redis.own_key("changes"), "servers", 1)


async def check_console(opened: OpenConsole) -> None:
    client = await opened.log_in("admin")
    for page in PAGES:
        text = await client.get(f"/scalelite/{page}")
        assert HOSTILE_HTML.search(text) is None, page


async def test_what_others_wrote_acts_nowhere(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nenv >{tmp_path}/env\ncat >{tmp_path}/body\n")
    hook.chmod(0o700)
    async with open_console(redis_url, redis_namespace, AUTOSCALE_COMMAND=str(hook)) as opened:
        features = opened.features
        await opened.add_server("bbb1", users=12)
        await write_servers(features)
        async with open_control(features) as control:
            for words in COMMANDS:
                done = await control.ctl(*words.split())
                assert done.code == 0, done.err
                assert ACTIVE.search(done.out + done.err) is None, words
            proxy = await control.ctl("cluster-proxy", "nginx")
            assert re.findall(r"location (/\S+) {", proxy.out) == [
                f"/{one}/{path}/"
                for one in ("bbb1", "evil")
                for path in ("html5client", "bigbluebutton/api")
            ]
            assert "img" not in proxy.out
        await check_console(opened)

        fleet = features.fleet
        assert await fleet.store.claim(fleet.instance, lease_ms=60_000)
        assert await tell(fleet, make_hooks(fleet)[0]) == 0
        body = json.loads((tmp_path / "body").read_text())
        assert EVIL in body["needed"]
        assert "pwn" not in (tmp_path / "env").read_text()
