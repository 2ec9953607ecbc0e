"""How recordings, sizes and times are shown."""

from __future__ import annotations

import pytest

from appliance.ctl import recording_shapes as shapes


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_size_has_a_unit_that_suits(size: int, text: str) -> None:
    assert shapes.size_text(size) == text


def test_row_shows_what_is_missing_as_a_dash() -> None:
    one: dict[str, object] = {
        "record_id": "r1", "meeting_id": None, "name": "n" * 50, "state": None, "protected": True,
        "end_time": None, "start_time": "2026-11-25T10:40:07Z", "formats": [], "tenant_id": None,
    }  # fmt: skip
    assert shapes.recording_row(one) == (
        "r1", "-", "n" * 39 + "…", "-, protected", "2026-11-25 10:40", "-", "-",
    )  # fmt: skip


def test_lists_and_times_are_words() -> None:
    assert shapes.few(["a", "b"]) == "a, b"
    assert shapes.few(["a", "b", "c"], 2) == "a, b and 1 more"
    assert shapes.time_text(None) == "-"
