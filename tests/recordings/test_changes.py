"""What updateRecordings may change."""

from __future__ import annotations

import pytest

from appliance.bbb.params import Params
from appliance.recordings.changes import RecordingChanges, read_changes, read_switch


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ((), RecordingChanges()),
        ((("recordID", "a"), ("name", "x")), RecordingChanges()),
        ((("meta_a", "1"), ("meta_B-c.d", "")), RecordingChanges((("a", "1"), ("b-c.d", "")))),
        ((("meta_a", "1"), ("meta_A", "2")), RecordingChanges((("a", "2"),))),
        ((("meta_a", "x\x00\x07y\ufffe"),), RecordingChanges((("a", "xy"),))),
        ((("meta_good", "1"), ("meta_b=d", ""), ("meta_", "")), RecordingChanges((("good", "1"),))),
        ((("meta_tenant-id", "x"), ("meta_good", "1")), RecordingChanges((("good", "1"),))),
        ((("meta_é", "1"),), RecordingChanges((("é", "1"),))),
        ((("protect", "true"),), RecordingChanges(protected=True)),
        ((("protect", "FALSE"),), RecordingChanges(protected=False)),
        ((("protect", ""),), RecordingChanges()),
    ],
)
def test_changes_are_read(params: Params, expected: RecordingChanges) -> None:
    changes = read_changes(params)

    assert changes == expected
    assert expected.empty is (expected == RecordingChanges())


@pytest.mark.parametrize(
    "params",
    [
        (("meta_", "1"),),
        (("meta_1st", "1"),),
        (("meta_a b", "1"),),
        (("meta_a<b", "1"),),
        (("meta_a:b", "1"),),
        (("meta_a\0", "1"),),
        (("meta_tenant-id", "other"),),
        (("meta_Tenant-Name", "other"),),
    ],
)
def test_impossible_keys_are_skipped(params: Params) -> None:
    assert read_changes(params) == RecordingChanges()


def test_changes_are_refused_for_an_unknown_protection() -> None:
    assert read_changes((("meta_a", "1"), ("protect", "yes"))) is None


def test_switch_is_true_or_false_and_nothing_else() -> None:
    assert [read_switch(text) for text in ("true", " False ", "1", "", None)] == [
        True,
        False,
        None,
        None,
        None,
    ]
