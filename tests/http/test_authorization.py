"""The Authorization header."""

from __future__ import annotations

import pytest

from appliance.http.authorization import parse_bearer


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Bearer sla_x", "sla_x"),
        ("bearer  sla_x ", "sla_x"),
        ("Bearer", ""),
        ("Basic sla_x", None),
        ("sla_x", None),
        ("", None),
        (None, None),
    ],
)
def test_bearer_is_read_from_its_header(header: str | None, secret: str | None) -> None:
    assert parse_bearer(header) == secret
