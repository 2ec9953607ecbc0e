"""Which calls are connected, which are asked again, and which are refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio

from appliance.dialin.caller import IncomingCall
from appliance.dialin.calls import GUESSING_DELAY_S, answer_call
from appliance.dialin.dialplan import Bridge, CallStep, PromptRules, render_answer
from appliance.features import Features
from appliance.model import ServerId, ServerState
from appliance.servers.values import ServerChange
from tests.doubles.features import EventBook, open_features
from tests.doubles.freeswitch import Gateway
from tests.doubles.pool_store import pool_store
from tests.doubles.redis_processes import redis_process
from tests.doubles.store_pool import StorePool

PIN = "123456789"
CALL = IncomingCall(PIN, PIN, "Anna", "+4930123456", hide_name=False, hide_number=False)
GATEWAY = "203.0.113.10"


def bridge(pin: str) -> Bridge:
    return Bridge("math", "Anna", "+493012XXXX", f"sofia/external/{pin}@bbb1.example")


@dataclass(frozen=True)
class DialIn:
    """One meeting that can be called."""

    res: Features
    pool: StorePool

    @property
    def log(self) -> EventBook:
        assert isinstance(self.res.log, EventBook)
        return self.res.log

    async def call(
        self,
        pin: str = PIN,
        *,
        gateway: str = GATEWAY,
        number: str = CALL.caller_number,
        call_id: str = "",
        hide_number: bool = False,
    ) -> CallStep | Bridge:
        call = replace(
            CALL, pin=pin, caller_number=number, call_id=call_id, hide_number=hide_number
        )
        return await answer_call(self.res.dialin, call, gateway)

    async def counters(self) -> list[str]:
        """Return the names of the counters of wrong PINs."""
        _, keys = await self.pool.store.bulk.command(
            "SCAN", 0, "MATCH", f"{self.pool.namespace}:*wrong_pins*", "COUNT", 100_000
        )
        return list(keys)


async def seconds_of(call: Awaitable[CallStep | Bridge]) -> float:
    began_s = trio.current_time()
    assert await call is not None
    return trio.current_time() - began_s


@asynccontextmanager
async def opened(redis_url: str, namespace: str, **variables: str) -> AsyncIterator[DialIn]:
    async with open_features(redis_url, namespace, log=None, **variables) as res:
        pool = StorePool(pool_store(res))  # it is the real one
        pool.now_ms = res.now_ms()
        await pool.add("bbb1.example")
        await pool.create("math", voice_bridges=(PIN,))
        yield DialIn(res, pool)


@pytest.fixture
async def dial_in(redis_url: str, redis_namespace: str) -> AsyncIterator[DialIn]:
    async with opened(redis_url, redis_namespace) as double:
        yield double


@pytest.mark.parametrize(
    ("pin", "answer"),
    [
        ("", CallStep.PROMPT),
        (PIN, bridge(PIN)),
        (f"{PIN}7", bridge(f"{PIN}7")),
        ("12345678", CallStep.REPROMPT),
        (f"{PIN}77", CallStep.REPROMPT),
        ("12345678*", CallStep.REPROMPT),
        ("${system id}", CallStep.REPROMPT),
        ("1" * 40, CallStep.REPROMPT),
    ],
)
async def test_call_is_answered_by_its_pin(
    dial_in: DialIn, pin: str, answer: CallStep | Bridge
) -> None:
    assert await dial_in.call(pin) == answer


async def test_call_of_a_tenants_meeting_names_the_front_ends_id(dial_in: DialIn) -> None:
    for number, tenant in (("222222222", "t-1"), ("333333333", "t-2")):
        await dial_in.pool.create("physics", tenant_id=tenant, voice_bridges=(number,))
        answer = await dial_in.call(number)
        assert isinstance(answer, Bridge)
        assert answer.meeting_id == "physics"
        assert (await dial_in.pool.bridges())[number] in ("physics", "physics~t-2")


async def test_call_takes_one_round_trip_and_a_prompt_none(dial_in: DialIn) -> None:
    client = dial_in.pool.store.client
    for pin, round_trips in (("", 0), ("1*2", 0), (PIN, 1), (f"{PIN}7", 1), ("1", 1)):
        before = client.round_trips
        await dial_in.call(pin)
        assert client.round_trips - before == round_trips


@pytest.mark.parametrize(
    ("state", "connected"),
    [
        (ServerState.ENABLED, True),
        (ServerState.CORDONED, True),
        (ServerState.DISABLED, False),
    ],
)
async def test_call_needs_a_server_that_takes_joins(
    dial_in: DialIn, state: ServerState, connected: bool
) -> None:
    (server,) = await dial_in.res.pool.records.list_servers()
    await dial_in.res.servers.store.set_server_state(server.id, state)

    assert isinstance(await dial_in.call(), Bridge) == connected


async def test_call_is_asked_again_while_its_server_is_offline(dial_in: DialIn) -> None:
    (server,) = await dial_in.res.pool.records.list_servers()
    await dial_in.pool.redis("HSET", f"server:{server.id}", "online", "false")
    assert await dial_in.call() is CallStep.REPROMPT

    await dial_in.pool.lose(server.id)  # its meetings are detached
    assert await dial_in.call() is CallStep.REPROMPT

    await dial_in.pool.poll(server.id, {"math": 2})
    assert isinstance(await dial_in.call(), Bridge)


async def test_call_is_asked_again_when_the_url_of_the_server_names_no_host(
    dial_in: DialIn,
) -> None:
    await dial_in.pool.redis("HSET", "server:bbb1.example", "url", "https://a|b.example/api")

    assert [await dial_in.call() for _ in range(2)] == [CallStep.REPROMPT] * 2
    assert dial_in.log.named("server_without_host") == [
        {"subject": "bbb1.example", "repeated": 0},
        {"subject": "bbb1.example"},  # at debug
    ]


async def test_call_ends_after_three_wrong_pins(dial_in: DialIn) -> None:
    answers = [await dial_in.call("11111", call_id="call-1") for _ in range(3)]

    assert answers == [CallStep.REPROMPT, CallStep.REPROMPT, CallStep.REFUSE]
    assert await dial_in.call("11111", call_id="call-2") is CallStep.REPROMPT
    assert isinstance(await dial_in.call(call_id="call-1"), Bridge)


async def test_right_pin_connects_whatever_was_guessed_before(
    redis_url: str, redis_namespace: str
) -> None:
    variables = {"FSAPI_MAX_ATTEMPTS": "3", "FSAPI_MAX_GUESSES_PER_GATEWAY": "4"}
    async with opened(redis_url, redis_namespace, **variables) as dial_in:
        answers = [await dial_in.call("11111") for _ in range(5)]

        assert answers == [*[CallStep.REPROMPT] * 3, *[CallStep.REFUSE] * 2]
        assert await seconds_of(dial_in.call()) < GUESSING_DELAY_S
        assert isinstance(await dial_in.call(), Bridge)
        assert isinstance(await dial_in.call(number="+4930999999"), Bridge)
        assert dial_in.log.named("pins_guessed") == [
            {"gateway": GATEWAY, "caller": "+493012XXXX", "wrong": 4},
            {"gateway": GATEWAY, "wrong": 5},
        ]


async def test_wrong_pins_are_answered_late_above_the_limit_of_a_gateway(
    redis_url: str, redis_namespace: str
) -> None:
    variables = {"FSAPI_MAX_GUESSES_PER_GATEWAY": "3"}
    async with opened(redis_url, redis_namespace, **variables) as dial_in:
        for count in range(3):  # with an invented number each
            guess = dial_in.call("11111", number=f"+49309999{count}", call_id=f"call-{count}")
            assert await seconds_of(guess) < GUESSING_DELAY_S

        late = dial_in.call("11111", number="+4930888888")
        assert await seconds_of(late) >= GUESSING_DELAY_S
        assert await seconds_of(dial_in.call("1", gateway="203.0.113.11")) < GUESSING_DELAY_S


@pytest.mark.parametrize("number", ["anonymous", "", "restricted", CALL.caller_number])
async def test_callers_who_withhold_their_number_share_no_counter(
    redis_url: str, redis_namespace: str, number: str
) -> None:
    hidden = number == CALL.caller_number
    async with opened(redis_url, redis_namespace, FSAPI_MAX_ATTEMPTS="1") as dial_in:
        for _ in range(3):
            answer = await dial_in.call("11111", number=number, hide_number=hidden)
            assert answer is CallStep.REPROMPT

        assert len(await dial_in.counters()) == 1  # that of the gateway
        assert dial_in.log.named("pins_guessed") == []


async def test_pins_that_are_no_numbers_are_no_guesses(dial_in: DialIn) -> None:
    for pin in ("1*", "abc", "1" * 30):
        assert await dial_in.call(pin) is CallStep.REPROMPT

    assert await dial_in.counters() == []


async def test_pins_may_be_guessed_when_there_is_no_limit(
    redis_url: str, redis_namespace: str
) -> None:
    variables = {"FSAPI_MAX_ATTEMPTS": "0", "FSAPI_MAX_GUESSES_PER_GATEWAY": "0"}
    async with opened(redis_url, redis_namespace, **variables) as dial_in:
        for _ in range(40):
            assert await dial_in.call("11111") is CallStep.REPROMPT

        assert dial_in.log.named("pins_guessed") == []


async def test_neither_pin_nor_number_is_logged_or_kept(dial_in: DialIn) -> None:
    for pin in (PIN, "55555"):
        await dial_in.call(pin)

    logged, keys = repr(dial_in.log.events), await dial_in.counters()
    assert len(keys) == 2
    for text in (PIN, "55555", CALL.caller_number, "4930123456"):
        assert text not in logged
        assert text not in "".join(keys)
    assert dial_in.log.named("call_connected") == [{"meeting": "math", "server": "bbb1.example"}]


async def test_caller_is_asked_again_while_redis_is_down(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with opened(redis.unix_url, redis_namespace) as dial_in:
            redis.kill()

            assert await dial_in.call() is CallStep.REPROMPT
            assert await dial_in.call("") is CallStep.PROMPT
            (fault,) = dial_in.log.named("call_without_store")
            assert fault["subject"] == "redis"

            redis.start()
            redis.wait_ready()
            await dial_in.pool.store.client.wait_connected()
            await dial_in.pool.add("bbb2.example")
            again = await dial_in.pool.create("other", voice_bridges=("44444",))
            assert isinstance(await dial_in.call(again.voice_bridge), Bridge)


# --- dial strings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bridge_of_all", "change", "target"),
    [
        ("", {}, f"sofia/external/{PIN}@bbb1.example"),
        ("", {"dial_in_port": 5062}, f"sofia/external/{PIN}@bbb1.example:5062"),
        ("a/{pin}@{host}:{port}", {}, f"a/{PIN}@bbb1.example:5060"),
        ("a/{pin}@{host}:{port}", {"dial_in_port": 5062}, f"a/{PIN}@bbb1.example:5062"),
        ("a/{pin}", {"dial_in": "b/{meeting}/{pin}"}, f"b/math/{PIN}"),
        ("", {"dial_in": "b/{pin}:{port}", "dial_in_port": 7}, f"b/{PIN}:7"),
    ],
)
async def test_call_is_sent_where_the_server_or_the_setting_says(
    redis_url: str, redis_namespace: str, bridge_of_all: str, change: dict[str, Any], target: str
) -> None:
    async with opened(redis_url, redis_namespace, FSAPI_BRIDGE=bridge_of_all) as dial_in:
        await dial_in.pool.store.update_server(ServerId("bbb1.example"), ServerChange(**change))
        answer = await dial_in.call()
        assert isinstance(answer, Bridge)
        assert answer.dial_string == target


@pytest.mark.parametrize(
    "meeting_id",
    ["${system id}", "x,y|z", "{a=b}", "'\"\\", "%24%7Bsystem id%7D", "a\r\nVia: b", "[x]&<y>"],
)
async def test_hostile_meeting_id_runs_nothing_in_a_dial_string(
    dial_in: DialIn, meeting_id: str
) -> None:
    template = "[sip_h_X-Meeting={meeting}]sofia/external/{pin}@{host}:{port}"
    change = ServerChange(dial_in=template)
    await dial_in.pool.store.update_server(ServerId("bbb1.example"), change)
    await dial_in.pool.create(meeting_id, voice_bridges=("777777777",))
    answer = await dial_in.call("777777777")
    gateway = Gateway()
    gateway.run(render_answer(answer, "777777777", PromptRules(5, 9, 0)), "777777777")
    application, data = gateway.executed[-1]
    assert application == "bridge"
    assert gateway.evaluated == gateway.dropped == []
    assert re.fullmatch(
        r"\[sip_h_X-Meeting=[\w.~=-]+\]sofia/external/777777777@bbb1\.example:5060", data
    )


@pytest.mark.parametrize(
    "template", ["${system id}", "a/{pin}@{host}'", "{x=y}a/{pin}", "a\n{pin}"]
)
async def test_hostile_template_in_redis_is_never_used(dial_in: DialIn, template: str) -> None:
    """The appliance would have refused it; something else has written it."""
    redis = dial_in.pool.store.redis.background
    key = redis.own_key("server:bbb1.example")
    await redis.command("HSET", key, "dial_in", template)
    assert await dial_in.call() is CallStep.REPROMPT


async def test_number_that_a_server_invents_reaches_no_dial_string(dial_in: DialIn) -> None:
    """A server may answer a create with any voiceBridge; a caller can enter digits alone."""
    for bridge_number in ("${system id}", "1|sofia/external/2@evil", "12345,67890"):
        await dial_in.pool.create(f"m {bridge_number}", voice_bridges=(bridge_number,))
        assert await dial_in.call(bridge_number) is CallStep.REPROMPT


@pytest.mark.parametrize("host", ["a,b", "x|y", "[x]", "a b", "$x", "a%24b", "{x}"])
async def test_hostile_host_is_never_called(dial_in: DialIn, host: str) -> None:
    url = f"https://{host}/bigbluebutton/api"
    await dial_in.pool.store.update_server(ServerId("bbb1.example"), ServerChange(url=url))
    assert await dial_in.call() is CallStep.REPROMPT
