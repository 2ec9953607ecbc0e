"""`ctl --complete`: what the shells offer for an argument."""

from __future__ import annotations

import time
from pathlib import Path

from tests.doubles.control import Done, run_ctl
from tests.doubles.pool import open_pool

NOTHING = Done(0, "", "")
HOSTS = ("bbb1.example.org", "bbb2.example.org")


async def test_objects_are_offered_by_name_or_id(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as pool:
        await pool.enable_all()
        await pool.create("alpha", "al bert", "$(reboot)", "beta")
        for host in HOSTS:
            await pool.control.post("addServer", {"url": f"https://{host}/api", "secret": "s"})
        await pool.control.post("addTenant", {"name": "school", "secrets": "s3cr3t"})
        servers = await pool.control.get("getServers")
        last = servers[-1]["id"]
        expected = {
            ("server", "bbb"): "\n".join(HOSTS),
            ("server", last[:12]): last,
            ("server", "x"): "",
            ("meeting", "a"): "alpha",
            ("meeting", ""): "alpha\nbeta",
            ("tenant", ""): "school",
            ("recording", ""): "",
            ("token", ""): "",
            ("nothing", ""): "",
            (): "",
        }

        offered = {words: await pool.control.ctl("--complete", *words) for words in expected}

    assert {words: done.out.strip() for words, done in offered.items()} == expected
    assert {(done.code, done.err) for done in offered.values()} == {(0, "")}


def test_nothing_is_offered_and_said_when_the_appliance_is_down(tmp_path: Path) -> None:
    began_s = time.monotonic()

    assert run_ctl(tmp_path / "ctl.sock", "--complete", "server", "b") == NOTHING

    assert time.monotonic() < began_s + 5


async def test_unknown_name_is_answered_with_what_it_may_mean(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 1) as pool:
        await pool.enable_all()
        await pool.create("lecture-7")

        server = await pool.control.ctl("servers", "drain", "bbb1")
        other = await pool.control.ctl("servers", "drain", "nothing-like-it")
        meeting = await pool.control.ctl("meetings", "info", "lectur-7")
        ended = await pool.control.ctl("meetings", "end", "--yes", "lecture7")

    assert server.err == "Couldn't find server with id=bbb1; did you mean: bbb-1?\n"
    assert other.err == "Couldn't find server with id=nothing-like-it\n"
    assert meeting.err.endswith("lectur-7; did you mean: lecture-7?\n")
    assert ended.err.endswith("lecture7; did you mean: lecture-7?\n")
    assert {done.code for done in (server, other, meeting, ended)} == {1}
