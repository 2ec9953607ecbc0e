"""`scalelite-appliance ctl servers` against a running appliance."""

from __future__ import annotations

import subprocess

import pytest

from tests.doubles.appliance_pool import ServedPool
from tests.doubles.appliance_process import COMMAND, ROOT
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.ctl_program import DONE, FAILED, USAGE, ctl, ctl_json


def add(pool: ServedPool, server: BbbProcess, *options: str) -> str:
    """Add a server by ctl and return its id."""
    pool.appliance.sensitive.add(server.secret)
    lines = ctl(pool, "servers", "add", server.url, server.secret, *options).splitlines()
    assert lines[0] == "OK"
    assert lines[1].startswith("id: ")
    return lines[1].removeprefix("id: ")


def test_servers_add_list_and_enable(empty_pool: ServedPool) -> None:
    pool, server = empty_pool, empty_pool.servers[0]

    server_id = add(pool, server, "--load-multiplier", "2", "--tag", "big")
    listed = ctl(pool, "servers", "list")
    assert f"id: {server_id}" in listed
    for line in (
        *(f"url: {server.url}", f"secret: {server.secret}", "disabled", "load: unavailable"),
        *("load multiplier: 2.0", "tag: big", "offline"),
    ):
        assert f"\t{line}\n" in listed

    assert ctl(pool, "servers", "enable", server_id) == "enabled, online\n"
    assert "\tload: 0.0\n" in ctl(pool, "servers", "list")
    found = ctl_json(pool, "servers", "list")
    assert [one["id"] for one in found] == [server_id]
    assert (found[0]["state"], found[0]["online"]) == ("enabled", "online")
    assert ctl(pool, "servers") == ctl(pool, "servers", "list")


def test_servers_add_takes_id_limits_and_enable(empty_pool: ServedPool) -> None:
    pool = empty_pool
    limits = ("--max-meetings", "1", "--max-users", "100")

    assert add(pool, pool.servers[0], "--id", "my-id", "--enable", *limits) == "my-id"

    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.front.create("m2").key == "internalError"
    assert "\tmax meetings: 1\n" in ctl(pool, "servers", "list")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("add", "not a url", "s3cret-x"), FAILED, "url"),
        (("add", "ftp://h/api", "s3cret-x"), FAILED, "http"),
        (("add", "http://h/api", ""), FAILED, "secret"),
        (("add", "http://h/api", "s3cret-x", "--load-multiplier", "0"), USAGE, "greater than 0"),
        (("add", "http://h/api"), FAILED, "secret"),
        (("add", "http://h/api", "s3cret-x", "--id", "bbb one"), FAILED, "id"),
        (("update", "unknown", "--tag", "x"), FAILED, "Couldn't find server with id=unknown"),
        (("enable", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("cordon", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("disable", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("panic", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("drain", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("remove", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("load-multiplier", "unknown", "2"), FAILED, "Couldn't find server with id=unknown"),
        (("tag", "unknown", "x"), FAILED, "Couldn't find server with id=unknown"),
        (("meetings", "unknown"), FAILED, "Couldn't find server with id=unknown"),
        (("bogus",), USAGE, "bogus"),
    ],
)
def test_servers_command_refuses_what_it_should(
    empty_pool: ServedPool, words: tuple[str, ...], code: int, text: str
) -> None:
    answer = ctl(empty_pool, "servers", *words, code=code)

    assert text in answer
    assert "s3cret-x" not in answer
    assert empty_pool.appliance.control.get("getStatus")["servers"] == []


def test_servers_add_refuses_an_id_that_is_taken(pool: ServedPool) -> None:
    answer = ctl(pool, "servers", "add", "http://h/api", "s", "--id", pool.ids[0], code=FAILED)

    assert "exists already" in answer


def test_servers_update_changes_what_is_given(pool: ServedPool) -> None:
    first = pool.ids[0]
    ctl(pool, "servers", "update", first, "--load-multiplier", "3", "--tag", "t1")
    ctl(pool, "servers", "update", first, "--max-meetings", "7")
    ctl(pool, "servers", "load-multiplier", pool.ids[1], "1.5")
    ctl(pool, "servers", "tag", pool.ids[2], "t2")

    found = {one["id"]: one for one in ctl_json(pool, "servers", "list")}
    assert (float(found[first]["load_multiplier"]), found[first]["tag"]) == (3.0, "t1")
    assert int(found[first]["max_meetings"]) == 7
    assert float(found[pool.ids[1]]["load_multiplier"]) == 1.5
    assert found[pool.ids[2]]["tag"] == "t2"
    ctl(pool, "servers", "update", first, "--tag", "", "--max-meetings", "0")
    found = {one["id"]: one for one in ctl_json(pool, "servers", "list")}
    assert not found[first]["tag"]
    assert not found[first].get("max_meetings")


def test_servers_cordon_and_drain(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    holder_id = pool.id_of(holder)

    ctl(pool, "servers", "cordon", holder_id)
    assert pool.appliance.server(holder_id)["state"] == "cordoned"
    drain = subprocess.Popen(
        [*COMMAND, "ctl", "servers", "drain", holder_id, "--wait"],
        env=pool.appliance.environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert drain.stdout is not None
        assert drain.stdout.readline() == "draining: 1 meeting, 0 users left\n"
        holder.end_meeting("m1", callback=False)
        assert drain.wait(40) == DONE
        assert drain.stdout.read() == "drained: empty and disabled\n"
    finally:
        drain.kill()
        drain.communicate()
    assert pool.appliance.server(holder_id)["state"] == "disabled"


def test_servers_disable_asks_when_it_has_load(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    holder_id = pool.id_of(holder)

    assert "--yes" in ctl(pool, "servers", "disable", holder_id, code=FAILED)
    assert pool.appliance.server(holder_id)["state"] == "enabled"
    assert holder.meetings()

    ctl(pool, "servers", "disable", holder_id, "--yes")

    assert pool.appliance.server(holder_id)["state"] == "disabled"
    assert holder.meetings() == {}
    ctl(pool, "servers", "disable", pool.id_of(pool.others(holder)[0]))  # no load: not asked


def test_servers_panic_forgets_and_ends_the_meetings(pool: ServedPool) -> None:
    for number in range(6):
        pool.front.create(f"m{number}")
    keeps, skips, plain = pool.ids
    assert [len(server.meetings()) for server in pool.servers] == [2, 2, 2]

    ctl(pool, "servers", "panic", keeps, "--keep-state")
    ctl(pool, "servers", "panic", skips, "--skip-end-calls")
    pool.servers[2].end_meeting(next(iter(pool.servers[2].meetings())), callback=False)
    ctl(pool, "servers", "panic", plain)

    assert [len(server.meetings()) for server in pool.servers] == [0, 2, 0]
    states = [pool.appliance.server(one)["state"] for one in pool.ids]
    assert states == ["enabled", "disabled", "disabled"]
    assert {pool.front.info(f"m{number}").key for number in range(6)} == {"notFound"}


def test_servers_remove_is_refused_while_there_are_meetings(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder_id = pool.id_of(pool.holder("m1"))

    assert "1 meeting" in ctl(pool, "servers", "remove", holder_id, code=FAILED)
    ctl(pool, "servers", "remove", holder_id, "--force")

    assert len(ctl_json(pool, "servers", "list")) == 2
    assert pool.front.info("m1").key == "notFound"
    assert pool.front.create("m1").returncode == "SUCCESS"
    empty_id = next(
        pool.id_of(server)
        for server in pool.servers
        if pool.id_of(server) != holder_id and "m1" not in server.meetings()
    )
    ctl(pool, "servers", "remove", empty_id)
    assert len(ctl_json(pool, "servers", "list")) == 1


def test_servers_meetings_asks_the_servers(pool: ServedPool) -> None:
    pool.front.create("known")
    pool.servers[0].create_meeting("foreign")

    text = ctl(pool, "servers", "meetings")
    one = ctl_json(pool, "servers", "meetings", pool.ids[0])

    assert text.count("Server ID: ") == 3
    assert "\tknown\n" in text
    assert "\tforeign\n" in text
    assert "foreign" in [meeting["id"] for meeting in one[0]["meetings"]]
    pool.servers[1].add_fault("status", "getMeetings", status=500)
    failed = pool.appliance.ctl("servers", "meetings")
    assert failed.returncode == FAILED
    assert failed.stdout.count("Server ID: ") == 3
