"""Whether a secret can be guessed. Pure; no reason quotes any of it."""

from __future__ import annotations

from appliance.doctor.findings import Level

GOOD_LENGTH = 24
"""Of random letters and digits: more than 128 bits."""
LEAST_LENGTH = 16
_LEAST_DIFFERENT = 6

_WORDS = frozenset(
    {
        *("secret", "password", "passwort", "changeme", "change", "admin", "scalelite", "test"),
        *("bigbluebutton", "example", "default", "demo", "foobar", "letmein", "loadbalancer"),
    }
)
PUBLISHED = frozenset(
    {
        # The examples of BigBlueButton's API page and of Scalelite's documents.
        "639259d4-9dd8-4b25-bf01-95f9567eaf4b",
        "8cd8ef52e8e101574e400365b55e11a6",
        "bbb-secret",
        "1bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
        "2bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
        "3bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
    }
)
"""Secrets that stand in documents, and are tried first."""


def judge_secret(secret: str) -> tuple[Level, str]:
    """Return how good a secret is, and what is wrong with it in words that follow its name."""
    plain = secret.strip().lower()
    if plain in PUBLISHED:
        return Level.FAIL, "is an example out of a document"
    if plain.strip("0123456789-_.!") in _WORDS:
        return Level.FAIL, "is a word that everybody tries"
    if len(set(secret)) < _LEAST_DIFFERENT:
        return Level.FAIL, "is made of very few different characters"
    if len(secret) < LEAST_LENGTH:
        return Level.FAIL, f"has {len(secret)} characters, which can be guessed"
    if len(secret) < GOOD_LENGTH:
        return Level.WARN, f"has only {len(secret)} characters"
    return Level.OK, ""
