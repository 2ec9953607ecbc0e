"""The findings of `doctor`: level, statement, and advice. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    """It works, but not as it should, or not for long."""
    FAIL = "fail"
    """Something does not work, or stored data is at risk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check. No text holds a secret."""

    check: str
    level: Level
    text: str
    advice: str = ""
    """The advice; empty for OK."""


def ok(check: str, text: str) -> Finding:
    """Return a finding of level OK."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, advice: str) -> Finding:
    """Return a finding of level WARN."""
    return Finding(check, Level.WARN, text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    """Return a finding of level FAIL."""
    return Finding(check, Level.FAIL, text, advice)
