"""What a look at the stores of a Scalelite came to: findings, and how those of many steps add up.

Pure. What is looked for is in takeover_pool.py (Redis) and takeover_recordings.py (the rest).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means to the operator."""

    FINE = "fine"
    SELF = "self"
    """The running appliance puts it right without being asked."""
    HEAL = "heal"
    """`ctl takeover heal` puts it right."""
    PERSON = "person"
    """Nobody but a person can decide what is right."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that was found, and all that are of it."""

    verdict: Verdict
    text: str
    """What they are, so that a colon and their number may follow."""
    names: tuple[str, ...] = ()
    count: int = 0
    """How many, where they are not named."""
    advice: str = ""
    """What to do, where somebody has to do something."""

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self.count + len(self.names)


def merge_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Put those of one kind together, in the order in which the kinds first came."""
    kinds: dict[tuple[Verdict, str], Finding] = {}
    for one in findings:
        key = one.verdict, one.text
        before = kinds.get(key)
        if before is not None:
            names, count = before.names + one.names, before.count + one.count
            one = Finding(one.verdict, one.text, names, count, one.advice)
        kinds[key] = one
    return list(kinds.values())


def found(verdict: Verdict, text: str, names: Iterable[str], advice: str = "") -> list[Finding]:
    """Return the finding of these names, none if there are none."""
    named = tuple(sorted(names))
    return [Finding(verdict, text, named, 0, advice)] if named else []
