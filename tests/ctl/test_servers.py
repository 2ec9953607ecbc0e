"""`ctl servers list|add|update|load-multiplier|tag|remove`."""

from __future__ import annotations

import re

import pytest
import trio

from tests.doubles.control import Done
from tests.doubles.pool import Pool, open_pool
from tests.doubles.ports import free_port
from tests.doubles.terminal import Terminal

URL = "https://bbb1.invalid/bigbluebutton/api"
OK = Done(0, "OK\n", "")


async def test_server_is_added_and_listed_as_by_rake(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        added = await pool.control.ctl(
            *("servers", "add", URL, "s3cr3t", "--load-multiplier", "2", "--tag", "gpu"),
        )

        match = re.fullmatch(r"OK\nid: ([0-9a-f-]{36})\n", added.out)
        assert match
        assert (added.code, "does not answer" in added.err) == (0, True)
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

        assert (added.code, added.err) == (0, "")
        assert added.out.splitlines() == [
            "OK",
            "id: one",
            f"disabled, answers, the secret is right, BigBlueButton {bbb.version}",
            "enabled, online",
        ]
        again = await pool.control.ctl("servers", "add", bbb.url, bbb.secret, "--id", "one")
        assert again == Done(1, "", "a server with id one exists already\n")
        twin = await pool.control.ctl("servers", "add", f"{bbb.url}/", bbb.secret, "--id", "two")
        assert twin == Done(1, "", "server one has this url already\n")
        await pool.control.ctl("servers", "remove", "one")
        shown = await pool.control.ctl(
            *("servers", "add", bbb.url, bbb.secret, "--id", "two", "--enable", "--json"),
        )
        assert shown.json["found"]["bbb_version"] == bbb.version
        assert shown.json["found"]["secret_right"]
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
        refused = await pool.control.ctl("servers", "add", "bbb1.invalid", "s")
        noted = await pool.control.ctl("servers", "add", "https://bbb1.invalid/b/bbb", "s")

        assert refused == Done(1, "", "the url must start with http:// or https://\n")
        assert noted.code == 0
        assert "usually ends in /bigbluebutton/api" in noted.err
        for words in (("add", "ftp://b.example.com/", "s"), ("add", "http://b c/x", "s")):
            refused = await pool.control.ctl("servers", *words)
            assert (refused.code, len(refused.err.splitlines())) == (1, 1)


@pytest.mark.parametrize("given", ["/bigbluebutton/", "/bigbluebutton", "/", ""])
async def test_url_of_bbb_conf_is_completed(
    given: str, redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        printed = bbb.url.removesuffix("/bigbluebutton/api") + given

        added = await pool.control.ctl(
            *("servers", "add", printed, bbb.secret, "--id", "one", "--enable")
        )

        assert (added.code, added.err) == (0, f"note: the url is completed to {bbb.url}\n")
        assert added.out.endswith("\nenabled, online\n")


async def test_server_that_does_not_come_online_is_exit_code_1(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        dead = f"http://127.0.0.1:{free_port()}/bigbluebutton/api"

        wrong = await pool.control.ctl("servers", "add", bbb.url, "wr0ng", "--enable")
        gone = await pool.control.ctl("servers", "add", dead, "s", "--enable", "--json")
        later = await pool.control.ctl("servers", "add", f"{dead}2/api", "s")

        assert (wrong.code, gone.code, later.code) == (1, 1, 0)
        assert "error: it rejects calls: the secret is wrong" in wrong.err
        assert wrong.out.endswith("enabled, but the server refuses API calls: check its secret\n")
        assert (gone.json["online"], gone.json["found"]["answers"]) == ("offline", False)
        assert "does not answer" in later.err


async def test_address_of_a_server_is_changed(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        await pool.control.ctl("servers", "add", "http://old.invalid", bbb.secret, "--id", "one")
        printed = bbb.url.removesuffix("api")

        changed = await pool.control.ctl("servers", "update", "one", "--url", printed)

        assert (changed.code, changed.out) == (0, "OK\n")
        (server,) = (await pool.control.ctl("servers", "list", "--json")).json
        assert server["url"] == bbb.url


async def test_secret_is_asked_for_on_a_terminal(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers

        code, screen = await trio.to_thread.run_sync(type_secret, pool, bbb.url, bbb.secret)

        assert code == 0
        assert bbb.secret not in screen
        assert "enabled, online" in screen


def type_secret(pool: Pool, url: str, secret: str) -> tuple[int, str]:
    terminal = Terminal(pool.control.path, ("servers", "add", url, "--enable"))
    terminal.wait_for("Secret")
    terminal.type(f"{secret}\n")
    return terminal.end()


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
        assert added.code == 0
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


async def test_empty_pool_is_accepted_without_asking(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        assert await pool.control.ctl("servers", "accept-empty") == OK
        await pool.control.ctl("servers", "add", URL, "s3cr3t")

        refused = await pool.control.ctl("servers", "accept-empty")

        assert (refused.code, refused.out) == (1, "")
        assert refused.err == "the pool is not empty, it has 1 server\n"


async def test_missing_values_are_asked_for_on_a_terminal(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        (bbb,) = pool.servers
        terminal = Terminal(pool.control.path, ("servers", "add"))

        def answer() -> tuple[int, str]:
            terminal.wait_for("Host or URL")
            terminal.type("\n")  # a mistake
            terminal.wait_for("Host or URL", 2)
            terminal.type(f"{bbb.url.removesuffix('api')}\n")
            terminal.wait_for("Secret")
            terminal.type(f"{bbb.secret}\n")
            terminal.wait_for("Enable it?")
            terminal.type("yes\n")
            return terminal.end()

        code, screen = await trio.to_thread.run_sync(answer)
        status = await pool.control.get("getStatus")
        missing = await pool.control.ctl("servers", "add", "--enable")

    assert code == 0, screen
    assert f"the url is completed to {bbb.url}" in screen
    assert f"answers, the secret is right, BigBlueButton {bbb.version}" in screen
    assert screen.rstrip().endswith("enabled, online")
    assert bbb.secret not in screen
    assert [one["status"] for one in status["servers"]] == ["online"]
    assert missing.code == 2
    assert "bbb-conf --secret" in missing.err


async def test_dial_in_of_a_server_is_set_checked_shown_and_removed(
    redis_url: str, redis_namespace: str
) -> None:
    template = "sofia/external/{pin}@{host}:{port}"
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        ctl = pool.control.ctl
        words = ("--id", "one", "--dial-in", template, "--dial-in-port", "5062")
        assert (await ctl("servers", "add", URL, "s3cr3t", *words)).code == 0
        (server,) = (await ctl("servers", "list", "--json")).json
        assert (server["dial_in"], server["dial_in_port"]) == (template, 5062)
        listed = (await ctl("servers", "list")).out
        assert f"\tdial in: {template}\n\tdial in port: 5062\n" in listed
        exported = (await ctl("servers", "export")).out
        assert f"    dial_in: {template}\n    dial_in_port: 5062\n" in exported

        for bad in ("sofia/${pin}", "a'b", 'a"b', "a\\b", "{pin}{x}", "{", "a\x01b"):
            refused = await ctl("servers", "update", "one", "--dial-in", bad)
            assert (refused.code, "dial string" in refused.err) == (1, True), bad
        assert (await ctl("servers", "update", "one", "--dial-in-port", "70000")).code == 1
        assert (await ctl("servers", "list")).out == listed
        bad_list = "servers: {one: {secret: s, dial_in: '${x}'}}"
        assert (await ctl("servers", "sync", "-", stdin=bad_list)).code == 1

        removed = ("servers", "update", "one", "--dial-in", "", "--dial-in-port", "0")
        assert await ctl(*removed) == OK
        (server,) = (await ctl("servers", "list", "--json")).json
        assert (server["dial_in"], server["dial_in_port"]) == ("", None)
