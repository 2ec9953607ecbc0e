"""`ctl takeover check|heal|prepare-handback`: from a Scalelite to the appliance, and back.

The inspection runs in steps, either in the running appliance or, with --local and --env-file, in
this process (standalone.py).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import LONG_S, ControlClient, ControlError, NotRunning
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.progress import Progress
from appliance.takeover.findings import TakeoverFinding, Verdict, merge_findings

_HEADINGS = {
    Verdict.FINE: "Fine",
    Verdict.SELF: "Repaired by the running appliance",
    Verdict.HEAL: "Repaired by `ctl takeover heal`",
    Verdict.PERSON: "Requires an operator",
}
_HEALED = {
    **_HEADINGS,
    Verdict.SELF: "Repaired by the next sweeps and polls",
    Verdict.HEAL: "Repaired",
    Verdict.PERSON: "Could not be repaired",
}
_DRY_RUN = {
    **_HEALED,
    Verdict.HEAL: "Would be repaired",
}
_PARTS = {
    "pool": "servers, meetings, tenants",
    "servers": "connections to servers",
    "directories": "directories",
    "database": "database",
    "recordings": "recordings and their files",
    "folders": "files without a recording",
}
_MAX_NAMES = 5


def add_takeover(commands: Commands[Any]) -> None:
    """Add the group `takeover`."""
    group = add_group(commands, "takeover", "take over the stores of a Scalelite")
    about = "inspect the stores and directories of a Scalelite; changes nothing"
    example = "takeover check --env-file /etc/default/scalelite"
    command = add_command(group, "check", check, about, example)
    about = "without a running appliance: inspect the stores of the environment"
    command.add_argument("--local", action="store_true", help=about)
    about = "without a running appliance: inspect the stores of this environment file"
    command.add_argument("--env-file", metavar="FILE", help=about)
    about = "remove stale entries from Redis, and move files from wrong directories"
    command = add_command(group, "heal", heal, about, "takeover heal --dry-run")
    command.add_argument("--dry-run", action="store_true", help="only show the changes")
    about = "give servers the front-ends' own meetingEndedURL, before a hand-back to Scalelite"
    example = "takeover prepare-handback on"
    command = add_command(group, "prepare-handback", prepare_handback, about, example)
    command.add_argument("switch", choices=("on", "off"), metavar="on|off", help="on or off")


class _Steps:
    """Collects the findings of all steps and shows the progress."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(console)
        self._found: list[TakeoverFinding] = []
        self._checked = self._total = 0

    def begin(self) -> None:
        """Show the start of the first step."""
        self._progress.show(0, 1, _PARTS["pool"])

    def take(self, document: Mapping[str, Any]) -> None:
        """Add the findings of a step."""
        self._found += [_finding(one) for one in document["findings"]]
        self._checked += document["checked"]
        self._total = max(self._total, document["total"])
        if document["next"] is not None:
            text = _PARTS.get(document["next"]["part"], "")
            counted = f" {self._checked} of {self._total}" if self._checked else ""
            self._progress.show(self._checked, self._total, text + counted)

    def end(self) -> list[TakeoverFinding]:
        """Return all findings, merged by kind."""
        self._progress.end()
        return merge_findings(self._found)


def _finding(one: Mapping[str, Any]) -> TakeoverFinding:
    names = tuple(one["names"])
    verdict = Verdict(one["verdict"])
    return TakeoverFinding(verdict, one["text"], names, one["count"] - len(names), one["advice"])


def check(console: Console, client: ControlClient, args: Namespace) -> int:
    """Inspect everything and show the findings; exit code 1 if an operator must act."""
    steps = _Steps(console)
    steps.begin()
    try:
        if args.local or args.env_file:
            args.standalone.inspect_stores(_read_environment(args.env_file), steps.take)
        else:
            _take_steps(lambda step: _check_step(client, step), steps)
    finally:
        findings = steps.end()
    _show(console, findings, _HEADINGS)
    return FAILED if any(one.verdict is Verdict.PERSON for one in findings) else DONE


def _check_step(client: ControlClient, step: Mapping[str, Any]) -> Any:
    try:
        query = {name: str(value) for name, value in step.items()}
        return client.get_long("checkTakeover", **query)
    except NotRunning as error:
        hint = "; use --local or --env-file FILE without a running appliance"
        raise NotRunning(f"{error}{hint}") from None


def _read_environment(path: str | None) -> Mapping[str, str]:
    """Return the variables of a file, or of this process without a path."""
    if path is None:
        return os.environ
    # Imported here: only needed with --env-file.
    from appliance.settings.environment_file import parse_environment_file

    try:
        with open(path, encoding="utf-8") as file:
            return parse_environment_file(file.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "the file is not UTF-8 text"
        raise ControlError(f"{path}: {reason}") from None


def _take_steps(ask: Callable[[Mapping[str, Any]], Any], steps: _Steps) -> None:
    step: Mapping[str, Any] | None = {"part": "pool", "after": 0}
    while step is not None:
        document = ask(step)
        steps.take(document)
        step = document["next"]


def heal(console: Console, client: ControlClient, args: Namespace) -> int:
    """Do the safe repairs and show each one; exit code 1 if one was not possible."""
    steps = _Steps(console)
    steps.begin()

    def ask(step: Mapping[str, Any]) -> Any:
        body = {**step, "dry_run": args.dry_run}
        return client.post("healTakeover", body, deadline_s=LONG_S)

    try:
        _take_steps(ask, steps)
    finally:
        findings = steps.end()
    _show(console, findings, _DRY_RUN if args.dry_run else _HEALED, all_names=True)
    if not findings and not console.as_json:
        console.line("nothing to repair")
    return FAILED if any(one.verdict is Verdict.PERSON for one in findings) else DONE


def prepare_handback(console: Console, client: ControlClient, args: Namespace) -> int:
    """Set whether servers get the front-ends' own meetingEndedURL."""
    answer = client.post("prepareHandback", {"on": args.switch == "on"})
    if console.as_json:
        console.document(answer)
    else:
        console.line("OK")
    return DONE


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
    shown = one.names if all_names else one.names[:_MAX_NAMES]
    for name in shown:
        console.show(f"\t{name}")
    if len(shown) < len(one.names):
        console.line(f"\t… and {len(one.names) - len(shown)} more (--json shows all)")
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
