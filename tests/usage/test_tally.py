"""How polls are added up: user-minutes, peaks, ends, gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import ListedRecord, ServerId
from appliance.usage.model import (
    MINUTE_MS,
    EndedRun,
    EndNote,
    Finished,
    Gap,
    ServerUsage,
    UsageRun,
)
from appliance.usage.tally import Poll, close_lost, end_run, gap_limit_ms, observe

START_MS = 1_760_918_400_000
LIMIT_MS = gap_limit_ms(60)


def listed(
    users: int, created_ms: int = START_MS, id: str = "room", **fields: Any
) -> ListedMeeting:
    fields = {"is_breakout": False, **fields}
    return ListedMeeting(id, created_ms, users, 0, fields.pop("videos", 0), **fields)


def poll(state: ServerUsage, minutes: float, *meetings: ListedMeeting) -> Finished:
    """Poll `minutes` after the start; the state goes through JSON, as it does between polls."""
    at_ms = START_MS + round(minutes * MINUTE_MS)
    records = {one.id: ListedRecord("", START_MS, one.create_time_ms) for one in meetings}
    found = observe(state, Poll("bbb", "blue", at_ms, meetings, records, LIMIT_MS))
    again = msgspec.json.decode(msgspec.json.encode(state), type=ServerUsage)
    assert again == state
    return found


def note(minutes: float = 0, created: int = START_MS) -> EndNote:
    return EndNote(ServerId("bbb"), "room", "", START_MS, created)


def test_users_count_from_the_create_to_the_middle_of_the_last_interval() -> None:
    state = ServerUsage()
    poll(state, 0)
    for minute in (1, 2, 3):
        poll(state, minute, listed(10))
    (ended,) = poll(state, 4).entries

    assert isinstance(ended, EndedRun)
    assert ended.run.user_ms == (5 + 10 + 10 + 5) * MINUTE_MS
    assert (ended.ended_ms, ended.noticed) == (START_MS + 3.5 * MINUTE_MS, "poll")
    assert (ended.run.peak_users, ended.run.tag) == (10, "blue")
    assert ended.run.internal_id.endswith(f"-{START_MS}")


def test_reported_end_closes_a_run_at_once_and_only_once() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    at_ms = START_MS + round(1.5 * MINUTE_MS)
    (ended,) = end_run(state, note(), at_ms).entries

    assert isinstance(ended, EndedRun)
    assert (ended.ended_ms, ended.noticed) == (at_ms, "reported")
    assert end_run(state, note(), at_ms).entries == []
    # BBB may list a meeting for some time after its end.
    assert poll(state, 2, listed(10)).entries == []
    assert poll(state, 3).entries == []
    assert (state.runs, state.ended) == ([], [])


def test_run_that_no_poll_has_seen_is_recorded_when_its_end_is_reported() -> None:
    state = ServerUsage(polled_ms=START_MS - 1000)
    (ended,) = end_run(state, note(), START_MS + 30_000).entries

    assert isinstance(ended, EndedRun)
    assert (ended.run.began_ms, ended.run.user_ms) == (START_MS, 0)


def test_report_after_a_poll_has_noticed_the_end_counts_nothing() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    assert len(poll(state, 2).entries) == 1

    assert end_run(state, note(), START_MS + 2 * MINUTE_MS).entries == []
    poll(state, 60)
    assert state.closed == {}


def test_new_run_of_a_meeting_ends_the_one_before() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    (ended,) = poll(state, 2, listed(3, START_MS + 90_000)).entries

    assert isinstance(ended, EndedRun)
    assert (ended.run.created, len(state.runs)) == (START_MS, 1)


def test_gap_is_recorded_and_nothing_counts_in_it() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    entries = poll(state, 61, listed(10), listed(4, START_MS + MINUTE_MS * 30, "new")).entries
    (ended, other) = poll(state, 62).entries

    assert entries == [Gap("bbb", START_MS + MINUTE_MS, START_MS + 61 * MINUTE_MS)]
    assert isinstance(ended, EndedRun)
    assert isinstance(other, EndedRun)
    assert ended.run.gap_ms == 60 * MINUTE_MS
    assert ended.run.user_ms == (5 + 5) * MINUTE_MS
    assert (other.run.gap_ms, other.run.user_ms) == (31 * MINUTE_MS, 2 * MINUTE_MS)


def test_gap_of_an_idle_server_is_none() -> None:
    state = ServerUsage()
    poll(state, 1)

    assert poll(state, 600).entries == []


def test_restart_of_the_appliance_is_no_gap() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))

    assert poll(state, 5, listed(10)).entries == []
    assert state.runs[0].user_ms == (5 + 40) * MINUTE_MS


def test_run_on_a_lost_server_is_written_and_goes_on_if_the_server_comes_back() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    (lost,) = close_lost(state, "bbb").entries

    assert isinstance(lost, EndedRun)
    assert (lost.noticed, lost.ended_ms) == ("lost", START_MS + MINUTE_MS)
    assert close_lost(state, "bbb").entries == []
    poll(state, 30, listed(10))
    (_,) = poll(state, 31).entries
    poll(state, 32, listed(2, START_MS + 31 * MINUTE_MS))
    close_lost(state, "bbb")
    assert poll(state, 60).entries == []


@pytest.mark.parametrize("marks", ["", "true"])
def test_lost_run_that_is_ended_later_has_ended_at_the_last_poll(marks: str) -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    close_lost(state, "bbb")
    end = replace(note(), marks=marks)

    (ended,) = end_run(state, end, START_MS + 700 * MINUTE_MS).entries

    assert isinstance(ended, EndedRun)
    minutes = (ended.ended_ms - START_MS) // MINUTE_MS
    assert (ended.noticed, minutes) == (("reported", 700) if marks else ("lost", 1))


def test_run_that_is_not_listed_for_a_moment_goes_on() -> None:
    """As its row is written again at its end, which then replaces what was written before."""
    state = ServerUsage()
    for minute in (1, 2, 3):
        poll(state, minute, listed(10, recorded=True))
    (first,) = poll(state, 4).entries
    resumed = poll(state, 5, listed(10, recorded=True))
    poll(state, 6, listed(10, recorded=True))
    found = poll(state, 7)
    (second,) = found.entries

    assert isinstance(first, EndedRun)
    assert isinstance(second, EndedRun)
    assert resumed.debts == {second.run.internal_id: 0}
    assert found.debts == {second.run.internal_id: second.ended_ms}
    # Half a minute in which it was not listed is missing.
    assert second.run.user_ms == (5 + 10 + 10 + 5 + 10 + 10 + 5) * MINUTE_MS
    assert second.run.began_ms == first.run.began_ms
    poll(state, 60)
    assert (state.closed, state.stopped) == ({}, {})


def test_reported_end_of_a_run_that_was_not_listed_for_a_moment_counts_once() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    poll(state, 2)
    poll(state, 3, listed(10))
    (ended,) = end_run(state, note(), START_MS + 4 * MINUTE_MS).entries

    assert isinstance(ended, EndedRun)
    assert (ended.noticed, state.runs, state.stopped) == ("reported", [], {})
    assert poll(state, 5, listed(10)).entries == []
    assert state.runs == []


def test_breakout_rooms_have_runs_but_do_not_count() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10), listed(5, id="group", is_breakout=True, parent_id="p"))
    found = poll(state, 2, listed(10), listed(5, id="group", is_breakout=True, parent_id="p"))

    assert [one.tenants[""].users for one in found.minutes if one.minute % 2] == [10]
    assert {run.id: run.breakout_of for run in state.runs} == {"room": "", "group": "p"}


def test_names_are_kept_only_if_asked_for() -> None:
    for keep in (False, True):
        state = ServerUsage()
        one = listed(1, name="Physics", origin="Moodle")
        observe(state, Poll("bbb", "", START_MS, [one], {}, LIMIT_MS, keep))
        assert (state.runs[0].name, state.runs[0].origin) == ("Physics" if keep else "", "Moodle")


def test_poll_with_an_earlier_time_than_the_last_counts_nothing() -> None:
    state = ServerUsage()
    poll(state, 1, listed(10))
    poll(state, 0.5, listed(20))

    assert (state.polled_ms, state.runs[0].user_ms) == (START_MS + MINUTE_MS, 5 * MINUTE_MS)


def test_clock_that_was_set_back_by_an_hour_does_not_stop_the_count() -> None:
    state = ServerUsage()
    poll(state, 60, listed(10, START_MS + 59 * MINUTE_MS))
    for minute in (1, 2, 3):
        poll(state, minute, listed(10, START_MS + 59 * MINUTE_MS))

    assert state.polled_ms == START_MS + 3 * MINUTE_MS
    assert state.runs[0].user_ms == (5 + 20) * MINUTE_MS


@pytest.mark.parametrize("gap", [False, True])
@given(st.lists(st.tuples(st.integers(1, 240), st.integers(0, 50), st.booleans()), max_size=12))
def test_minutes_add_up_to_the_runs(gap: bool, steps: list[tuple[int, int, bool]]) -> None:
    state, at, minutes = ServerUsage(), 0.0, []
    runs: dict[int, UsageRun] = {}
    for seconds, users, present in steps:
        at += seconds / 60 + (30 if gap and not users % 5 else 0)
        found = poll(state, at, *([listed(users, dial_in=users // 2)] if present else []))
        runs |= {id(one.run): one.run for one in found.entries if isinstance(one, EndedRun)}
        minutes += found.minutes
    found = close_lost(state, "bbb")
    runs |= {id(one.run): one.run for one in found.entries if isinstance(one, EndedRun)}
    sums = [sums for one in (*minutes, *found.minutes) for sums in one.tenants.values()]

    # A run that is listed, not listed and listed again is written twice, the first time replaced.
    last = runs.values()
    assert sum(one.user_ms for one in sums) == pytest.approx(sum(run.user_ms for run in last))
    assert sum(one.dial_in_ms for one in sums) == pytest.approx(sum(run.dial_in_ms for run in last))
    assert len({one.minute for one in minutes}) == len(minutes)
