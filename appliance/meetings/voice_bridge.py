"""The voice bridge numbers that a meeting tries, in order.

place_meeting.lua decides which of them is free. Scalelite draws them with Ruby's Random, seeded
with the meeting id, and users keep the numbers in their calendars, so a migrated pool must draw the
same ones. Source: Ruby's random.c (rand_init, limited_rand); test vectors in
tests/data/voice-bridges.json.
"""

from __future__ import annotations

import hashlib
import struct
from random import Random

# Pure although it uses `Random`: the generator is always seeded with an argument. CPython documents
# `Random` as MT19937, and initialises it from an integer seed as Ruby does (init_by_array over the
# 32-bit words, lowest first). Seeding takes 4 us in C and 365 us in Python, for every create.

_TEST_BRIDGE = "99999"
"""Number of BBB's own echo test."""

_MAX_EXTERNAL_DIGITS = 15
"""Maximum length of a telephone number (E.164)."""


def candidates(
    meeting_id: str, length: int, count: int = 10, external: str | None = None
) -> tuple[str, ...]:
    """Return the voice bridge numbers to try for a meeting, best first.

    `meeting_id` is the front-end's (never a tenant's scoped one), `length` the number of digits
    (at least 1). `external` is the number requested by the front-end: it comes first if it has 1 to
    15 digits, otherwise it is ignored. `count` includes it.
    """
    chosen = [external] if external is not None and _is_usable(external) else []
    draws = _Draws(meeting_id)
    while len(chosen) < count:
        number = draws.number(length)
        if number != _TEST_BRIDGE:
            chosen.append(number)
    return tuple(chosen)


def _is_usable(number: str) -> bool:
    return (
        number.isascii()
        and number.isdigit()
        and len(number) <= _MAX_EXTERNAL_DIGITS
        and number != _TEST_BRIDGE
    )


class _Draws:
    """Ruby's `rand(1..9)` and `rand(0..9)` from a generator seeded with a meeting id."""

    def __init__(self, meeting_id: str) -> None:
        digest = hashlib.sha256(meeting_id.encode("utf-8", "replace")).digest()
        # Scalelite: `unpack('QQ')`, with the first word as the high half.
        high, low = struct.unpack_from("<QQ", digest)
        self._random = Random(high << 64 | low)
        self._digits = ""
        """Digits 0..9 that are drawn but not used yet."""

    def number(self, length: int) -> str:
        """Draw one digit of 1..9 and `length - 1` of 0..9."""
        # Ruby masks each 32-bit output to as many low bits as the range needs (four for a range of
        # 9 or 10 values) and draws again while the result is outside the range: above 8 for the
        # first digit, above 9 for the others.
        digits = self._digits.lstrip("9")
        while len(digits) < length:
            digits = (digits + self._more()).lstrip("9")
        self._digits = digits[length:]
        return chr(ord(digits[0]) + 1) + digits[1:length]

    def _more(self) -> str:
        # Draws many outputs in one call; every fourth byte is the low byte of an output.
        block = self._random.randbytes(4 * _OUTPUTS)[::4]
        return block.translate(_DIGITS, delete=_TOO_LARGE).decode("ascii")


_OUTPUTS = 176
"""Mostly enough for ten numbers of nine digits."""
_DIGITS = bytes(ord("0") + (byte & 15) for byte in range(256))
_TOO_LARGE = bytes(byte for byte in range(256) if byte & 15 > 9)
