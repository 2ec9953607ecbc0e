"""`ctl meetings list|info|end` and `ctl servers meetings`."""

from __future__ import annotations

import re

import trio

from tests.doubles.control import Done
from tests.doubles.pool import open_pool
from tests.doubles.terminal import Terminal


async def test_meetings_are_listed_in_a_table_and_in_rakes_blocks(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("alpha", "beta")

        table = await pool.control.ctl("meetings", "list")
        blocks = await pool.control.ctl("meetings")
        some = await pool.control.ctl("meetings", "list", "beta", "unknown", "--json")

        heading, *rows = table.out.splitlines()
        assert heading.split() == ["MEETING", "ID", "SERVER", "ID", "SERVER", "URL", "STATUS"]
        assert [row.split() for row in rows] == [
            [name, "bbb-1", bbb.url, "online"] for name in ("alpha", "beta")
        ]
        assert blocks.out == "".join(
            f"\nMeetingID: {name}\n\tServer ID: bbb-1\n\tServer Url: {bbb.url}\n"
            for name in ("alpha", "beta")
        )
        assert [meeting["id"] for meeting in some.json] == ["beta"]
        assert (some.code, some.err) == (1, "no meeting with id unknown\n")


async def test_long_ids_and_events_fit_the_terminal(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        long = "m" * 256
        await pool.create(long)
        event = {"event": "meeting_moved", "meeting": long, "level": "warning", "server": "b" * 90}
        pool.res.events.take(event)
        screens = []
        for words in (("meetings", "list"), ("events",)):
            terminal = Terminal(pool.control.path, words)
            code, screen = await trio.to_thread.run_sync(terminal.end)
            assert code == 0
            screens += re.sub(r"\x1b\[\d+m", "", screen).splitlines()

        whole = await pool.control.ctl("meetings", "list")

    assert max(map(len, screens)) <= 80
    assert any(line.startswith("mmmm") and "…" in line for line in screens)
    assert long in whole.out


async def test_meeting_is_shown_with_its_metadata(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("alpha")
        bbb.set_users("alpha", participants=3, moderators=1)

        shown = await pool.control.ctl("meetings", "info", "alpha")
        document = (await pool.control.ctl("meetings", "info", "alpha", "--json")).json

        lines = shown.out.splitlines()
        assert lines[:2] == ["Meeting ID: alpha", "\tMeeting Name: Room alpha"]
        assert "\tRecording Enabled: false" in lines
        assert "\tServer id: bbb-1" in lines
        assert f"\tServer url: {bbb.url}" in lines
        assert "\tUsers: 3, 1 moderators" in lines
        assert lines[lines.index("\tMetaData:") + 1 :] == ["\t\tcourse: Physics"]
        as_rake = (await pool.control.ctl("meetings:info[alpha]")).out.splitlines()
        names = as_rake[as_rake.index("\tMetaData:") + 1 :]
        assert (names[0], len(names)) == ("\t\tbbb-context-name: ", 12)
        assert (document["name"], document["participants"]) == ("Room alpha", 3)
        assert await pool.control.ctl("meetings", "info", "x") == Done(
            1, "", "no meeting with id x\n"
        )


async def test_meetings_are_ended_only_when_confirmed(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.enable_all()
        await pool.create("alpha", "beta", "gamma")

        for words, what in ((("alpha",), "1 meeting"), ((), "ALL meetings")):
            refused = await pool.control.ctl("meetings", "end", *words, stdin="yes\n")
            assert refused == Done(
                1, "", f"ending {what} requires a confirmation; confirm with --yes\n"
            )
        assert len(bbb.meetings()) == 3

        one = await pool.control.ctl("meetings", "end", "--yes", "alpha", "unknown")
        assert one == Done(1, "Clearing Meeting id=alpha\n", "no meeting with id unknown\n")
        every = await pool.control.ctl("meetings", "end", "--yes")
        assert (every.code, sorted(every.out.splitlines())) == (
            0,
            ["Clearing Meeting id=beta", "Clearing Meeting id=gamma"],
        )
        assert not bbb.meetings()
        none = await pool.control.ctl("meetings", "end", "--yes")
        assert none == Done(0, "", "No meetings to clear\n")


async def test_meeting_that_cannot_be_ended_is_a_failure(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("alpha")
        pool.servers[0].kill()

        done = await pool.control.ctl("meetings", "end", "--yes", "alpha")

        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("WARNING: Could not end meeting id=alpha: ")


async def test_meetings_of_servers_are_those_that_they_list(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 2) as pool:
        first, second = pool.servers
        await pool.enable_all()
        first.create_meeting("foreign")

        one = await pool.control.ctl("servers", "meetings", "bbb-1")
        assert one == Done(
            0, f"\nServer ID: bbb-1\nServer Url: {first.url}\nMeetingIDs: \n\tforeign\n", ""
        )
        two = await pool.control.ctl("servers", "meetings", "bbb-2")
        assert two.out.endswith("MeetingIDs: \n\tNo meetings to display\n")

        second.kill()
        both = await pool.control.ctl("servers", "meetings")
        assert both.code == 1
        assert both.err.startswith("Failed to get server id=bbb-2 status: ")
        assert "\tforeign\n" in both.out
