"""Which secrets can be guessed; no reason quotes one."""

from __future__ import annotations

import pytest

from appliance.doctor.findings import Level
from appliance.settings.secret_strength import PUBLISHED, judge_secret


@pytest.mark.parametrize(
    ("secret", "level"),
    [
        ("3f9a1c7e5b2d8046af13c2e9d7b05846f1e2d3c4b5a69788796a5b4c3d2e1f00", Level.OK),
        ("Xk29-fjP0slW-qq81mZnA7bY", Level.OK),
        ("Xk29-fjP0slW-qq81", Level.WARN),
        ("Xk29-fjP0slW-q", Level.FAIL),
        ("secret", Level.FAIL),
        ("changeme123", Level.FAIL),
        ("Scalelite!", Level.FAIL),
        ("a" * 64, Level.FAIL),
        ("abababababababababababababab", Level.FAIL),
        *((secret, Level.FAIL) for secret in sorted(PUBLISHED)),
    ],
)
def test_secret_is_judged_and_not_quoted(secret: str, level: Level) -> None:
    found, reason = judge_secret(secret)

    assert found is level
    assert secret not in reason
    assert bool(reason) == (level is not Level.OK)
