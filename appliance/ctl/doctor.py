"""`ctl doctor`: checks of the appliance and its surroundings, with advice.

The appliance runs the checks (doctor/doctor.py). If it is not running, this module examines the
socket and the systemd unit, and the exit code is 3.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, NOT_RUNNING
from appliance.ctl.progress import waiting
from appliance.ctl.tables import GREEN, RED, YELLOW, paint

UNIT = "scalelite-appliance"
_BOOTED = "/run/systemd/system"
_SYSTEMCTL_S = 3.0
_WORDS = {"ok": ("OK", GREEN), "warn": ("WARN", YELLOW), "fail": ("FAIL", RED)}

FindingFields = Mapping[str, str]
"""A finding as JSON: check, level, text, advice."""


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
        _show(console, [explain_error(path, error), *_inspect_unit()], healthy=False)
        return NOT_RUNNING if isinstance(error, NotRunning) else FAILED
    _show(console, answer["findings"], healthy=answer["healthy"])
    return DONE if answer["healthy"] else FAILED


def _show(console: Console, findings: Sequence[FindingFields], *, healthy: bool) -> None:
    if console.as_json:
        console.document({"healthy": healthy, "findings": list(findings)})
        return
    width = max(len(finding["check"]) for finding in findings)
    for finding in findings:
        word, colour = _WORDS[finding["level"]]
        shown = paint(word, colour) if console.colours else word
        gap = " " * (4 - len(word))
        # Backquotes are markup for documentation.
        text, advice = (finding[name].replace("`", "'") for name in ("text", "advice"))
        check = finding["check"].ljust(width)
        console.out.write(f"{shown}{gap}  ")
        console.show(f"{check}  {text}")
        if advice:
            console.show(f"\t-> {advice}")
    console.line(_summarize(findings))


def _summarize(findings: Sequence[FindingFields]) -> str:
    levels = [finding["level"] for finding in findings]
    fails, warns = levels.count("fail"), levels.count("warn")
    if not fails and not warns:
        return f"All checks passed ({len(levels)})."
    return f"{fails} failed, {warns} with warnings, {levels.count('ok')} passed."


# --- without the appliance -----------------------------------------------------------------------


def explain_error(path: str, error: ControlError) -> FindingFields:
    """Return a finding about a control socket that does not answer."""
    directory = os.path.dirname(path) or "."
    if isinstance(error, NotRunning) and not os.path.isdir(directory):
        advice = "start the appliance; if it runs with another CTL_SOCKET, export the same value"
    elif isinstance(error, NotRunning):
        advice = f"`systemctl start {UNIT}`, or export the CTL_SOCKET of the running appliance"
    elif not os.access(path, os.W_OK):
        advice = f"use sudo, or join the group of the socket (`ls -l {path}`) and log in again"
    else:
        advice = f"it may hang: `systemctl restart {UNIT}`"
    return {"check": "appliance", "level": "fail", "text": str(error), "advice": advice}


def _inspect_unit() -> list[FindingFields]:
    # Imported here, because this module is imported by every command.
    import shutil
    import subprocess

    if not os.path.isdir(_BOOTED) or shutil.which("systemctl") is None:
        return []
    properties = "LoadState,ActiveState,Result,StatusText"
    command = ["systemctl", "show", f"--property={properties}", f"{UNIT}.service"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return []
    finding = explain_unit(done.stdout)
    return [] if finding is None else [finding]


def explain_unit(shown: str) -> FindingFields | None:
    """Return a finding about the unit from the output of `systemctl show`; None: no unit."""
    values = dict(line.partition("=")[::2] for line in shown.splitlines())
    if values.get("LoadState") != "loaded":
        return None
    state, result = values.get("ActiveState", ""), values.get("Result", "")
    text, advice = f"{UNIT}.service is {state}", f"`systemctl status {UNIT}`"
    if state == "failed":
        text += f" ({result})"
        advice = f"`journalctl -u {UNIT} -n 50` shows the reason"
    elif state == "inactive":
        advice = f"`systemctl enable --now {UNIT}`"
    elif values.get("StatusText"):
        text += f": {values['StatusText']}"
    return {"check": "systemd", "level": "fail", "text": text, "advice": advice}
