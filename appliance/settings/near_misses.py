"""Which known variable a misspelt one was meant to be.

Pure. Deliberately narrow: an environment is full of names that are not ours, and a warning at
every start about one of those would teach people not to read warnings.
"""

from __future__ import annotations

from collections.abc import Collection

_MIN_LENGTH = 8
"""Shorter names (PATH and PORT) are one slip apart by chance."""


def find_near_miss(name: str, known: Collection[str]) -> str | None:
    """Return the known name that name misspells by case, dash, word order or one slip, or None."""
    plain = name.upper().replace("-", "_").strip("_ ")
    if plain in known:
        return plain
    if len(plain) < _MIN_LENGTH:
        return None
    words = sorted(plain.split("_"))
    for candidate in sorted(known):
        if _one_slip(plain, candidate) or sorted(candidate.split("_")) == words:
            return candidate
    return None


def _one_slip(left: str, right: str) -> bool:
    """Tell whether one letter was added, lost or changed, or two neighbours were swapped."""
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
