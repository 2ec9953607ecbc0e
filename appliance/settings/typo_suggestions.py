"""Suggests the known variable that a misspelt name stands for. Pure.

Deliberately narrow: an environment holds many names of other programs, and a false warning at every
start would teach operators to ignore warnings.
"""

from __future__ import annotations

from collections.abc import Collection

_MIN_LENGTH = 8
"""Shorter names, such as PATH and PORT, differ from each other by one letter by chance."""


def suggest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that differs only by case, dashes, word order or one typing error."""
    plain = name.upper().replace("-", "_").strip("_ ")
    if plain in known:
        return plain
    if len(plain) < _MIN_LENGTH:
        return None
    words = sorted(plain.split("_"))
    for candidate in sorted(known):
        if _differ_by_one_error(plain, candidate) or sorted(candidate.split("_")) == words:
            return candidate
    return None


def _differ_by_one_error(left: str, right: str) -> bool:
    """Return whether one letter is added, missing or changed, or two neighbours are swapped."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    left, right = left[start:], right[start:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    swapped = len(left) == 2 and left == right[::-1]
    return max(len(left), len(right)) <= 1 or swapped
