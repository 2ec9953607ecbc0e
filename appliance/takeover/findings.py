"""A finding of an inspection, and how those of many steps are merged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Consequence of a finding for the operator."""

    FINE = "fine"
    SELF = "self"
    """The running appliance corrects it."""
    HEAL = "heal"
    """`ctl takeover heal` corrects it."""
    PERSON = "person"
    """A person must decide."""


@dataclass(frozen=True, slots=True)
class TakeoverFinding:
    """All items of one kind."""

    verdict: Verdict
    text: str
    """A noun phrase that a colon and the number of items can follow."""
    names: tuple[str, ...] = ()
    count: int = 0
    """Number of items that are not named."""
    advice: str = ""
    """The advice; may be empty."""

    @property
    def total(self) -> int:
        """Return the number of items."""
        return self.count + len(self.names)


def merge_findings(findings: Iterable[TakeoverFinding]) -> list[TakeoverFinding]:
    """Merge findings of the same kind, in the order in which the kinds first occur."""
    kinds: dict[tuple[Verdict, str], TakeoverFinding] = {}
    for one in findings:
        key = one.verdict, one.text
        before = kinds.get(key)
        if before is not None:
            names, count = before.names + one.names, before.count + one.count
            one = TakeoverFinding(one.verdict, one.text, names, count, one.advice)
        kinds[key] = one
    return list(kinds.values())


def found(
    verdict: Verdict, text: str, names: Iterable[str], advice: str = ""
) -> list[TakeoverFinding]:
    """Return a finding with these names, or an empty list without names."""
    named = tuple(sorted(names))
    return [TakeoverFinding(verdict, text, named, 0, advice)] if named else []
