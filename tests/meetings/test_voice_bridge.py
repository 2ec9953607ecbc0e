"""Voice bridge numbers: the same as Scalelite's, in the same order."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.meetings.voice_bridge import candidates

DATA = Path(__file__).parents[1] / "data" / "voice-bridges.json"
VECTORS: list[dict[str, Any]] = json.loads(DATA.read_text("utf-8"))["vectors"]

WORD = 0xFFFFFFFF


def mt19937(key: list[int]) -> Iterator[int]:
    """Yield the outputs of MT19937 after init_by_array: Matsumoto and Nishimura, 2002."""
    state = [19650218]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + i) & WORD)
    for step in range(624):
        i = step % 623 + 1
        mixed = state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1664525
        state[i] = (mixed + key[step % len(key)] + step % len(key)) & WORD
        if i == 623:
            state[0] = state[623]
    for step in range(624, 624 + 623):
        i = step % 623 + 1
        state[i] = ((state[i] ^ (state[i - 1] ^ state[i - 1] >> 30) * 1566083941) - i) & WORD
        if i == 623:
            state[0] = state[623]
    state[0] = 0x80000000
    while True:
        for i in range(624):
            mixed = state[i] & 0x80000000 | state[(i + 1) % 624] & 0x7FFFFFFF
            state[i] = state[(i + 397) % 624] ^ mixed >> 1 ^ (0x9908B0DF if mixed & 1 else 0)
        for word in state:
            word ^= word >> 11
            word ^= word << 7 & 0x9D2C5680
            word ^= word << 15 & 0xEFC60000
            yield word ^ word >> 18


def reference(meeting_id: str, length: int) -> Iterator[str]:
    """Yield the numbers that Ruby's Random gives, test bridge and all."""
    seed = hashlib.sha256(meeting_id.encode()).digest()[:16]
    number = int.from_bytes(seed[:8], "little") << 64 | int.from_bytes(seed[8:], "little")
    words = mt19937([number >> shift & WORD for shift in (0, 32, 64, 96)])
    while True:
        digits = ""
        while len(digits) < length:
            lowest = 0 if digits else 1
            draw = next(words) & 15
            if draw <= 9 - lowest:
                digits += str(draw + lowest)
        yield digits


@pytest.mark.parametrize("vector", VECTORS)
def test_candidates_are_those_of_scalelite(vector: dict[str, Any]) -> None:
    first = vector["first_candidates"]

    drawn = candidates(vector["meetingID"], vector["length"])

    assert len(drawn) == 10
    assert list(drawn[: len(first)]) == first


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 15))
def test_candidates_are_those_of_the_algorithm(meeting_id: str, length: int) -> None:
    expected = (number for number in reference(meeting_id, length) if number != "99999")

    assert candidates(meeting_id, length) == tuple(itertools.islice(expected, 10))


def test_candidates_go_on_when_more_are_drawn_than_one_block_holds() -> None:
    expected = (number for number in reference("abc", 5) if number != "99999")

    assert candidates("abc", 5, 2000) == tuple(itertools.islice(expected, 2000))


def test_test_bridge_is_never_drawn() -> None:
    # An id whose first number would be the test bridge, found by search.
    assert next(reference("room-288438", 5)) == "99999"

    drawn = candidates("room-288438", 5)

    assert "99999" not in drawn
    assert len(drawn) == 10


@pytest.mark.parametrize("external", ["0", "70066", "00123", "123456789012345"])
def test_external_number_is_tried_first(external: str) -> None:
    drawn = candidates("abc", 9)

    assert candidates("abc", 9, external=external) == (external, *drawn[:9])


@pytest.mark.parametrize(
    "external", [None, "", "99999", "1234567890123456", "12a", "+49", "1 2", " 1", "1\n", "٣", "²"]
)
def test_external_number_is_ignored_when_it_cannot_be_dialled(external: str | None) -> None:
    assert candidates("abc", 9, external=external) == candidates("abc", 9)


def test_candidates_are_as_many_as_asked_for() -> None:
    assert candidates("abc", 5, 0) == ()
    assert candidates("abc", 5, 1, "123") == ("123",)
    assert len(candidates("abc", 5, 3)) == 3
