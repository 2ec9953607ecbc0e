"""`ctl doctor`: checks of the appliance and its surroundings, with advice.

The appliance runs the checks (doctor/doctor.py). If it is not running, down.py inspects what can be
seen without it, and the exit code is 3.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.console import Console
from appliance.ctl.down import (
    FindingFields,
    explain_error,
    inspect_without_appliance,
    with_host_findings,
)
from appliance.ctl.exit_codes import DONE, FAILED, NOT_RUNNING
from appliance.ctl.progress import waiting
from appliance.ctl.tables import GREEN, RED, YELLOW, paint

_WORDS = {"ok": ("OK", GREEN), "warn": ("WARN", YELLOW), "fail": ("FAIL", RED)}
_NAME_COLUMNS = 24


def add_doctor(commands: Commands[Any]) -> None:
    """Add the command."""
    about = "check stores, directories, clocks, secrets and servers, and give advice"
    add_command(commands, "doctor", doctor, about, "doctor")


def doctor(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the findings; exit code 1 if a check fails, 3 if the appliance is not running."""
    try:
        with waiting(console, "checking"):
            answer = client.post("doctor", {})
    except Refusal:
        raise
    except ControlError as error:
        path = find_socket(os.environ, is_root=os.geteuid() == 0)
        found = [explain_error(path, error), *inspect_without_appliance()]
        _show(console, with_host_findings(found), healthy=False)
        return NOT_RUNNING if isinstance(error, NotRunning) else FAILED
    found = with_host_findings(answer["findings"])
    healthy = all(finding["level"] != "fail" for finding in found)
    _show(console, found, healthy=healthy)
    return DONE if healthy else FAILED


def _show(console: Console, findings: Sequence[FindingFields], *, healthy: bool) -> None:
    if console.as_json:
        console.document({"healthy": healthy, "findings": list(findings)})
        return
    width = max(len(finding["check"]) for finding in findings)
    if console.width is not None:  # a terminal; longer names have a line of their own there
        width = min(width, _NAME_COLUMNS)
    for finding in findings:
        word, colour = _WORDS[finding["level"]]
        shown = paint(word, colour) if console.colours else word
        gap = " " * (4 - len(word))
        # Backquotes are markup for documentation.
        text, advice = (finding[name].replace("`", "'") for name in ("text", "advice"))
        console.out.write(f"{shown}{gap}  ")
        for line in fit_finding(finding["check"], text, width, console.width):
            console.show(line)
        if advice:  # not wrapped: it has commands to copy
            console.show(f"\t-> {advice}")
    console.line(_summarize(findings))


def fit_finding(check: str, text: str, width: int, screen: int | None) -> list[str]:
    """Return what follows the level: in a line, or wrapped to the columns of a terminal. Pure.

    width: columns of the names; screen: of the terminal, None for a pipe.
    """
    line = f"{check.ljust(width)}  {text}"
    if screen is None or 6 + len(line) <= screen:
        return [line]
    import textwrap  # only for terminals

    indent = (8 + width) * " "
    parts = textwrap.wrap(text, max(screen - len(indent), 30), break_on_hyphens=False)
    first = check if len(check) > width else f"{check.ljust(width)}  {parts.pop(0)}"
    return [first, *(f"{indent}{part}" for part in parts)]


def _summarize(findings: Sequence[FindingFields]) -> str:
    levels = [finding["level"] for finding in findings]
    fails, warns = levels.count("fail"), levels.count("warn")
    if not fails and not warns:
        return f"All checks passed ({len(levels)})."
    return f"{fails} failed, {warns} with warnings, {levels.count('ok')} passed."
