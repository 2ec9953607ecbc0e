"""The texts of refusals are what the operator reads."""

from __future__ import annotations

from appliance.admin_calls.refusal import RefusalKind, no_meeting, no_server


def test_unknown_things_are_named() -> None:
    assert str(no_server("x")) == "Couldn't find server with id=x"
    assert str(no_meeting("y")) == "no meeting with id y"
    assert no_server("x").kind is no_meeting("y").kind is RefusalKind.NOT_FOUND
