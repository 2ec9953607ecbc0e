"""The shape of the traces, and that they are reproducible."""

from __future__ import annotations

import pytest

from appliance.simulation.traces import (
    CAMERA_CAP,
    DAY_MS,
    HOUR_MS,
    JOIN_WINDOW_MS,
    MINUTE_MS,
    TRACES,
    with_cameras,
)


@pytest.mark.parametrize("name", TRACES)
def test_trace_is_the_same_for_the_same_seed(name: str) -> None:
    make = TRACES[name]

    assert make(7, True) == make(7, True)
    assert make(7, True) != make(8, True)


@pytest.mark.parametrize("name", TRACES)
def test_sessions_are_joined_within_ten_minutes_and_left_afterwards(name: str) -> None:
    for session in TRACES[name](1, True).sessions:
        first, last = session.joins_ms[0], session.joins_ms[-1]
        assert session.created_ms < first
        assert last <= session.created_ms + JOIN_WINDOW_MS + 2 * MINUTE_MS
        assert last < session.leaves_ms[0]
        assert len(session.leaves_ms) == session.size >= 2
        assert session.joins_ms == tuple(sorted(session.joins_ms))


def test_timetable_creates_hundreds_in_the_minute_after_the_full_hour() -> None:
    trace = TRACES["timetable"](1, False)
    hour_ms = DAY_MS + 9 * HOUR_MS

    burst = [s for s in trace.sessions if hour_ms <= s.created_ms < hour_ms + MINUTE_MS]

    assert 120 < len(burst) < 220


def test_timetable_has_most_classes_on_both_days() -> None:
    trace = TRACES["timetable"](1, False)
    first = {s.id for s in trace.sessions if s.created_ms < DAY_MS}
    second = {s.id for s in trace.sessions if s.created_ms > DAY_MS}

    assert 0.8 < len(first & second) / len(second) < 1


@pytest.mark.parametrize("name", TRACES)
def test_classes_keep_their_habit_of_cameras(name: str) -> None:
    trace = TRACES[name](5, True)
    seen = with_cameras(trace, 5)

    assert with_cameras(trace, 5) == seen
    shares: dict[str, list[float]] = {}
    for session in seen.sessions:
        assert 1 <= session.cameras <= min(session.size, CAMERA_CAP)
        assert sum(map(session.has_camera, range(session.size))) == session.cameras
        if session.size >= 10:
            shares.setdefault(session.id, []).append(session.cameras / session.size)
    pairs = [pair for pair in shares.values() if len(pair) == 2]
    assert sum(abs(one - other) for one, other in pairs) / len(pairs) < 0.1
    assert sum(one < 0.15 for one, _ in pairs) > len(pairs) / 4
    assert sum(one > 0.5 for one, _ in pairs) > len(pairs) / 20
