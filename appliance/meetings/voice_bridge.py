"""Which voice bridge numbers a meeting asks for, in order.

Draws the numbers only; which of them is free is decided where they are reserved (Lua).
Truth: Scalelite draws with Ruby's Random, seeded with the meeting id; people keep the numbers in
their calendars, so a migrated pool must draw the same ones. Ruby's algorithms: `random.c`
(rand_init, limited_rand); test vectors in tests/data/voice-bridges.json.
"""

from __future__ import annotations

import hashlib
import struct
from random import Random

# Core has no randomness, and there is none here: a generator of our own, always seeded with an
# argument, is a pure function. CPython documents `Random` as MT19937, and an integer seed takes
# the same way (init_by_array over its 32-bit words, lowest first) as Ruby's. Seeding takes 4 us in
# C and, measured, 365 us in Python, on the path of every create.

_TEST_BRIDGE = "99999"
"""BBB's own echo test listens there."""

_MAX_EXTERNAL_DIGITS = 15
"""E.164: no telephone number is longer."""


def candidates(
    meeting_id: str, length: int, count: int = 10, external: str | None = None
) -> tuple[str, ...]:
    """Return the voice bridge numbers to try for a meeting, best first.

    `meeting_id` is the front-end's (never a tenant's scoped one), `length` the number of digits
    (at least 1). `external` is the front-end's wish: it comes first if it is a number of 1 to 15
    digits, otherwise it is ignored. `count` includes it.
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
        # Scalelite: `unpack('QQ')`, the first word being the high half.
        high, low = struct.unpack_from("<QQ", digest)
        self._random = Random(high << 64 | low)
        self._digits = ""
        """Drawn for 0..9 and not used yet."""

    def number(self, length: int) -> str:
        """Draw one digit of 1..9 and `length - 1` of 0..9."""
        # Ruby masks each 32-bit output to as many low bits as the span of the range needs (four
        # for a span of 8 and of 9), and draws again while that is out of the range: for the first
        # digit from nine on, for the others from ten on.
        digits = self._digits.lstrip("9")
        while len(digits) < length:
            digits = (digits + self._more()).lstrip("9")
        self._digits = digits[length:]
        return chr(ord(digits[0]) + 1) + digits[1:length]

    def _more(self) -> str:
        # Many outputs in one call: every fourth byte is the low byte of one.
        block = self._random.randbytes(4 * _OUTPUTS)[::4]
        return block.translate(_DIGITS, delete=_TOO_LARGE).decode("ascii")


_OUTPUTS = 176
"""For ten numbers of nine digits, mostly."""
_DIGITS = bytes(ord("0") + (byte & 15) for byte in range(256))
_TOO_LARGE = bytes(byte for byte in range(256) if byte & 15 > 9)
