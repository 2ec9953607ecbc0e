"""What features are given: passwords."""

from __future__ import annotations

import string

from appliance.wiring import features


def test_passwords_are_eight_random_alphanumerics() -> None:
    made = {features._new_password() for _ in range(200)}

    assert len(made) == 200
    assert {len(password) for password in made} == {8}
    assert set("".join(made)) <= set(string.ascii_letters + string.digits)
