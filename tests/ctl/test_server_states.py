"""`ctl servers enable|cordon|disable|panic|drain`, with confirmations and waiting."""

from __future__ import annotations

import time

import trio

from tests.doubles.control import Done
from tests.doubles.pool import Pool, open_pool
from tests.doubles.ports import free_port
from tests.doubles.terminal import Terminal, on_terminal


async def test_enable_shows_the_result_of_the_first_poll(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 2) as pool:
        bbb, other = pool.servers
        dead = f"http://127.0.0.1:{free_port()}/bigbluebutton/api"
        for server_id, url, secret in (
            ("good", bbb.url, bbb.secret),
            ("wrong", other.url, "another-secret"),
            ("dead", dead, "s"),
        ):
            fields = {"url": url, "secret": secret, "id": server_id}
            await pool.control.post("addServer", fields)

        good = await pool.control.ctl("servers", "enable", "good")
        wrong = await pool.control.ctl("servers", "enable", "wrong")
        dead_one = await pool.control.ctl("servers", "enable", "dead")

        assert good == Done(0, "enabled, online\n", "")
        assert wrong.out == "enabled, but the server refuses API calls: check its secret\n"
        assert dead_one.out.startswith("enabled, but the server does not answer: ")
        assert (wrong.code, dead_one.code) == (0, 0)


async def test_enable_reports_that_more_polls_are_needed(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, SERVER_HEALTHY_THRESHOLD="2") as pool:
        (bbb,) = pool.servers
        await pool.control.post("addServer", {"url": bbb.url, "secret": bbb.secret, "id": "one"})

        assert (
            "after more successful polls"
            in (await pool.control.ctl("servers", "enable", "one")).out
        )


async def test_cordon_shows_remaining_meetings_and_users(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()

        done = await pool.control.ctl("servers", "cordon", "bbb-1")
        shown = await pool.control.ctl("servers", "cordon", "bbb-1", "--json")

        assert done == Done(
            0,
            "cordoned (0 meetings, 0 users at the last poll); it is disabled once it is empty\n",
            "",
        )
        assert shown.json["state"] == "cordoned"


async def test_disable_asks_only_when_the_server_has_load(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        assert await pool.control.ctl("servers", "disable", "bbb-1") == Done(
            0, "disabled; 0 meetings cleared\n", ""
        )
        await pool.control.post("enableServer", {"id": "bbb-1"})
        await pool.create("room")

        refused = await pool.control.ctl("servers", "disable", "bbb-1", stdin="yes\n")
        assert (refused.code, refused.out) == (1, "")
        assert "bbb-1 is in use" in refused.err
        assert "confirm with --yes" in refused.err
        assert len(refused.err.splitlines()) == 1
        assert list(pool.servers[0].meetings()) == ["room"]

        done = await pool.control.ctl("servers", "disable", "bbb-1", "--yes")
        assert done == Done(0, "Clearing Meeting id=room\ndisabled; 1 meeting cleared\n", "")
        assert not pool.servers[0].meetings()


async def test_disable_asks_on_a_terminal_and_stops_after_no(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")
        words = ("servers", "disable", "bbb-1")

        code, screen = await trio.to_thread.run_sync(on_terminal, pool.control.path, words, "no\n")
        assert code == 1
        assert "Type yes to continue" in screen
        assert "not disabled" in screen
        assert pool.servers[0].meetings()

        code, screen = await trio.to_thread.run_sync(on_terminal, pool.control.path, words, "yes\n")
        assert code == 0
        assert "disabled; 1 meeting cleared" in screen
        assert not pool.servers[0].meetings()


async def test_panic_reports_each_meeting(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("here", "gone")
        pool.servers[0].end_meeting("gone")

        done = await pool.control.ctl("servers", "panic", "bbb-1")

        assert (done.code, done.err) == (0, "")
        assert sorted(done.out.splitlines()) == [
            "Clearing Meeting id=gone",
            "Clearing Meeting id=here",
            "disabled; 2 meetings cleared",
        ]


async def test_panic_of_a_dead_server_succeeds_with_a_warning(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")
        pool.servers[0].kill()

        done = await pool.control.ctl("servers", "panic", "bbb-1", "--keep-state")

        assert done.code == 0
        assert done.err.startswith("WARNING: Could not end meeting id=room: ")
        assert done.out.endswith(
            "cleared, state kept; 1 meeting cleared, 1 of them not ended on the server\n"
        )
        assert (await pool.control.get("getServerInfo", id="bbb-1"))["state"] == "enabled"


async def test_panic_can_skip_the_calls(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")

        done = await pool.control.ctl("servers", "panic", "bbb-1", "--skip-end-calls", "--json")

        assert [one["outcome"] for one in done.json["meetings"]] == ["skipped"]
        assert list(pool.servers[0].meetings()) == ["room"]


async def test_drain_waits_until_the_server_is_empty_and_disabled(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("room")
        bbb.set_users("room", participants=2)
        results: list[Done] = []

        async def drain() -> None:
            results.append(await pool.control.ctl("servers", "drain", "bbb-1", "--wait"))

        began_s = time.monotonic()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            await bbb.until_called("getMeetings", len(bbb.requests("getMeetings")) + 1)
            bbb.end_meeting("room")

        (done,) = results
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines() == [
            "draining: 1 meeting, 2 users left",
            "drained: empty and disabled",
        ]
        assert (await pool.control.get("getServerInfo", id="bbb-1"))["state"] == "disabled"
        assert time.monotonic() - began_s < 40


async def test_drain_without_wait_only_cordons(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()

        assert (await pool.control.ctl("servers", "drain", "bbb-1")).out.startswith("cordoned (")
        await pool.control.post("disableServer", {"id": "bbb-1"})
        assert await pool.control.ctl("servers", "drain", "bbb-1", "--wait") == Done(
            0, "already disabled\n", ""
        )


async def test_drain_fails_when_the_server_does_not_answer(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, SERVER_UNHEALTHY_THRESHOLD="1") as pool:
        await pool.enable_all()
        await pool.create("room")
        pool.servers[0].kill()

        done = await pool.control.ctl("servers", "drain", "bbb-1", "--wait")

        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("server bbb-1 does not answer")


async def test_drain_shows_a_bar_on_a_terminal(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")
        results: list[tuple[int, str]] = []

        async def drain() -> None:
            words = ("servers", "drain", "bbb-1", "--wait")
            results.append(await trio.to_thread.run_sync(on_terminal, pool.control.path, words))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            (bbb,) = pool.servers
            await bbb.until_called("getMeetings", len(bbb.requests("getMeetings")) + 1)
            bbb.end_meeting("room")

        ((code, screen),) = results
        assert code == 0
        assert "[------------------------] draining: 1 meeting, 0 users left" in screen
        assert screen.endswith("drained: empty and disabled\r\n")


def interrupt_drain(pool: Pool) -> tuple[int, str]:
    """Drain a server on a terminal; press Ctrl-C when the bar appears."""
    terminal = Terminal(pool.control.path, ("servers", "drain", "bbb-1", "--wait"))
    terminal.wait_for("left")
    terminal.interrupt()
    return terminal.end()


async def test_interrupted_drain_leaves_the_server_cordoned(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")

        code, screen = await trio.to_thread.run_sync(interrupt_drain, pool)

        assert code == 130
        lines = screen.splitlines()
        assert lines[-1] == "server bbb-1 stays cordoned and is disabled once it is empty"
        assert "Traceback" not in screen
        assert (await pool.control.get("getServerInfo", id="bbb-1"))["state"] == "cordoned"
