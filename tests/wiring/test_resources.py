"""What every operation is handed: passwords."""

from __future__ import annotations

import string

from appliance.wiring import resources


def test_passwords_are_eight_random_alphanumerics() -> None:
    made = {resources._new_password() for _ in range(200)}

    assert len(made) == 200
    assert {len(password) for password in made} == {8}
    assert set("".join(made)) <= set(string.ascii_letters + string.digits)
