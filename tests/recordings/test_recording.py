"""Ids that become paths, and whose a recording is."""

from __future__ import annotations

import pytest

from appliance.recordings.recording import is_format, is_record_id
from tests.doubles.recordings import make_recording


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("5573e39b-1700000000154", True),
        ("A_b-9", True),
        ("a" * 255, True),
        ("a" * 256, False),
        ("", False),
        ("..", False),
        ("a/b", False),
        ("a\n", False),
        ("ä", False),
    ],
)
def test_record_id_is_checked(text: str, fits: bool) -> None:
    assert is_record_id(text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [("presentation", True), ("video_2-x", True), ("Video", False), ("", False), ("a" * 65, False)],
)
def test_format_is_checked(text: str, fits: bool) -> None:
    assert is_format(text) is fits


@pytest.mark.parametrize(
    ("metadata", "tenant_id"),
    [((), None), ((("tenant-id", "t"),), "t"), ((("tenant-id", ""),), None)],
)
def test_tenant_is_in_the_metadata(
    metadata: tuple[tuple[str, str], ...], tenant_id: str | None
) -> None:
    assert make_recording(metadata=metadata).tenant_id == tenant_id
