"""`ctl poll`: the result of each server."""

from __future__ import annotations

import pytest
import trio

from tests.doubles.pool import open_pool
from tests.doubles.terminal import on_terminal


@pytest.mark.parametrize("what", ["", "all", "servers", "meetings"])
async def test_poll_shows_the_result_of_each_server(
    what: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 2) as pool:
        await pool.enable_all()
        pool.servers[0].create_meeting("room")
        pool.servers[1].kill()

        done = await pool.control.ctl("poll", *([what] if what else []))

        assert (done.code, done.err) == (0, "")
        heading, first, second = done.out.splitlines()
        assert heading.split()[-1] == "RESULT"
        assert first.split()[1:5] == ["enabled", "online", "1", "0"]
        assert first.endswith("ok")
        assert second.split()[1:3] == [
            "enabled",
            "online",
        ]  # below the threshold
        assert not second.endswith("ok")


async def test_secret_of_a_disabled_server_is_not_called_ok(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.control.post("addServer", {"url": bbb.url, "secret": "wrong", "id": "one"})

        rows = (await pool.control.ctl("poll")).out.splitlines()[1:]

        assert [row.split()[-1] for row in rows if "disabled" in row] == ["reachable"] * len(rows)


async def test_poll_of_versions_makes_no_other_calls(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.control.post("addServer", {"url": bbb.url, "secret": bbb.secret, "id": "one"})

        (result,) = (await pool.control.ctl("poll", "versions", "--json")).json

        assert (result["succeeded"], result["bbb_version"]) == (True, bbb.version)
        assert not bbb.requests("getMeetings")


@pytest.mark.parametrize("what", ["all", "versions"])
async def test_poll_shows_a_bar_on_a_terminal(
    what: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 3) as pool:
        await pool.enable_all()

        code, screen = await trio.to_thread.run_sync(on_terminal, pool.control.path, ("poll", what))

        assert code == 0
        for number in range(4):
            assert f"{number} of 3 polled" in screen
        table = screen.rpartition("\x1b[K")[2].splitlines()
        assert len(table) == 4
        assert all(line.endswith("ok") for line in table[1:])
        assert all(bbb.version in screen for bbb in pool.servers)
