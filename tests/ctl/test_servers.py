"""`ctl servers list|add|update|load-multiplier|tag|remove`."""

from __future__ import annotations

import re

from tests.doubles.control import Done
from tests.doubles.pool import open_pool

URL = "https://bbb1.example.com/bigbluebutton/api"
OK = Done(0, "OK\n", "")


async def test_server_is_added_and_listed_as_by_rake(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        added = await pool.control.ctl(
            *("servers", "add", URL, "s3cr3t", "--load-multiplier", "2", "--tag", "gpu"),
        )

        match = re.fullmatch(r"OK\nid: ([0-9a-f-]{36})\n", added.out)
        assert match
        assert (added.code, added.err) == (0, "")
        block = (
            f"id: {match[1]}\n\turl: {URL}\n\tsecret: s3cr3t\n\tdisabled\n\tload: unavailable\n"
            "\tload multiplier: 2.0\n\tbbb version: \n\ttag: gpu\n\toffline\n"
        )
        for words in (("servers",), ("servers", "list")):
            assert await pool.control.ctl(*words) == Done(0, block, "")
        (server,) = (await pool.control.ctl("servers", "list", "--json")).json
        assert (server["id"], server["load"], server["online"]) == (
            match[1],
            "unavailable",
            "offline",
        )


async def test_empty_pool_is_a_message_and_an_empty_list(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        assert await pool.control.ctl("servers") == Done(0, "", "No servers are configured\n")
        assert (await pool.control.ctl("servers", "list", "--json")).json == []


async def test_server_is_added_and_enabled(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers

        added = await pool.control.ctl(
            "servers", "add", bbb.url, bbb.secret, "--id", "one", "--enable"
        )

        assert added == Done(0, "OK\nid: one\nenabled, online\n", "")
        again = await pool.control.ctl("servers", "add", bbb.url, bbb.secret, "--id", "one")
        assert again == Done(1, "", "a server with id one exists already\n")
        shown = await pool.control.ctl(
            *("servers", "add", bbb.url, bbb.secret, "--id", "two", "--enable", "--json"),
        )
        fields = (
            "id",
            "secret",
            "load_multiplier",
            "status",
            "online",
        )
        assert [shown.json[field] for field in fields] == [
            *("two", bbb.secret, "1.0", "online", "online")
        ]


async def test_unusual_url_is_refused_or_reported(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        refused = await pool.control.ctl("servers", "add", "bbb1.example.com", "s")
        noted = await pool.control.ctl("servers", "add", "https://bbb1.example.com/", "s")

        assert refused == Done(1, "", "the url must start with http:// or https://\n")
        assert noted.code == 0
        assert "usually ends in /bigbluebutton/api" in noted.err


async def test_values_are_changed_and_removed(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        await pool.control.ctl("servers", "add", URL, "s", "--id", "one")
        update = ("servers", "update", "one")

        changes: tuple[tuple[str, ...], ...] = (
            (*update, "--secret", "n3w", "--max-meetings", "5", "--max-users", "90"),
            ("servers", "load-multiplier", "one", "2.5"),
            ("servers", "tag", "one", "gpu"),
        )
        for words in changes:
            assert await pool.control.ctl(*words) == OK
        text = (await pool.control.ctl("servers")).out
        assert "\tsecret: n3w\n" in text
        assert "\tload multiplier: 2.5\n" in text
        assert "\ttag: gpu\n\tmax meetings: 5\n\tmax users: 90\n" in text

        for words in ((*update, "--max-meetings", "0"), ("servers", "tag", "one", "")):
            assert await pool.control.ctl(*words) == OK
        text = (await pool.control.ctl("servers")).out
        assert "\ttag: \n\tmax users: 90\n" in text


async def test_update_without_values_is_a_usage_error(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        done = await pool.control.ctl("servers", "update", "one")

        assert (done.code, done.out) == (2, "")
        assert "nothing to change" in done.err
        empty = await pool.control.ctl("servers", "update", "one", "--secret", "")
        assert empty == Done(1, "", "the secret must not be empty\n")


async def test_unknown_server_is_one_line_and_exit_code_1(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        for words in (
            ("update", "x", "--tag", "t"),
            ("load-multiplier", "x", "2"),
            ("tag", "x", "t"),
            ("remove", "x"),
            ("enable", "x"),
            ("cordon", "x"),
            ("disable", "x"),
            ("panic", "x"),
            ("drain", "x"),
            ("meetings", "x"),
        ):
            done = await pool.control.ctl("servers", *words)
            assert done == Done(1, "", "Couldn't find server with id=x\n"), words


async def test_server_with_meetings_is_removed_only_by_force(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("room")

        refused = await pool.control.ctl("servers", "remove", "bbb-1")
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith("server bbb-1 has 1 meeting;")
        assert await pool.control.ctl("servers", "remove", "bbb-1", "--force") == OK
        assert (await pool.control.ctl("servers", "list", "--json")).json == []


async def test_secret_can_come_from_standard_input(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        added = await pool.control.ctl(
            "servers", "add", URL, "-", "--id", "one", stdin="fr0m-stdin\n"
        )
        assert (added.code, added.err) == (0, "")
        (server,) = (await pool.control.ctl("servers", "list", "--json")).json
        assert server["secret"] == "fr0m-stdin"

        changed = await pool.control.ctl(
            "servers", "update", "one", "--secret", "-", stdin="an0ther\n"
        )
        assert changed.code == 0
        (server,) = (await pool.control.ctl("servers", "list", "--json")).json
        assert server["secret"] == "an0ther"

        refused = await pool.control.ctl("servers", "update", "one", "--secret", "-", stdin="\n")
        assert (refused.code, refused.err) == (1, "the secret must not be empty\n")
