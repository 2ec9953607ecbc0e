"""Who makes an admin call: the text of the log, and the order of the roles."""

from __future__ import annotations

import pytest

from appliance.admin_calls.actors import Role, local_actor, signed_actor


def test_local_actor_has_uid_and_name_and_is_admin() -> None:
    assert local_actor(1000, "alice").who == "uid=1000 (alice)"
    assert local_actor(4711, None).who == "uid=4711"
    assert local_actor(0, "root").role is Role.ADMIN


def test_signed_actor_is_an_address_of_bounded_length() -> None:
    assert signed_actor("203.0.113.7").who == "checksum 203.0.113.7"
    assert signed_actor("").who == "checksum unknown"
    assert len(signed_actor("x" * 10_000).who) < 100


@pytest.mark.parametrize(
    ("role", "included"),
    [
        (Role.VIEWER, {Role.VIEWER}),
        (Role.OPERATOR, {Role.VIEWER, Role.OPERATOR}),
        (Role.ADMIN, {Role.VIEWER, Role.OPERATOR, Role.ADMIN}),
    ],
)
def test_role_includes_those_below_it(role: Role, included: set[Role]) -> None:
    assert {needed for needed in Role if role.includes(needed)} == included
