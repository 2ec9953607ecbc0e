"""What `doctor` finds: one line that says what is, and one that says what to do next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as it should, or not for long."""
    FAIL = "fail"
    """Something does not work, or what is stored is in danger."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. No text holds a secret."""

    check: str
    level: Level
    text: str
    advice: str = ""
    """What to do next; empty if all is well."""


def ok(check: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, advice: str) -> Finding:
    """Return a finding that something should be better."""
    return Finding(check, Level.WARN, text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    """Return a finding that something must be mended."""
    return Finding(check, Level.FAIL, text, advice)
