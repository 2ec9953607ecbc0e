"""Ending many meetings on one server: one failure stops none of the others."""

from __future__ import annotations

from appliance.model import MeetingId, ServerId, Target
from appliance.pool.ending import GIVE_UP_AFTER, EndOutcome, EndRequest, end_on_server
from tests.doubles.bbb_process import open_bbb_servers
from tests.doubles.features import open_features
from tests.doubles.ports import free_port


def to_end(*names: str, password: str = "mp") -> list[EndRequest]:
    return [EndRequest(MeetingId(name), password) for name in names]


async def test_every_meeting_gets_its_own_outcome(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace) as res,
    ):
        target = Target(ServerId("one"), bbb.url, bbb.secret)
        for name in ("m-a", "m-b"):
            bbb.create_meeting(name, moderatorPW="mp")

        ended = await end_on_server(res.pool, target, to_end("m-a", "gone", "m-b"))

        assert [(one.id, one.outcome) for one in ended] == [
            ("m-a", EndOutcome.ENDED),
            ("gone", EndOutcome.GONE),
            ("m-b", EndOutcome.ENDED),
        ]
        assert not bbb.meetings()


async def test_refused_end_says_what_the_server_answered(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace) as res,
    ):
        target = Target(ServerId("one"), bbb.url, "wrong-secret")

        (ended,) = await end_on_server(res.pool, target, to_end("m-a"))

        assert (ended.outcome, ended.reason) == (
            EndOutcome.FAILED,
            "the server answered checksumError",
        )


async def test_unreachable_server_costs_one_timeout_not_one_for_each(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        target = Target(ServerId("one"), f"http://127.0.0.1:{free_port()}/api", "s")

        ended = await end_on_server(
            res.pool, target, to_end(*(f"m-{number}" for number in range(100)))
        )

        assert {one.outcome for one in ended} == {EndOutcome.FAILED}
        assert all(one.reason for one in ended)


async def test_silent_server_is_given_up_after_some_calls(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_bbb_servers(1) as (bbb,),
        open_features(redis_url, redis_namespace, RESPONSE_TIMEOUT="0.3") as res,
    ):
        target = Target(ServerId("one"), bbb.url, bbb.secret)
        bbb.add_fault("hang", "end")

        ended = await end_on_server(
            res.pool, target, to_end(*(f"m-{number}" for number in range(100)))
        )

        assert {one.outcome for one in ended} == {EndOutcome.FAILED}
        assert len(bbb.requests("end")) <= 2 * GIVE_UP_AFTER
