"""Which keys of Redis a backup has."""

from __future__ import annotations

import re

from appliance.backup.keys import is_taken
from tests.doubles.redis_layout import KINDS

_KEPT = {"callback urls of"}
"""Strings that are there for days."""


def test_strings_that_expire_are_in_no_backup() -> None:
    keys = {
        kind.name: re.sub(r"\([^)]*\)", "x", kind.pattern)
        for kind in KINDS
        if kind.type == "string" and kind.expires
    }

    assert {name for name, key in keys.items() if is_taken(key, ())} == _KEPT
