"""What getRecordings asks for: a filter that cannot match means nothing, never everything."""

from __future__ import annotations

import pytest

from appliance.recordings.filter import RecordingFilter, read_filter, split_ids
from appliance.recordings.recording import RecordingStates


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ((), RecordingFilter()),
        ((("meetingID", ""), ("recordID", ""), ("state", "")), RecordingFilter()),
        ((("meetingID", "a,b,a"),), RecordingFilter(meeting_ids=("a", "b"))),
        ((("meetingID", "a, b"),), RecordingFilter(meeting_ids=("a", "b"))),
        ((("recordID", "x,"),), RecordingFilter(record_id_prefixes=("x",))),
        ((("recordID", "%,_"),), RecordingFilter(record_id_prefixes=("%", "_"))),
        ((("state", "deleted,published"),), RecordingFilter(states=("deleted", "published"))),
        ((("state", "published,any"),), RecordingFilter(states=None)),
        ((("meta_a", "1"),), RecordingFilter(metadata=(("a", "1"),))),
        ((("meta_A", "1,2"),), None),
        ((("offset", "5"), ("limit", "10")), RecordingFilter(offset=5, limit=10, paged=True)),
        ((("offset", "-5"), ("limit", "ten")), RecordingFilter()),
        ((("offset", "9" * 18),), RecordingFilter(offset=2**53, paged=True)),
        ((("offset", "9" * 5000),), RecordingFilter(offset=2**53, paged=True)),
        ((("limit", "0" * 5000 + "7"),), RecordingFilter(limit=7, paged=True)),
        ((("offset", "0"), ("limit", "x")), RecordingFilter(paged=True)),
        ((("limit", "٣"),), RecordingFilter()),
    ],
)
def test_filter_is_read(
    params: tuple[tuple[str, str], ...], expected: RecordingFilter | None
) -> None:
    if expected is None:
        expected = RecordingFilter(metadata=(("A", "1"), ("a", "1"), ("A", "2"), ("a", "2")))
    assert read_filter(params, None) == expected


def test_filter_carries_the_tenant() -> None:
    assert read_filter((), "t-1").tenant_id == "t-1"


def test_default_states_are_published_and_unpublished() -> None:
    assert read_filter((), None).states == RecordingStates.LISTED == ("published", "unpublished")


@pytest.mark.parametrize(
    ("params", "nothing"),
    [
        ((), False),
        ((("meetingID", ","),), True),
        ((("recordID", " , "),), True),
        ((("recordID", "a\0"),), True),
        ((("state", ","),), True),
        ((("meta_a", "x\0"),), True),
        ((("meta_a", ""),), False),
        ((("limit", "0"),), True),
        ((("meetingID", "a"), ("recordID", ",")), True),
    ],
)
def test_filter_of_nothing_matches_nothing(
    params: tuple[tuple[str, str], ...], nothing: bool
) -> None:
    assert read_filter(params, None).matches_nothing is nothing


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ((), False),
        ((("meta_a", "1"), ("state", "any")), False),
        ((("meetingID", ""),), False),
        ((("meetingID", "a"),), True),
        ((("recordID", "a"),), True),
    ],
)
def test_filter_names_recordings(params: tuple[tuple[str, str], ...], named: bool) -> None:
    assert read_filter(params, None).names_recordings is named


def test_ids_are_split() -> None:
    assert split_ids("b,a, b ,,") == ("b", "a")
    assert split_ids(None) == split_ids(",") == ()


def test_tenants_meetings_are_looked_for_under_both_ids() -> None:
    wanted = read_filter((("meetingID", "a,b"),), "t-1")
    assert wanted.meeting_ids == ("a", "b", "a~t-1", "b~t-1")
    assert read_filter((("meetingID", ","),), "t-1").matches_nothing
    assert read_filter((), "t-1").meeting_ids is None
