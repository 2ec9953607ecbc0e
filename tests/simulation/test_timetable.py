"""Timetables in CSV files, and the traces made from them."""

from __future__ import annotations

import pytest

from appliance.simulation.timetable import Row, TimetableError, make_trace, parse_timetable
from appliance.simulation.traces import DAY_MS, MINUTE_MS


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("start,users\n08:00,25\n", [Row(480, 50, 25)]),
        ("\ufeffusers;start\r\n25;8.15\r\n\r\n", [Row(495, 50, 25)]),
        ("Start\tMinutes\tUsers\tCount\tName\n23:59\t90\t3\t\tart\n", [Row(1439, 90, 3, 1, "art")]),
        ("start,users,cameras\n8:00,9,\n8:00,9,4\n", [Row(480, 50, 9), Row(480, 50, 9, cameras=4)]),
        ('# exported\nname,start,users\n"a,b",0:00,1\n', [Row(0, 50, 1, 1, "a,b")]),
    ],
)
def test_timetable_is_parsed(text: str, rows: list[Row]) -> None:
    assert parse_timetable(text) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("start,users\n", "no classes"),
        ("start,user\n08:00,1", "line 1: the columns must be start,users"),
        ("start\n08:00", "line 1"),
        ("start,users\n8,1", "line 2: start must be HH:MM, not '8'"),
        ("start,users\n\n24:00,1", "line 3: start"),
        ("start,users\n08:00,none", "line 2: users must be from 1 to 10000, not 'none'"),
        ("start,users\n08:00", "line 2: users"),
        ("start,users,minutes\n08:00,1,-5", "line 2: minutes"),
        ("start,users,count\n08:00,10000,10000", "more than 500000 users"),
    ],
)
def test_invalid_timetable_is_refused_with_line_and_reason(text: str, message: str) -> None:
    with pytest.raises(TimetableError, match=message):
        parse_timetable(text)


def test_trace_has_each_class_on_the_second_day_and_the_known_ones_on_the_first() -> None:
    rows = [Row(480, 45, 20, 200), Row(540, 45, 400, 3, "lecture")]

    trace = make_trace(rows, (1.0, 0.5), seed=1, known=0.9)

    first = [s for s in trace.sessions if s.created_ms < DAY_MS]
    second = [s for s in trace.sessions if s.created_ms >= DAY_MS]
    assert len(second) == 203
    assert 0.8 < len(first) / len(second) < 0.97
    assert {s.id for s in first} < {s.id for s in second}
    assert 18 < sum(s.size for s in second[:200]) / 200 < 22
    assert all(s.size > 250 for s in second[200:])
    for session in second:
        assert session.joins_ms[-1] < session.leaves_ms[0]
    assert trace.measured_from_ms == DAY_MS + 474 * MINUTE_MS
    assert make_trace(rows, (1.0, 0.5), seed=1, known=0.9) == trace


def test_trace_has_no_first_day_when_no_class_is_known() -> None:
    trace = make_trace([Row(480, 45, 20, 50)], (1.0,), seed=1, known=0)

    assert all(s.created_ms >= DAY_MS for s in trace.sessions)
