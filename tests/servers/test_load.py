"""Load and counts of a server from its meetings."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model import ListedMeeting
from appliance.servers.load import Counts, contributions, counts

NOW_MS = 1_700_000_000_000
BUFFER_MS = 900_000
OLD_MS = NOW_MS - BUFFER_MS
YOUNG_MS = OLD_MS + 1

RULES: dict[str, Any] = {
    "now_ms": NOW_MS,
    "load_multiplier": 1.0,
    "min_user_count": 15,
    "join_buffer_ms": BUFFER_MS,
    "count_moderators_twice": True,
}


def listed(
    meeting_id: str = "m",
    created_ms: int = OLD_MS,
    participants: int = 0,
    moderators: int = 0,
    videos: int = 0,
    is_breakout: bool = False,
) -> ListedMeeting:
    return ListedMeeting(meeting_id, created_ms, participants, moderators, videos, is_breakout)


@pytest.mark.parametrize(
    ("meetings", "expected", "rules", "load"),
    [
        pytest.param([], {}, {}, 0, id="no meeting"),
        pytest.param([listed(participants=7, moderators=2)], {}, {}, 9, id="moderators twice"),
        pytest.param(
            [listed(participants=7, moderators=2)],
            {},
            {"count_moderators_twice": False},
            7,
            id="moderators once",
        ),
        pytest.param([listed(created_ms=YOUNG_MS)], {}, {}, 15, id="young, not ours"),
        pytest.param([listed(created_ms=OLD_MS)], {}, {}, 0, id="old and empty"),
        pytest.param([listed(created_ms=YOUNG_MS)], {"m": 40}, {}, 40, id="young, reserved"),
        pytest.param(
            [listed(created_ms=YOUNG_MS)], {"m": 4}, {}, 4, id="young, reserved below the minimum"
        ),
        pytest.param([listed(created_ms=OLD_MS)], {"m": 40}, {}, 0, id="old, reserved"),
        pytest.param(
            [listed(created_ms=YOUNG_MS, participants=50)], {"m": 40}, {}, 50, id="young and full"
        ),
        pytest.param(
            [listed(created_ms=NOW_MS + 5000)], {}, {}, 15, id="clock of the server is ahead"
        ),
        pytest.param([listed(created_ms=0, participants=3)], {}, {}, 3, id="no create time"),
        pytest.param(
            [listed(created_ms=NOW_MS, participants=3)],
            {},
            {"join_buffer_ms": 0},
            3,
            id="no buffer",
        ),
        pytest.param(
            [listed(created_ms=YOUNG_MS, participants=99, is_breakout=True)],
            {"m": 40},
            {},
            0,
            id="breakout room",
        ),
        pytest.param(
            [listed(participants=8), listed("n", YOUNG_MS)],
            {},
            {"load_multiplier": 0.5},
            11.5,
            id="multiplier",
        ),
        pytest.param(
            [listed(participants=8), listed(participants=2)], {}, {}, 10, id="an id listed twice"
        ),
    ],
)
def test_load_follows_the_formula(
    meetings: list[ListedMeeting], expected: dict[str, int], rules: dict[str, Any], load: float
) -> None:
    assert sum(contributions(meetings, expected, **(RULES | rules)).values()) == load


def test_contributions_are_per_meeting_without_breakout_rooms() -> None:
    meetings = [
        listed("a", participants=3),
        listed("b", YOUNG_MS),
        listed("b-1", participants=3, is_breakout=True),
        listed("c"),
    ]

    assert contributions(meetings, {"b": 20}, **(RULES | {"load_multiplier": 2.0})) == {
        "a": 6.0,
        "b": 40.0,
        "c": 0.0,
    }


def test_counts_include_breakout_rooms() -> None:
    meetings = [
        listed("a", participants=3, moderators=1, videos=2),
        listed("b", participants=9, moderators=2, videos=1, is_breakout=True),
    ]

    assert counts(meetings) == Counts(meetings=2, users=12, largest_meeting=9, videos=3)


def test_counts_are_zero_when_nothing_runs() -> None:
    assert counts([]) == Counts(meetings=0, users=0, largest_meeting=0, videos=0)
