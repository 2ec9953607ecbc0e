"""hooks/create, hooks/list, hooks/destroy, with real servers behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest

from appliance.bbb.errors import ApiError
from appliance.bbb.signed_request import Caller
from appliance.callbacks.hook_rules import MAX_HOOKS
from appliance.callbacks.hooks import create_hook, destroy_hook, list_hooks
from appliance.model import ServerState, Tenant, TenantId
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.live_pool import QUICK, LivePool, elements, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

URL = "https://lms.example.org/hook"
A, B = (Caller(Tenant(TenantId(f"t-{name}"), name, ("s",))) for name in "ab")


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool without tenants."""
    async with open_live(redis_url, redis_namespace, bbbs, **QUICK) as opened:
        yield opened


async def create(pool: LivePool, caller: Caller | None = None, **params: str) -> dict[str, str]:
    pairs = tuple(params.items())
    return elements(await create_hook(pool.res.callbacks, caller or Caller(), pairs))


async def refused(pool: LivePool, params: dict[str, str]) -> tuple[str, str]:
    with pytest.raises(ApiError) as caught:
        await create_hook(pool.res.callbacks, Caller(), tuple(params.items()))
    return caught.value.key, caught.value.message


async def listed(pool: LivePool, caller: Caller | None = None, **params: str) -> list[str | None]:
    body = await list_hooks(pool.res.callbacks, caller or Caller(), tuple(params.items()))
    return [hook.findtext("hookID") for hook in ElementTree.fromstring(body).iter("hook")]


async def test_hook_is_on_every_server_when_it_is_created(pool: LivePool) -> None:
    answer = await create(pool, callbackURL=URL, eventID="meeting-ended", getRaw="TRUE")
    assert answer == {
        "returncode": "SUCCESS",
        "hookID": "1",
        "permanentHook": "false",
        "rawData": "true",
    }
    for bbb in pool.servers:
        (hook,) = bbb.hooks()
        assert (hook["url"], hook["event_ids"], hook["raw"]) == (URL, ["meeting-ended"], True)


async def test_hook_is_gone_from_every_server_when_it_is_destroyed(pool: LivePool) -> None:
    await create(pool, callbackURL=URL)
    answer = await destroy_hook(pool.res.callbacks, Caller(), (("hookID", "1"),))
    assert elements(answer) == {"returncode": "SUCCESS", "removed": "true"}
    assert [bbb.hooks() for bbb in pool.servers] == [[]] * len(pool.servers)
    assert await listed(pool) == []


async def test_hook_of_a_meeting_is_on_its_server_only(pool: LivePool) -> None:
    await pool.create()
    await create(pool, callbackURL=URL, meetingID="room")
    assert [len(bbb.hooks()) for bbb in pool.servers[:2]] == [1, 0]
    assert pool.servers[0].hooks()[0]["meeting_id"] == "room"


async def test_blanks_around_meeting_id_and_url_are_ignored(pool: LivePool) -> None:
    await pool.create(" room ")
    await create(pool, callbackURL=f" {URL}\n", meetingID="\troom ")
    await create(pool, callbackURL=f"{URL}/all", meetingID=" ")
    assert await listed(pool, meetingID=" room") == ["1", "2"]
    assert await listed(pool, meetingID=" ") == ["1", "2"]
    hooks = sorted((hook["url"], hook["meeting_id"]) for hook in pool.servers[0].hooks())
    assert hooks == [(URL, "room"), (f"{URL}/all", None)]


async def test_url_that_is_registered_already_is_a_duplicate(pool: LivePool) -> None:
    await create(pool, callbackURL=URL)
    answer = await create(pool, callbackURL=URL, meetingID="room")
    assert answer == {
        "returncode": "SUCCESS",
        "hookID": "1",
        "messageKey": "duplicateWarning",
        "message": "There is already a hook for this callback URL.",
    }
    assert await listed(pool) == ["1"]


async def test_list_has_the_hooks_of_the_meeting_and_those_of_all(pool: LivePool) -> None:
    for number, meeting_id in enumerate(("", "room", "other")):
        await create(pool, callbackURL=f"{URL}/{number}", meetingID=meeting_id)
    assert await listed(pool) == ["1", "2", "3"]
    assert await listed(pool, meetingID="room") == ["1", "2"]


@pytest.mark.parametrize(
    ("params", "key", "says"),
    [
        ({}, "missingParamCallbackURL", "You must specify a callbackURL in the parameters."),
        ({"callbackURL": ""}, "missingParamCallbackURL", "callbackURL"),
        ({"callbackURL": "ftp://a.example/"}, "createHookError", "not http:// or https://"),
        ({"callbackURL": "https://u:p@a.example/"}, "createHookError", "user name"),
        ({"callbackURL": f"{URL}?{'x' * 3000}"}, "createHookError", "longer"),
    ],
)
async def test_hook_is_refused(pool: LivePool, params: dict[str, str], key: str, says: str) -> None:
    found = await refused(pool, params)
    assert found[0] == key
    assert says in found[1]
    assert await listed(pool) == []


async def test_too_many_hooks_are_refused(pool: LivePool) -> None:
    for server in pool.servers:
        await pool.set_state(server.server_id, ServerState.DISABLED)
    for number in range(MAX_HOOKS):
        await create(pool, callbackURL=f"{URL}/{number}")
    assert (await refused(pool, {"callbackURL": URL}))[0] == "createHookError"


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ((), "missingParamHookID"),
        ((("hookID", ""),), "missingParamHookID"),
        ((("hookID", "7"),), "destroyMissingHook"),
    ],
)
async def test_destroy_says_what_is_missing(
    pool: LivePool, params: tuple[tuple[str, str], ...], key: str
) -> None:
    with pytest.raises(ApiError) as caught:
        await destroy_hook(pool.res.callbacks, Caller(), params)
    assert caught.value.key == key


async def test_hook_is_created_although_a_server_does_not_answer(pool: LivePool) -> None:
    pool.servers[0].pause()
    try:
        assert (await create(pool, callbackURL=URL))["returncode"] == "SUCCESS"
    finally:
        pool.servers[0].resume()
    assert len(pool.servers[1].hooks()) == 1
    await pool.poll("bbb-1")
    assert len(pool.servers[0].hooks()) == 1


async def test_tenants_see_and_destroy_their_own_hooks_only(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(redis_url, redis_namespace, bbbs[:1], MULTITENANCY_ENABLED="true") as pool:
        assert (await create(pool, A, callbackURL=URL))["hookID"] == "1"
        assert (await create(pool, B, callbackURL=URL))["hookID"] == "2"
        assert await listed(pool, A) == ["1"]
        assert await listed(pool, B) == ["2"]
        with pytest.raises(ApiError) as caught:
            await destroy_hook(pool.res.callbacks, B, (("hookID", "1"),))
        assert caught.value.key == "destroyMissingHook"
        assert await listed(pool, A) == ["1"]
        assert bbbs[0].hooks() == []


async def test_private_address_is_refused_where_that_is_wanted(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_live(
        redis_url, redis_namespace, bbbs[:1], CALLBACK_BLOCK_PRIVATE="true"
    ) as pool:
        found = await refused(pool, {"callbackURL": "http://10.0.0.1/hook"})
        assert found[0] == "createHookError"
        assert "its address is private" in found[1]
        assert (await create(pool, callbackURL=URL))["hookID"] == "1"
