"""The samples of the last day."""

from __future__ import annotations

import math

from appliance.console.history import DAY_MIN, HOUR_MIN, STEP_MIN, History, PoolMinute
from appliance.model import Server, ServerId


def server(number: int, users: int, *, online: bool = True) -> Server:
    """Return a server with users."""
    return Server(ServerId(f"bbb{number}"), "https://bbb", "s", users=users, online=online)


def test_history_adds_servers_up_and_counts_what_is_new() -> None:
    history = History()
    history.add(100, [server(1, 5), server(2, 7)], refused=10, errors=3)
    history.add(101, [server(1, 6), server(2, 7)], refused=12, errors=3)
    history.add(103, [server(1, 6)], refused=0, errors=4)  # the counter started again from zero

    assert history.day("users")[-4:-2] == [12, 13]
    assert math.isnan(history.day("users")[-2])
    assert [value for value in history.day("refused") if value == value] == [0, 2, 0]
    assert [value for value in history.day("errors") if value == value] == [0, 0, 1]


def test_refused_creates_are_counted_for_an_hour() -> None:
    history = History()
    assert history.refused_lately() == 0
    for minute, refused in ((100, 0), (101, 4), (130, 9), (161, 10)):
        history.add(minute, [], refused=refused, errors=0)

    assert history.refused_lately() == 5 + 1
    assert len(history.pool) == 4


def test_history_is_bounded_and_forgets_servers_that_are_gone() -> None:
    history = History()
    for minute in range(2 * DAY_MIN):
        history.add(minute, [server(1, 1)], refused=0, errors=0)

    assert len(history.pool) == len(history.day("users")) == DAY_MIN
    assert len(history.hour_of("bbb1")) == HOUR_MIN
    assert len(history.day_of("bbb1")[0]) == DAY_MIN // STEP_MIN
    history.add(2 * DAY_MIN, [server(2, 1)], refused=0, errors=0)
    assert history.hour_of("bbb1") == ()


def test_server_that_does_not_answer_leaves_a_gap() -> None:
    history = History()
    history.add(100, [server(1, 5, online=False)], refused=0, errors=0)

    assert math.isnan(history.hour_of("bbb1")[0])


def test_older_minutes_come_before_those_that_were_sampled() -> None:
    history = History()
    history.add(100, [server(1, 5)], refused=0, errors=0)
    older = [PoolMinute(minute, minute, 0, 0, 0) for minute in range(100 - DAY_MIN, 103)]

    history.begin_with(older)

    assert len(history.pool) == DAY_MIN
    assert history.day("users")[-3:] == [98, 99, 5]
