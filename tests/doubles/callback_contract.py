"""The contract of the callback queue's stores, which the tests run on each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio

from appliance.callbacks.queue_store import CallbackStore
from appliance.callbacks.rules import (
    AttemptResult,
    Callback,
    CallbackState,
    QueuedCallback,
    analytics,
    recording_ready,
)
from appliance.model import TenantId

URL = "https://lms.example.org:8443/ready?token=1"
HOST = "https://lms.example.org:8443"
WHO, OTHER = "appliance-1", "appliance-2"
LEASE_S = 60.0
DONE = AttemptResult(CallbackState.DONE, 204)


def ready(number: int = 1, url: str = URL) -> Callback:
    """Return a callback."""
    return recording_ready(url, meeting_id="math", record_id=f"rec-{number}")


async def claim(store: CallbackStore, who: str = WHO, **more: object) -> list[QueuedCallback]:
    """Claim due callbacks, with default arguments."""
    values: dict[str, object] = {"full": (), "retries": True, "limit": 10, "lease_s": LEASE_S}
    values |= more
    limit, lease_s = values.pop("limit"), values.pop("lease_s")
    return await store.claim(who, limit, lease_s, **values)  # type: ignore[arg-type]


async def keeps_a_callback_as_it_is(store: CallbackStore) -> None:
    """A claimed callback has all fields that were added; the store sets the id and the age."""
    given = [
        replace(ready(1), tenant_id=TenantId("t1"), secret_id="abcd"),
        analytics("http://h/a", b"\x00{\xff}", meeting_id="Mathe é"),
    ]
    for number, callback in enumerate(given):
        assert await store.add(callback, f"key-{number}")
    found = await claim(store)
    assert sorted((one.callback for one in found), key=lambda one: one.kind, reverse=True) == given
    assert all(0 <= one.age_s < 30 and one.attempts == 0 for one in found)
    assert {one.state for one in found} == {CallbackState.PENDING}


async def adds_each_key_once(store: CallbackStore) -> None:
    """A known key is refused, even after the callback was sent."""
    assert await store.add(ready(1), "key")
    assert not await store.add(ready(2), "key")
    (queued,) = await claim(store)
    assert await store.record_result(WHO, queued, DONE)
    assert not await store.add(ready(2), "key")
    assert await claim(store) == []


async def takes_every_key(store: CallbackStore) -> None:
    """Keys of any length and content are accepted."""
    keys = ("x" * 10_000, "x" * 10_001, "a\0b", "a\ud800", "a", "")
    assert [await store.add(ready(), key) for key in keys] == [True] * len(keys)
    assert [await store.add(ready(), key) for key in keys] == [False] * len(keys)


async def gives_each_callback_to_one_claimer(store: CallbackStore) -> None:
    """Concurrent claims get different callbacks."""
    for number in range(20):
        await store.add(ready(number), f"key-{number}")
    taken: list[str] = []

    async def take(who: str) -> None:
        for _ in range(4):
            taken.extend(one.id for one in await claim(store, who, limit=3))

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(take, f"appliance-{number}")
    assert len(taken) == len(set(taken)) == 20


async def frees_a_claim_whose_lease_ran_out(store: CallbackStore) -> None:
    """Another appliance claims the callbacks of a dead one, which can no longer record
    results."""
    await store.add(ready(), "key")
    (queued,) = await claim(store, lease_s=0.0)
    (again,) = await claim(store, OTHER)
    assert again.id == queued.id
    assert not await store.record_result(WHO, queued, DONE)
    assert await store.record_result(OTHER, again, DONE)


async def renews_claims(store: CallbackStore) -> None:
    """A claim is renewed by its owner only."""
    await store.add(ready(), "key")
    (queued,) = await claim(store, lease_s=0.0)
    await store.renew(OTHER, [queued.id], LEASE_S)
    await store.renew(WHO, [queued.id], LEASE_S)
    assert await claim(store, OTHER) == []
    assert (await store.show(None, 10))[0].sending


async def leaves_out_receivers_and_retries(store: CallbackStore) -> None:
    """A claim can exclude receivers and callbacks that were tried before."""
    await store.add(ready(1), "key-1")
    await store.add(ready(2, "http://other.example.org/x"), "key-2")
    (other,) = await claim(store, full=[HOST])
    assert other.callback.record_id == "rec-2"
    again = AttemptResult(CallbackState.PENDING, 500, "the receiver answered 500", 0.0)
    assert await store.record_result(WHO, other, again)
    (first,) = await claim(store, retries=False)
    assert first.callback.record_id == "rec-1"
    (retried,) = await claim(store)
    assert (retried.id, retried.attempts, retried.last_status) == (other.id, 1, 500)
    assert retried.last_error == "the receiver answered 500"


async def waits_for_the_next_attempt(store: CallbackStore) -> None:
    """A callback is not claimed before it is due, or made due."""
    await store.add(ready(), "key")
    (queued,) = await claim(store)
    await store.record_result(
        WHO, queued, AttemptResult(CallbackState.PENDING, None, "refused", 100.0)
    )
    assert await claim(store) == []
    (shown,) = await store.show(CallbackState.PENDING, 10)
    assert (90 < shown.wait_s <= 100, shown.sending) == (True, False)
    assert await store.make_due() == 1
    (due,) = await claim(store)
    assert due.attempts == 1


async def retries_and_drops_by_hand(store: CallbackStore) -> None:
    """Failed callbacks can be retried from the start; dropped ones are never sent."""
    for number in range(3):
        await store.add(ready(number), f"key-{number}")
    gone = AttemptResult(CallbackState.FAILED, 404, "the receiver answered 404")
    first, second, third = await claim(store)
    for queued in (first, second):
        assert await store.record_result(WHO, queued, gone)
    assert await store.record_result(WHO, third, DONE)
    assert [one.id for one in await store.show(CallbackState.DONE, 10)] == [third.id]
    assert len(await store.show(CallbackState.FAILED, 1)) == 1
    assert await store.count() == {CallbackState.FAILED: 2}
    assert sorted(await store.retry(None)) == sorted([first.id, second.id])
    assert await store.drop([second.id, third.id, "no-such", "9" * 30]) == [second.id]
    (again,) = await claim(store)
    assert (again.id, again.attempts) == (first.id, 0)
    assert await store.retry([first.id]) == []  # it is being sent
    assert await store.retry([second.id, "x"]) == [second.id]


CONTRACT: tuple[Callable[[CallbackStore], Awaitable[None]], ...] = (
    keeps_a_callback_as_it_is,
    adds_each_key_once,
    takes_every_key,
    gives_each_callback_to_one_claimer,
    frees_a_claim_whose_lease_ran_out,
    renews_claims,
    leaves_out_receivers_and_retries,
    waits_for_the_next_attempt,
    retries_and_drops_by_hand,
)
