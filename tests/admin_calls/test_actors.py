"""Who made a change, as the log shows it."""

from __future__ import annotations

from appliance.admin_calls.actors import local_actor, remote_actor


def test_local_actor_has_uid_and_name() -> None:
    assert local_actor(1000, "alice") == "uid 1000 (alice)"
    assert local_actor(4711, None) == "uid 4711"


def test_remote_actor_is_an_address_of_bounded_length() -> None:
    assert remote_actor("203.0.113.7") == "address 203.0.113.7"
    assert remote_actor("") == "address unknown"
    assert len(remote_actor("x" * 10_000)) < 100
