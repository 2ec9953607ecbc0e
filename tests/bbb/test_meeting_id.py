"""Which meeting ids a create accepts."""

from __future__ import annotations

import pytest

from appliance.bbb.errors import FORMAT_ERROR, MISSING_MEETING_ID, SIZE_ERROR, Failure
from appliance.bbb.meeting_id import check_meeting_id


@pytest.mark.parametrize(
    ("meeting_id", "outcome"),
    [
        (None, MISSING_MEETING_ID),
        ("", MISSING_MEETING_ID),
        ("a", SIZE_ERROR),
        ("ab", None),
        ("ü" * 256, None),
        ("a" * 257, SIZE_ERROR),
        ("," * 300, SIZE_ERROR),
        ("a,b", FORMAT_ERROR),
        (",,", FORMAT_ERROR),
        ("a;b/c ?&d", None),
    ],
)
def test_meeting_id_is_checked_as_bbb_does(meeting_id: str | None, outcome: Failure | None) -> None:
    assert check_meeting_id(meeting_id) == outcome
