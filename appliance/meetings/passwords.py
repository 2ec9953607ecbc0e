"""The attendee password of a meeting whose front-end gave none.

BBB 3.0 takes a repeated create for the same meeting only if both passwords are the same again.
Since we always send a moderator password, an attendee password must go with it, or the second
create of the same meeting is refused as `idNotUnique`. Derived, so that nothing more is stored.
"""

from __future__ import annotations

import hashlib

_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LENGTH = 12


def attendee_password(meeting_id: str, moderator_pw: str) -> str:
    """Return the attendee password that belongs to a moderator password.

    Who knows the moderator password can compute it; the other way round nobody can.
    """
    digest = hashlib.sha256(f"attendee\0{meeting_id}\0{moderator_pw}".encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:LENGTH])
