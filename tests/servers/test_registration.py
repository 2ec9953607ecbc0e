"""Servers that register themselves, and what is known of them once they are removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from appliance.admin_calls.actors import Role
from appliance.admin_calls.refusal import Refused
from appliance.audit.rules import AuditQuery
from appliance.bbb.signed_request import Caller
from appliance.meetings.end import end_meeting
from appliance.model import ServerId, ServerState
from appliance.servers import administration
from appliance.servers.registration import Registered, list_retired, register_server
from appliance.servers.sync.apply import sync_servers
from appliance.servers.values import NewServer, ServerChange
from tests.admin.test_dispatch import bearer_of
from tests.doubles.admin_examples import SERVER_ID, TENANT_ID, open_place
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import open_control
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

DAY_MS = 86_400_000
NOTHING = ServerChange()


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool without servers."""
    async with open_live(redis_url, redis_namespace, bbbs[:2], enable=False) as opened:
        yield opened


async def register(
    pool: LivePool, bbb: BbbProcess, change: ServerChange = NOTHING, **values: Any
) -> Registered:
    new = NewServer(**{"url": bbb.url, "secret": bbb.secret, **values})
    return await register_server(pool.res.servers, "token agent", new, change)


async def state_of(pool: LivePool, server_id: str) -> ServerState:
    return (await pool.server(server_id)).state


async def test_server_registers_itself_over_http(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs[:2]) as place:
        operator = await bearer_of(place, Role.OPERATOR)
        url = "https://bbb7.example.org/bigbluebutton/api"
        server = {"url": url, "secret": "s3cr3t-of-bbb7", "tag": "lectures", "load_multiplier": 2}
        status, added = await operator.ask("servers/self", "PUT", {"server": server})
        assert (status, added["new"], added["state"]) == (201, True, "disabled")
        assert (added["url"], added["tag"], added["load_multiplier"]) == (url, "lectures", "2.0")
        assert "s3cr3t" not in str(added)
        status, again = await operator.ask("servers/self", "PUT", {"server": server})
        assert (status, again) == (200, {**added, "new": False})
        changed = {**server, "url": url.replace("bbb7", "BBB7") + "/", "tag": "", "max_users": 90}
        status, known = await operator.ask("servers/self", "PUT", {"server": changed})
        assert (status, known["id"], known["tag"]) == (200, added["id"], "")
        assert (known["max_users"], known["load_multiplier"]) == (90, "2.0")

        trail = await place.public.res.audit.search(AuditQuery())
        assert [(one.call, one.who.split()[1]) for one in trail if one.call == "servers/self"] == [
            ("servers/self", "operator-pool")
        ] * 2

        for bad in (
            *({}, {"server": {}}, {"server": "x"}, {"server": {**server, "secret": ""}}),
            *({"server": {**server, name: value}} for name, value in BAD_VALUES.items()),
        ):
            status, answer = await operator.ask("servers/self", "PUT", bad)
            assert (status, bool(answer["error"])) == (400, True), bad
        assert (await operator.ask("servers/self", "PUT", b"{"))[0] == 400
        assert (await operator.send("servers/self", "POST")).status == 405
        for other in (
            await bearer_of(place, Role.VIEWER),
            await bearer_of(place, Role.OPERATOR, TENANT_ID),
        ):
            status, answer = await other.ask("servers/self", "PUT", {"server": server})
            assert (status, "servers/self" in answer["error"]) == (403, True)


BAD_VALUES: dict[str, Any] = {
    "url": "ftp://bbb7.example.org/",
    "load_multiplier": 0,
    "max_users": "many",
    "tag": "none",
}


async def test_operator_removes_a_server_that_is_safe_to_stop_and_no_other(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    """retireServer, for the program that has registered it."""
    async with open_place(redis_url, redis_namespace, bbbs[:1]) as place:
        operator = await bearer_of(place, Role.OPERATOR)
        store = place.pool.res.servers.store

        async def retire(**body: str) -> tuple[int, str]:
            status, document = await operator.ask("retireServer", "POST", body)
            return status, document.get("error", "")

        status, reason = await retire(id=SERVER_ID)
        assert (status, "is not disabled" in reason, "force" in reason) == (400, True, False)
        await place.pool.create("room")
        await store.set_server_state(SERVER_ID, ServerState.DISABLED)
        status, reason = await retire(id=SERVER_ID)
        assert (status, "has 1 meeting" in reason) == (400, True)
        for name, value in (("id", "none"), ("url", "https://none.example/bigbluebutton/api")):
            assert await retire(**{name: value}) == (
                404,
                f"Couldn't find server with {name}={value}",
            )
        assert (await retire())[0] == 404
        assert (await operator.ask("deleteServer", "POST", {"id": SERVER_ID}))[0] == 403

        await end_meeting(
            place.pool.res.meetings, Caller(base_url="http://127.0.0.1:9"), (("meetingID", "room"),)
        )
        assert await retire(url=bbbs[0].url.removesuffix("api")) == (200, "")
        assert [one.retired.server.id for one in await list_retired(place.pool.res.servers)] == [
            SERVER_ID
        ]
        entry = (await place.public.res.audit.search(AuditQuery()))[0]
        assert entry.call == "retireServer"
        assert entry.before is not None
        assert entry.before["url"] == bbbs[0].url


async def test_url_that_bbb_conf_prints_is_completed(pool: LivePool) -> None:
    bbb = pool.servers[0]

    done = await register(pool, bbb, url=bbb.url.removesuffix("api"))

    assert (done.new, done.server.url) == (True, bbb.url)
    again = await register(pool, bbb)
    assert (again.new, again.server.id) == (False, done.server.id)


async def test_new_server_is_enabled_after_enough_good_polls_in_a_row(pool: LivePool) -> None:
    bbb = pool.servers[0]
    done = await register(pool, bbb)
    server_id = done.server.id
    for _ in range(2):
        assert (await pool.poll(server_id)).registering
    with bbb.fault("status", "getMeetings", status=500):
        assert not (await pool.poll(server_id)).succeeded
    for _ in range(2):
        await pool.poll(server_id)
        assert await state_of(pool, server_id) is ServerState.DISABLED
    result = await pool.poll(server_id)
    assert (result.registering, result.online) == (False, True)
    assert await state_of(pool, server_id) is ServerState.ENABLED
    (logged,) = pool.log.named("server_state_set")
    assert logged["by"] == "self-registration"


@pytest.mark.parametrize("state", list(ServerState))
async def test_operator_who_sets_the_state_of_a_server_decides(
    pool: LivePool, state: ServerState
) -> None:
    server_id = (await register(pool, pool.servers[0])).server.id
    await administration.set_server_state(pool.res.servers, "me", server_id, state)
    assert not (await register(pool, pool.servers[0])).new
    for _ in range(4):
        await pool.poll(server_id)
    found = await state_of(pool, server_id)
    # A cordoned server that is empty is disabled.
    assert found is (ServerState.ENABLED if state is ServerState.ENABLED else ServerState.DISABLED)


async def test_known_server_takes_another_secret_only_if_it_answers_to_it(pool: LivePool) -> None:
    bbb = pool.servers[0]
    server_id = (await register(pool, bbb, secret="of-the-machine-before")).server.id
    wrong = ServerChange(secret="guessed")
    with pytest.raises(Refused, match="known with another secret, and does not accept this one"):
        await register(pool, bbb, wrong, secret="guessed")
    assert (await pool.server(server_id)).secret == "of-the-machine-before"
    right = ServerChange(secret=bbb.secret)
    assert not (await register(pool, bbb, right)).new
    assert (await pool.server(server_id)).secret == bbb.secret


async def test_id_that_is_taken_is_refused(pool: LivePool) -> None:
    await register(pool, pool.servers[0], id="one")
    with pytest.raises(Refused, match="id one exists already"):
        await register(pool, pool.servers[1], id="one")
    assert not (await register(pool, pool.servers[0], id="two")).new


async def test_url_that_another_server_had_before_gets_another_id(pool: LivePool) -> None:
    first, second = pool.servers
    one = (await register(pool, first)).server.id
    moved = ServerChange(url=second.url, secret=second.secret)
    await administration.update_server(pool.res.servers, "me", one, moved)
    again = await register(pool, first)
    assert (again.new, again.server.id != one) == (True, True)


async def test_servers_that_register_at_once_are_added_once(pool: LivePool) -> None:
    found: list[Registered] = []

    async def one() -> None:
        found.append(await register(pool, pool.servers[0]))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(one)
    assert sum(each.new for each in found) == 1
    assert len({each.server.id for each in found}) == 1
    assert len(await pool.res.pool.records.list_servers()) == 1


# --- retired servers -----------------------------------------------------------------------------


async def retired(pool: LivePool) -> list[str]:
    return [one.retired.server.id for one in await list_retired(pool.res.servers)]


async def owe(pool: LivePool, server_id: str) -> None:
    """Have a server owe two recordings."""
    store = pool.res.redis.background
    changes = f'{{"{server_id}": {{"rec-1": 1700000000000, "rec-2": 1700000000001}}}}'
    await store.run("change_debts", changes)


async def owed(pool: LivePool, server_id: str) -> int:
    return int(await pool.redis("ZCARD", f"appliance:owed:{server_id}"))


async def test_removed_server_is_retired_until_its_time_is_over(pool: LivePool) -> None:
    for bbb in pool.servers:
        await pool.register(bbb)
    await administration.remove_server(pool.res.servers, "me", "bbb-1", force=False)
    await sync_servers(pool.res.servers, "me", "servers: {}")
    assert await retired(pool) == ["bbb-1", "bbb-2"]
    # Where a Scalelite looks, there is nothing of them.
    assert await pool.redis("SMEMBERS", "servers") == []
    keys = await pool.client.command("KEYS", f"{pool.namespace}:*bbb-*")
    assert keys == []

    ahead = [0]
    deps = rewire(pool.res, now_ms=lambda: pool.res.now_ms() + ahead[0]).servers
    ahead[0] = 14 * DAY_MS - 60_000
    assert len(await list_retired(deps)) == 2
    ahead[0] = 14 * DAY_MS
    assert await list_retired(deps) == []
    assert await deps.pool.retired.sweep(now_ms=deps.now_ms()) == 2
    assert await pool.redis("EXISTS", "appliance:retired") == 0


async def test_server_that_comes_back_by_its_url_is_taken_back(pool: LivePool) -> None:
    deps, bbb = pool.res.servers, pool.servers[0]
    first = (await register(pool, bbb)).server.id
    await owe(pool, first)
    await administration.remove_server(deps, "me", first, force=True)
    again = await register(pool, bbb, url=bbb.url + "/")
    assert (again.new, again.server.id, await retired(pool)) == (True, first, [])
    assert await owed(pool, first) == 2

    await administration.remove_server(deps, "me", first, force=True)
    new = NewServer(bbb.url, bbb.secret, id="another")
    assert (await administration.add_server(deps, "me", new)).id == "another"
    assert (await retired(pool), await owed(pool, first)) == ([], 0)
    assert await owed(pool, "another") == 2

    await administration.remove_server(deps, "me", "another", force=True)
    text = f"servers: {{by-file: {{url: '{bbb.url}', secret: {bbb.secret}}}}}"
    await sync_servers(deps, "me", text)
    assert (await retired(pool), await owed(pool, "by-file")) == ([], 2)
    await pool.redis("DEL", "appliance:owed")
    await pool.redis("DEL", "appliance:owed:by-file")


async def test_ctl_lists_and_forgets_retired_servers(pool: LivePool) -> None:
    await pool.register(pool.servers[0])
    async with open_control(pool.res) as control:
        assert (await control.ctl("servers", "list", "--retired", "--json")).json == []
        assert (await control.ctl("servers", "remove", "bbb-1")).code == 0
        (row,) = (await control.ctl("servers", "list", "--retired", "--json")).json
        assert (row["id"], row["url"]) == ("bbb-1", pool.servers[0].url)
        assert "secret" not in row
        assert "bbb-1" in (await control.ctl("servers", "list", "--retired")).out
        assert (await control.ctl("servers", "list", "--json")).json == []
        assert (await control.ctl("servers", "forget", "bbb-1")).code == 0
        assert (await control.ctl("servers", "list", "--retired", "--json")).json == []
        refused = await control.ctl("servers", "forget", "bbb-1")
        assert (refused.code, "bbb-1" in refused.err) == (1, True)


async def test_without_retirement_nothing_is_kept(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], RETIRED_SERVER_DAYS="0") as pool:
        await administration.remove_server(pool.res.servers, "me", "bbb-1", force=False)
        assert await retired(pool) == []
        assert await pool.res.pool.records.find_server(ServerId("bbb-1")) is None
