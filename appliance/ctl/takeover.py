"""`ctl takeover check|heal`: what a Scalelite left in the stores, and the safe part of mending it.

The look is taken step by step, either by the running appliance or, without one, from here: that
part is handed in by the program, since its drivers are too heavy for ctl.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from appliance.ctl.client import LONG_S, Caller, ControlError, NotRunning
from appliance.ctl.console import Console
from appliance.ctl.progress import Progress
from appliance.takeover.findings import TakeoverFinding, Verdict, merge_findings

DONE, FAILED = 0, 1

Look = Callable[[Mapping[str, str], Callable[[dict[str, Any]], None]], None]
"""Looks at the stores that an environment names, and hands over the document of each step.

Raises ControlError.
"""

_HEADINGS = {
    Verdict.FINE: "Fine",
    Verdict.SELF: "The running appliance puts right by itself",
    Verdict.HEAL: "`ctl takeover heal` puts right",
    Verdict.PERSON: "Needs a person",
}
_HEALED = {
    **_HEADINGS,
    Verdict.SELF: "Goes by itself, when the next sweeps and polls have found it again",
    Verdict.HEAL: "Put right",
    Verdict.PERSON: "Could not be put right",
}
_WOULD = {
    **_HEALED,
    Verdict.SELF: "Would go with a sweep",
    Verdict.HEAL: "Would be put right",
}
_PARTS = {
    "pool": "servers, meetings, tenants",
    "servers": "servers, asked from here",
    "directories": "directories",
    "database": "database",
    "recordings": "recordings and their files",
    "folders": "files that no recording has",
}
_NAMED = 5


class _Steps:
    """The documents of all steps, and the line that tells how far they are."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(console)
        self._found: list[TakeoverFinding] = []
        self._checked = self._total = 0

    def begin(self) -> None:
        """Show that it begins."""
        self._progress.show(0, 1, _PARTS["pool"])

    def take(self, document: Mapping[str, Any]) -> None:
        """Keep what a step found."""
        self._found += [_finding(one) for one in document["findings"]]
        self._checked += document["checked"]
        self._total = max(self._total, document["total"])
        if document["next"] is not None:
            text = _PARTS.get(document["next"]["part"], "")
            counted = f" {self._checked} of {self._total}" if self._checked else ""
            self._progress.show(self._checked, self._total, text + counted)

    def end(self) -> list[TakeoverFinding]:
        """Return all that was found, kind by kind."""
        self._progress.end()
        return merge_findings(self._found)


def _finding(one: Mapping[str, Any]) -> TakeoverFinding:
    names = tuple(one["names"])
    verdict = Verdict(one["verdict"])
    return TakeoverFinding(verdict, one["text"], names, one["count"] - len(names), one["advice"])


def check(console: Console, caller: Caller, args: Namespace) -> int:
    """Look at everything and show what was found; 1: something needs a person."""
    steps = _Steps(console)
    steps.begin()
    try:
        if args.local or args.env_file:
            assert args.look is not None
            args.look(_environment(args.env_file), steps.take)
        else:
            _take_steps(lambda step: _ask(caller, step), steps)
    finally:
        findings = steps.end()
    _show(console, findings, _HEADINGS)
    return FAILED if any(one.verdict is Verdict.PERSON for one in findings) else DONE


def _ask(caller: Caller, step: Mapping[str, Any]) -> Any:
    try:
        query = {name: str(value) for name, value in step.items()}
        return caller.get_long("checkTakeover", **query)
    except NotRunning as error:
        hint = "; --local or --env-file FILE looks without a running appliance"
        raise NotRunning(f"{error}{hint}") from None


def _environment(path: str | None) -> Mapping[str, str]:
    """Return the variables to work with: those of the file, else those of this process."""
    if path is None:
        return os.environ
    # Imported here: no other command reads such a file.
    from appliance.settings.environment_file import parse_environment_file

    try:
        with open(path, encoding="utf-8") as file:
            return parse_environment_file(file.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ControlError(f"{path}: {reason}") from None


def _take_steps(ask: Callable[[Mapping[str, Any]], Any], steps: _Steps) -> None:
    step: Mapping[str, Any] | None = {"part": "pool", "after": 0}
    while step is not None:
        document = ask(step)
        steps.take(document)
        step = document["next"]


def heal(console: Console, caller: Caller, args: Namespace) -> int:
    """Do the safe part and show each thing that was done; 1: something could not be done."""
    steps = _Steps(console)
    steps.begin()

    def ask(step: Mapping[str, Any]) -> Any:
        body = {**step, "dry_run": args.dry_run}
        return caller.post("healTakeover", body, deadline_s=LONG_S)

    try:
        _take_steps(ask, steps)
    finally:
        findings = steps.end()
    _show(console, findings, _WOULD if args.dry_run else _HEALED, all_names=True)
    if not findings and not console.as_json:
        console.line("nothing to put right")
    return FAILED if any(one.verdict is Verdict.PERSON for one in findings) else DONE


def _show(
    console: Console,
    findings: list[TakeoverFinding],
    headings: Mapping[Verdict, str],
    *,
    all_names: bool = False,
) -> None:
    if console.as_json:
        console.document({"findings": [_document(one) for one in findings]})
        return
    begun = False
    for verdict, heading in headings.items():
        of_it = [one for one in findings if one.verdict is verdict]
        if not of_it:
            continue
        if begun:
            console.line()
        begun = True
        console.line(f"{heading}:")
        for one in of_it:
            _show_finding(console, one, all_names=all_names)


def _show_finding(console: Console, one: TakeoverFinding, *, all_names: bool) -> None:
    bare = one.total == 0 and one.advice
    console.line(f"  {one.text}" if bare else f"  {one.text}: {one.total}")
    shown = one.names if all_names else one.names[:_NAMED]
    for name in shown:
        console.show(f"\t{name}")
    if len(shown) < len(one.names):
        console.line(f"\t… and {len(one.names) - len(shown)} more (--json names all)")
    if one.advice:
        console.show(f"\t-> {one.advice}")


def _document(one: TakeoverFinding) -> dict[str, Any]:
    return {
        "verdict": one.verdict.value,
        "text": one.text,
        "count": one.total,
        "names": list(one.names),
        "advice": one.advice,
    }
