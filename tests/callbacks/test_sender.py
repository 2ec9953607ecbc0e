"""The sender over real stores and real receivers: good, bad, dead, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
import trio

from appliance.callbacks.rules import Callback, CallbackState, recording_ready
from appliance.callbacks.sender import MAX_AT_ONCE, MAX_PER_RECEIVER
from tests.doubles.callback_bench import SECRETS, CallbackBench, open_callback_bench, until
from tests.doubles.callback_contract import claim
from tests.doubles.callback_receiver import CallbackReceiver, Received, open_receiver

WITHIN_S = 40.0


@pytest.fixture
async def bench(
    redis_url: str, redis_namespace: str, database_url: str
) -> AsyncIterator[CallbackBench]:
    async with open_callback_bench(redis_url, redis_namespace, database_url) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with open_receiver() as opened:
        yield opened


def ready(url: str, number: int = 1) -> Callback:
    return recording_ready(url, meeting_id="math", record_id=f"rec-{number}")


async def test_callback_is_sent_once_and_done(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    async with bench.sending(bench.sender()) as queue:
        assert await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        (sent,) = await bench.wait_for(CallbackState.DONE, 1)
        assert not await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
    assert (sent.attempts, sent.last_status, sent.last_error) == (1, 200, None)
    (received,) = receiver.received
    claims = jwt.decode(received.token, SECRETS[0], ["HS256"])
    assert claims == {"meeting_id": "math", "record_id": "rec-1"}
    assert bench.log.named("callback_sent")[0]["receiver"] == receiver.url("")


async def test_queue_in_redis_is_sent_too(bench: CallbackBench, receiver: CallbackReceiver) -> None:
    async with bench.sending(bench.sender("appliance-1", bench.buffer)) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        await bench.wait_for(CallbackState.DONE, 1, bench.buffer)
    assert len(receiver.received) == 1


async def test_receiver_that_fails_is_tried_again(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    receiver.answer = lambda _: 503
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        await until(lambda: bool(bench.log.named("callback_retried")), WITHIN_S)
        await bench.wait_for(CallbackState.PENDING, 1)
        while not (waiting := (await bench.rows.show(None, 1))[0]).attempts:
            await trio.sleep(0.01)
        assert (waiting.last_status, waiting.last_error) == (503, "the receiver answered 503")
        assert 0 < waiting.wait_s <= 5
    receiver.answer = lambda _: 200
    with trio.fail_after(40):  # at once after a start
        async with bench.sending(bench.sender()):
            (sent,) = await bench.wait_for(CallbackState.DONE, 1)
    assert sent.attempts == 2


@pytest.mark.parametrize("status", [404, 410])
async def test_receiver_that_has_no_such_thing_is_left_alone(
    bench: CallbackBench, receiver: CallbackReceiver, status: int
) -> None:
    receiver.answer = lambda _: status
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        (failed,) = await bench.wait_for(CallbackState.FAILED, 1)
    assert failed.last_status == status
    assert len(receiver.received) == 1
    assert len(bench.log.named("callback_failed")) == 1


async def test_receiver_that_disappears_gets_its_call_when_it_is_back(
    bench: CallbackBench,
) -> None:
    receiver = CallbackReceiver()
    async with receiver.serving():
        pass  # so that it has a port
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        await until(lambda: bool(bench.log.named("callback_retried")), WITHIN_S)
        assert "refused" in bench.log.named("callback_retried")[0]["reason"]
        async with receiver.serving():
            while await bench.rows.make_due() == 0:
                await trio.sleep(0.01)
            await bench.wait_for(CallbackState.DONE, 1)
    assert len(receiver.received) == 1


async def test_dead_receiver_is_named_once_and_not_at_each_call_to_it(
    bench: CallbackBench,
) -> None:
    async with open_receiver(lambda _: 503) as receiver, bench.sending(bench.sender()) as queue:
        for number in range(5):
            callback = ready(receiver.url(f"/{number}"))
            await queue.enqueue(callback, dedup_key=f"key-{number}")
        await until(lambda: len(bench.log.named("callback_retried")) >= 5, WITHIN_S)
    warned = [one for one in bench.log.events if one[:2] == ("warning", "callback_retried")]
    assert len(warned) == 1


async def test_dead_receiver_does_not_delay_others(bench: CallbackBench) -> None:
    async with open_receiver() as dead, open_receiver() as alive:
        sender = bench.sender()
        queue = bench.queue(sender)
        for number in range(MAX_AT_ONCE):
            await queue.enqueue(ready(dead.url("/hang"), number), dedup_key=f"dead-{number}")
        for number in range(20):
            await queue.enqueue(ready(alive.url("/ready"), number), dedup_key=f"alive-{number}")
        async with bench.sending(sender):
            with trio.fail_after(WITHIN_S):  # in which not one of the dead is given up
                while len(alive.received) < 20:
                    await trio.sleep(0.01)
            assert len(dead.received) == MAX_PER_RECEIVER


async def test_receiver_gets_few_calls_at_once(bench: CallbackBench) -> None:
    async with open_receiver() as receiver:
        async with bench.sending(bench.sender()) as queue:
            for number in range(30):
                await queue.enqueue(ready(receiver.url("/r"), number), dedup_key=f"key-{number}")
            await bench.wait_for(CallbackState.DONE, 30)
        assert len(receiver.received) == 30
        assert receiver.most_under_way <= MAX_PER_RECEIVER


async def test_each_secret_is_tried_until_one_is_taken(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    def check(one: Received) -> int:
        try:
            jwt.decode(one.token, SECRETS[1], ["HS256"])
        except jwt.InvalidSignatureError:
            return 401
        return 200

    receiver.answer = check
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        (sent,) = await bench.wait_for(CallbackState.DONE, 1)
    assert sent.attempts == 1
    assert len(receiver.received) == 2


async def test_two_senders_share_the_queue(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    queue = bench.queue(bench.sender())
    for number in range(20):
        await queue.enqueue(ready(receiver.url("/r"), number), dedup_key=f"key-{number}")
    async with bench.sending(bench.sender("one")), bench.sending(bench.sender("two")):
        await bench.wait_for(CallbackState.DONE, 20)
    assert len(receiver.received) == 20


async def test_what_a_dead_appliance_was_sending_is_sent_by_another(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    await bench.queue(bench.sender()).enqueue(ready(receiver.url("/r")), dedup_key="key")
    assert await claim(bench.rows, "dead", lease_s=0.5)
    async with bench.sending(bench.sender()):
        await bench.wait_for(CallbackState.DONE, 1)
    assert len(receiver.received) == 1


async def test_sender_that_stops_leaves_its_work_to_the_next(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/hang")), dedup_key="key")
        await receiver.wait(1)
    (left,) = await bench.rows.show(None, 10)
    assert (left.state, left.attempts, left.sending) == (CallbackState.PENDING, 0, False)


class Hanging:
    """A client whose calls never end."""

    def __init__(self) -> None:
        self.called = trio.Event()

    async def send(self, *_: object) -> int:
        """Hang."""
        self.called.set()
        await trio.sleep_forever()
        raise AssertionError


async def test_long_call_keeps_its_claim(bench: CallbackBench) -> None:
    client: Any = Hanging()
    bench.tools = replace(bench.tools, client=client)
    renewed = "SELECT 1 FROM appliance.callbacks WHERE claimed_until > now() + interval '30 s'"
    async with bench.sending(replace(bench.sender(), lease_s=60.0)) as queue:
        await queue.enqueue(ready("http://receiver.example/"), dedup_key="key")
        with trio.fail_after(WITHIN_S):
            await client.called.wait()
            await bench.database.execute(
                "UPDATE appliance.callbacks SET claimed_until = now() + interval '20 s'"
            )
            while not await bench.database.fetchrow(renewed):
                await trio.sleep(0.01)


async def test_claim_that_ran_out_under_way_is_not_sent_twice(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    """As it happens when the database is away for longer than the lease."""
    bench.wait_no_longer_than(0.5)
    async with bench.sending(replace(bench.sender(), lease_s=1000.0)) as queue:
        await queue.enqueue(ready(receiver.url("/hang")), dedup_key="key")
        await receiver.wait(1)
        await bench.database.execute("UPDATE appliance.callbacks SET claimed_until = now()")
        await until(lambda: bool(bench.log.named("callback_retried")), WITHIN_S)
        while not (left := (await bench.rows.show(None, 1))[0]).attempts:
            await trio.sleep(0.01)
    assert (len(receiver.received), left.attempts) == (1, 1)
    assert bench.log.errors == []


async def test_callback_that_breaks_the_sender_is_set_aside(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    def break_down(_: object) -> int:
        raise RuntimeError("a defect")

    bench.tools = replace(bench.tools, now_ms=lambda: break_down(None))
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/r")), dedup_key="key")
        await until(lambda: bool(bench.log.named("callback_retried")), WITHIN_S)
    assert [event for event, _ in bench.log.errors] == ["callback_broke"]


async def test_sender_waits_for_a_database_that_is_away(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    await bench.database.close_pool()
    async with bench.sending(bench.sender()) as queue:
        await queue.enqueue(ready(receiver.url("/r")), dedup_key="key")
        await bench.wait_for(CallbackState.DONE, 1, bench.buffer)
    assert bench.log.errors == []


async def test_sender_notices_that_the_clock_was_set_back(
    bench: CallbackBench, receiver: CallbackReceiver
) -> None:
    receiver.answer = lambda _: 503
    sender = replace(bench.sender(), postponed_interval_s=0.05)
    async with bench.sending(sender) as queue:
        await queue.enqueue(ready(receiver.url("/ready")), dedup_key="key")
        await until(lambda: bool(bench.log.named("callback_retried")), WITHIN_S)
        while not (await bench.rows.show(None, 1))[0].attempts:
            await trio.sleep(0.01)
        receiver.answer = lambda _: 200
        # As seen by a clock that is an hour behind.
        postpone = "UPDATE appliance.callbacks SET next_at = next_at + interval '1 hour'"
        await bench.database.execute(postpone)

        (sent,) = await bench.wait_for(CallbackState.DONE, 1)

    assert sent.attempts == 2
