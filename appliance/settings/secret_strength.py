"""Judges whether a secret can be guessed. Pure; no reason quotes any part of the secret."""

from __future__ import annotations

from dataclasses import dataclass

GOOD_LENGTH = 24
"""More than 128 bits, of random letters and digits."""
MIN_LENGTH = 16
_MIN_DIFFERENT_CHARACTERS = 6

_COMMON_WORDS = frozenset(
    {
        *("secret", "password", "passwort", "changeme", "change", "admin", "scalelite", "test"),
        *("bigbluebutton", "example", "default", "demo", "foobar", "letmein", "loadbalancer"),
    }
)
PUBLISHED = frozenset(
    {
        # From the API reference of BigBlueButton and the documentation of Scalelite.
        "639259d4-9dd8-4b25-bf01-95f9567eaf4b",
        "8cd8ef52e8e101574e400365b55e11a6",
        "bbb-secret",
        "1bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
        "2bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
        "3bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
    }
)
"""Example secrets from public documentation, which an attacker tries first."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """A reason to replace a secret."""

    reason: str
    """Predicate that completes a sentence about the secret: `is a common word`."""
    guessable: bool
    """False: the secret is only shorter than recommended."""


def find_weakness(secret: str) -> Weakness | None:
    """Return the worst weakness of a secret, or None if it is strong."""
    plain = secret.strip().lower()
    if plain in PUBLISHED:
        return Weakness("is an example from public documentation", guessable=True)
    if plain.strip("0123456789-_.!") in _COMMON_WORDS:
        return Weakness("is a common word", guessable=True)
    if len(set(secret)) < _MIN_DIFFERENT_CHARACTERS:
        return Weakness("consists of very few different characters", guessable=True)
    if len(secret) < MIN_LENGTH:
        return Weakness(f"has {len(secret)} characters and can be guessed", guessable=True)
    if len(secret) < GOOD_LENGTH:
        return Weakness(f"has only {len(secret)} characters", guessable=False)
    return None
