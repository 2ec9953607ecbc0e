"""The end of a meeting in a real Redis: which run a server's report is about, and which front-ends
are notified."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.callbacks.ended_rules import EndReport, MeetingRun
from appliance.callbacks.ended_store import CLAIM_MS, EndedStore
from appliance.meetings.placement import Replaced
from appliance.model import Meeting, MeetingId, PlacementOutcome, ServerId, TenantId
from appliance.pool.records import NOTIFY_AFTER_END_MS, NOTIFY_AFTER_LOSS_MS
from tests.doubles.store_pool import MINUTE_MS, StorePool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

URL = "https://lms.example.org/ended?x=1"


async def begin(
    pool: StorePool, meeting_id: str = "m", *, created: str | None = None, **fields: Any
) -> Meeting:
    """Create a meeting as a create call does, with the front-end's URL."""
    placement = await pool.place(meeting_id, **fields)
    assert placement.meeting is not None
    run = MeetingRun(pool.now_ms, URL)
    assert await pool.store.confirm_meeting(
        placement.meeting, now_ms=pool.now_ms, run=run, created=created
    )
    begun = await pool.find(placement.meeting.id)
    assert begun is not None
    return begun


async def end(
    pool: StorePool,
    began_ms: int,
    meeting_id: str = "m",
    server: str = "a",
    marks: str | None = None,
) -> bool:
    """Say as a server that a run of a meeting has ended."""
    call = EndReport(MeetingId(meeting_id), ServerId(server), began_ms, marks)
    return await EndedStore(pool.store.redis).end_meeting(call, now_ms=pool.now_ms)


async def notified(pool: StorePool) -> list[tuple[str, str]]:
    """Take on whom to tell now, and be done with them; return (meeting id, URL)."""
    ended = EndedStore(pool.store.redis)
    claimed = await ended.claim(now_ms=pool.now_ms, at_most=10)
    await ended.drop([one.key for one in claimed])
    return [(one.meeting_id, one.target) for one in claimed]


async def test_servers_word_forgets_the_meeting_at_once_and_tells_its_front_end(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await begin(pool)
    began_ms, pool.now_ms = pool.now_ms, pool.now_ms + MINUTE_MS

    assert await end(pool, began_ms, marks="true")

    assert await pool.find("m") is None
    assert await pool.bridges() == {}
    assert await pool.load(one) == 0
    assert await notified(pool) == [("m", f"{URL}&recordingmarks=true")]
    assert not await end(pool, began_ms, marks="true")
    assert await notified(pool) == []


@pytest.mark.parametrize(
    ("began", "meeting_id", "server"), [(-1, "m", "a"), (0, "n", "a"), (0, "m", "b")]
)
async def test_word_about_another_run_or_server_changes_nothing(
    pool: StorePool, began: int, meeting_id: str, server: str
) -> None:
    await pool.add("a")
    await begin(pool)
    assert not await end(pool, pool.now_ms + began, meeting_id, server)
    assert await pool.find("m") is not None
    assert await notified(pool) == []


async def test_create_that_a_server_answers_like_the_first_is_of_the_same_run(
    pool: StorePool,
) -> None:
    await pool.add("a")
    await begin(pool, created="1000")
    first_ms, pool.now_ms = pool.now_ms, pool.now_ms + MINUTE_MS
    await begin(pool, created="1000")  # no duplicateWarning
    await begin(pool)  # not even a createTime
    assert await notified(pool) == []
    # It may call what the last create brought: then it is asked.
    assert not await end(pool, pool.now_ms)
    assert await end(pool, first_ms)
    assert await pool.find("m") is None
    assert await notified(pool) == [("m", URL)]
    assert not await end(pool, first_ms)

    await begin(pool, created="1001")
    pool.now_ms += MINUTE_MS
    await begin(pool, created="1002")
    assert await notified(pool) == [("m", URL)]  # the end of the previous one was not reported


@pytest.mark.parametrize("detached", [False, True])
async def test_front_ends_of_a_removed_servers_meetings_are_notified(
    pool: StorePool, detached: bool
) -> None:
    one = await pool.add("a")
    await begin(pool)
    if detached:
        await pool.lose(one)
    assert (await pool.store.remove_server(one, force=not detached, now_ms=0)).done
    assert await notified(pool) == [("m", URL)]


async def test_word_about_an_earlier_run_does_not_end_the_meeting_created_again(
    pool: StorePool,
) -> None:
    await pool.add("a")
    meeting = await begin(pool)
    first_ms, pool.now_ms = pool.now_ms, pool.now_ms + MINUTE_MS
    await pool.forget(meeting)
    await begin(pool)

    assert await end(pool, first_ms)  # its front-end is still to be notified
    assert await pool.find("m") is not None
    assert await notified(pool) == [("m", URL)]
    assert not await end(pool, first_ms)
    assert await pool.find("m") is not None


async def test_run_that_its_server_began_anew_ends_the_one_before(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await begin(pool)
    first_ms, pool.now_ms = pool.now_ms, pool.now_ms + MINUTE_MS
    known = await pool.place("m")
    assert known.outcome is PlacementOutcome.KNOWN
    run = MeetingRun(pool.now_ms, "https://other.example.org/")

    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms, run=run, created="1")

    assert await notified(pool) == [("m", URL)]
    assert not await end(pool, first_ms)
    assert await pool.find("m") is not None
    assert await end(pool, pool.now_ms)
    assert await notified(pool) == [("m", "https://other.example.org/")]


@pytest.mark.parametrize("earlier_ms", [-1, 1], ids=["came before", "came after"])
async def test_run_whose_create_is_answered_last_is_not_taken_for_the_latest(
    pool: StorePool, earlier_ms: int
) -> None:
    await pool.add("a")
    meeting = await begin(pool, created="1002")
    over = MeetingRun(pool.now_ms + earlier_ms, "https://other.example.org/")

    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms, run=over, created="1001")

    assert await pool.find("m") == meeting
    assert await notified(pool) == [("m", "https://other.example.org/")]
    assert not await end(pool, over.began_ms)
    assert await pool.find("m") == meeting
    assert await end(pool, pool.now_ms)
    assert await notified(pool) == [("m", URL)]


async def test_word_about_a_run_whose_create_was_not_answered_yet_does_not_end_a_later_one(
    pool: StorePool,
) -> None:
    """Its create came last, and reached the server before the other one."""
    await pool.add("a")
    meeting = await begin(pool, created="1002")
    assert not await end(pool, pool.now_ms + 1)
    assert await pool.find("m") == meeting


async def test_create_that_found_the_meeting_there_leaves_its_run(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await begin(pool)
    later = MeetingRun(pool.now_ms + 5, "https://other.example.org/")
    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms + 5, run=later, began=False)
    assert await end(pool, pool.now_ms)
    assert await notified(pool) == [("m", URL)]


async def test_meeting_whose_run_nobody_has_noted_is_not_ended_by_a_word(pool: StorePool) -> None:
    one = await pool.add("a")
    await pool.create("m", confirm=False)
    placed_ms, pool.now_ms = pool.now_ms, pool.now_ms + MINUTE_MS
    await pool.poll(one, {"m": 1})
    assert not await end(pool, placed_ms)
    assert await pool.find("m") is not None


async def test_meeting_being_created_is_not_ended(pool: StorePool) -> None:
    await pool.add("a")
    await pool.create("m", confirm=False)
    assert not await end(pool, pool.now_ms)
    assert await pool.find("m") is not None


async def test_lost_meeting_is_notified_later_and_with_the_marks_if_its_server_speaks_before(
    pool: StorePool,
) -> None:
    await pool.add("a")
    began_ms = pool.now_ms
    await pool.forget(await begin(pool))
    pool.now_ms += NOTIFY_AFTER_LOSS_MS - 1
    assert await notified(pool) == []
    assert await end(pool, began_ms, marks="false")
    assert await notified(pool) == [("m", f"{URL}&recordingmarks=false")]


async def test_lost_meeting_is_notified_once_if_its_server_never_speaks(pool: StorePool) -> None:
    await pool.add("a")
    began_ms = pool.now_ms
    await pool.forget(await begin(pool))
    pool.now_ms += NOTIFY_AFTER_LOSS_MS
    assert await notified(pool) == [("m", URL)]
    pool.now_ms += CLAIM_MS
    assert not await end(pool, began_ms)
    assert await notified(pool) == []


async def test_ended_meeting_gets_more_time_than_a_lost_one(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await begin(pool)
    assert await pool.store.forget_meeting(meeting, now_ms=pool.now_ms, even_if_creating=True)
    pool.now_ms += NOTIFY_AFTER_END_MS - 1
    assert await notified(pool) == []
    pool.now_ms += 1
    assert await notified(pool) == [("m", URL)]


async def test_claimed_meeting_is_nobody_elses_until_the_claim_has_run_out(pool: StorePool) -> None:
    await pool.add("a")
    began_ms = pool.now_ms
    await begin(pool)
    assert await end(pool, began_ms)
    ended = EndedStore(pool.store.redis)
    assert len(await ended.claim(now_ms=pool.now_ms, at_most=10)) == 1
    assert not await end(pool, began_ms)  # a repeated call does not hand it out again
    pool.now_ms += CLAIM_MS - 1
    assert await notified(pool) == []
    pool.now_ms += 1
    assert await notified(pool) == [("m", URL)]


async def test_taken_back_meeting_is_ended_by_the_word_about_its_run(pool: StorePool) -> None:
    one = await pool.add("a")
    began_ms = pool.now_ms
    await begin(pool, tenant_id=TenantId("t1"))
    await pool.lose(one)
    pool.now_ms += MINUTE_MS
    assert (await pool.poll(one, {"m": 1})).taken_back == ("m",)
    assert await end(pool, began_ms)
    assert await pool.find("m") is None
    assert await notified(pool) == [("m", URL)]


async def test_detached_meeting_is_ended_by_its_servers_word(pool: StorePool) -> None:
    one = await pool.add("a")
    began_ms = pool.now_ms
    await begin(pool)
    await pool.lose(one)
    assert await end(pool, began_ms)
    assert await pool.bridges() == {}
    assert await notified(pool) == [("m", URL)]


async def test_detached_meeting_that_is_gone_when_its_server_is_back_is_notified(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    await begin(pool)
    await pool.lose(one)
    pool.now_ms += MINUTE_MS
    await pool.poll(one, {})
    pool.now_ms += NOTIFY_AFTER_LOSS_MS
    assert await notified(pool) == [("m", URL)]


async def test_meeting_that_was_moved_is_not_notified_by_the_end_of_what_it_was_before(
    pool: StorePool,
) -> None:
    one = await pool.add("a")
    began_ms = pool.now_ms
    await begin(pool)
    await pool.lose(one)
    await pool.add("b")
    pool.now_ms += MINUTE_MS
    moved = await begin(pool)
    assert moved.server_id == "b"

    assert not await end(pool, began_ms)
    await pool.poll(one, {"m": 1})
    pool.now_ms += MINUTE_MS
    await pool.poll(one, {})
    assert await notified(pool) == []
    assert await end(pool, pool.now_ms - MINUTE_MS, server="b")
    assert await notified(pool) == [("m", URL)]


async def test_front_ends_of_a_cleared_servers_meetings_are_notified(pool: StorePool) -> None:
    one = await pool.add("a")
    await begin(pool)
    await pool.store.clear_server(one, now_ms=pool.now_ms, to_be_ended=True)
    pool.now_ms += NOTIFY_AFTER_END_MS
    assert await notified(pool) == [("m", URL)]
    pool.now_ms += 2 * MINUTE_MS
    await pool.poll(one, {})
    assert await notified(pool) == []


async def test_create_that_moved_on_to_another_server_is_notified_once(pool: StorePool) -> None:
    await pool.add("a")
    await pool.add("b", load=1)
    placed = await pool.create("m", confirm=False)
    replaced = Replaced(placed.server_id, placed.placement)
    began_ms = pool.now_ms
    moved = await begin(pool, replaces=replaced, excluded=frozenset({placed.server_id}))
    assert moved.server_id == "b"
    assert not await end(pool, began_ms)
    assert await end(pool, began_ms, server="b")
    assert await notified(pool) == [("m", URL)]


async def test_front_end_without_url_is_not_notified(pool: StorePool) -> None:
    await pool.add("a")
    meeting = await pool.create("m")
    run = MeetingRun(pool.now_ms)
    assert await pool.store.confirm_meeting(meeting, now_ms=pool.now_ms, run=run)
    assert await end(pool, pool.now_ms)
    assert await notified(pool) == []


async def test_run_that_came_back_with_its_server_is_the_same(pool: StorePool) -> None:
    one = await pool.add("a")
    await begin(pool, created="1000")
    await pool.lose(one)
    pool.now_ms += MINUTE_MS
    assert (await pool.poll(one, {"m": 1})).taken_back == ("m",)
    await begin(pool, created="1000")
    assert await notified(pool) == []


@pytest.mark.parametrize("claimed_before", [False, True])
async def test_front_end_is_notified_when_the_clock_was_set_back_an_hour(
    pool: StorePool, claimed_before: bool
) -> None:
    await pool.add("a")
    meeting = await begin(pool)
    await pool.forget(meeting)
    if claimed_before:
        pool.now_ms += NOTIFY_AFTER_END_MS
        assert await EndedStore(pool.store.redis).claim(now_ms=pool.now_ms, at_most=10)

    pool.now_ms -= 60 * MINUTE_MS

    assert await notified(pool) == [("m", URL)]
