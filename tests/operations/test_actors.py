"""Who made a change, as the log shows it."""

from __future__ import annotations

from appliance.operations.actors import local_actor


def test_local_actor_has_uid_and_name() -> None:
    assert local_actor(1000, "alice") == "uid 1000 (alice)"
    assert local_actor(4711, None) == "uid 4711"
