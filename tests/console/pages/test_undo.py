"""Undo: what it takes back, and what it leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from appliance.model import ServerId, ServerState
from tests.doubles.console import FORM, ConsoleClient, OpenConsole, open_console

SERVERS = "/scalelite/servers"


@pytest.fixture
async def opened(redis_url: str, redis_namespace: str) -> AsyncIterator[OpenConsole]:
    """Give a console without servers."""
    async with open_console(redis_url, redis_namespace) as found:
        yield found


async def change(client: ConsoleClient, path: str, *ids: str) -> str:
    """Change states as console.js does; return what the Undo button sends."""
    fields = [("csrf_token", await client.csrf()), *(("ids", one) for one in ids)]
    origin = f"Origin: {client.origin}"
    answer = await client.ask(
        "POST", path, FORM, origin, "X-Fragment: 1", body=urlencode(fields).encode()
    )
    assert answer.status == 200, answer
    return answer.body.decode().partition('name="undo" value="')[2].partition('"')[0]


async def states(opened: OpenConsole) -> dict[str, ServerState]:
    """Return the states of all servers."""
    return {one.id: one.state for one in await opened.features.pool.records.list_servers()}


async def test_undo_restores_the_state_once(opened: OpenConsole) -> None:
    await opened.add_server("bbb1", users=12)
    client = await opened.log_in("operator")
    undo = await change(client, f"{SERVERS}/bbb1/cordon")
    assert await states(opened) == {"bbb1": ServerState.CORDONED}

    for forged in ("", undo[:-3], "x" * 5000, "\0"):
        assert (await client.post("/scalelite/undo", undo=forged)).status == 409
    assert await states(opened) == {"bbb1": ServerState.CORDONED}
    answer = await client.post("/scalelite/undo", undo=undo)
    assert (answer.status, answer.headers["location"]) == (303, f"{SERVERS}/bbb1")
    assert await states(opened) == {"bbb1": ServerState.ENABLED}
    assert (await client.post("/scalelite/undo", undo=undo)).status == 409


async def test_undo_restores_the_states_of_many_servers(opened: OpenConsole) -> None:
    ids = [f"bbb{number}" for number in range(60)]
    for one in ids:
        await opened.add_server(one, users=3)
    await opened.features.servers.store.set_server_state(ServerId("bbb7"), ServerState.CORDONED)
    before = await states(opened)
    client = await opened.log_in("operator")

    undo = await change(client, f"{SERVERS}/cordon", *ids)
    assert set((await states(opened)).values()) == {ServerState.CORDONED}
    assert (await client.post("/scalelite/undo", undo=undo)).status == 303

    assert await states(opened) == before


async def test_undo_leaves_a_server_alone_that_was_changed_since(opened: OpenConsole) -> None:
    for one in ("bbb1", "bbb2", "bbb3"):
        await opened.add_server(one, users=3)
    client, store = await opened.log_in("operator"), opened.features.servers.store
    undo = await change(client, f"{SERVERS}/cordon", "bbb1", "bbb2", "bbb3")

    await store.set_server_state(ServerId("bbb2"), ServerState.DISABLED)
    await store.remove_server(ServerId("bbb3"), force=True, now_ms=opened.features.now_ms())
    answer = await client.post("/scalelite/undo", "X-Fragment: 1", undo=undo)

    assert b"2 servers could not be changed back" in answer.body
    assert b"bbb2.example.org was changed since, and stays as it is" in answer.body
    assert await states(opened) == {"bbb1": ServerState.ENABLED, "bbb2": ServerState.DISABLED}


async def test_state_that_undo_restores_is_not_that_of_an_older_snapshot(
    opened: OpenConsole,
) -> None:
    await opened.add_server("bbb1", users=0)
    await opened.console.live.snapshot()
    await opened.features.servers.store.set_server_state(ServerId("bbb1"), ServerState.DISABLED)
    client = await opened.log_in("operator")

    undo = await change(client, f"{SERVERS}/bbb1/enable")
    await client.post("/scalelite/undo", undo=undo)

    assert await states(opened) == {"bbb1": ServerState.DISABLED}


async def test_change_that_changes_nothing_has_no_undo(opened: OpenConsole) -> None:
    await opened.add_server("bbb1", users=3)
    client = await opened.log_in("operator")

    assert await change(client, f"{SERVERS}/enable", "bbb1") == ""
