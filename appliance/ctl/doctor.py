"""`ctl doctor`: what the appliance finds when it looks at itself; else why it cannot be asked.

The checks are the appliance's (doctor/doctor.py). Without it, this looks at the socket and asks
systemd, and ends with exit code 3.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence

from appliance.ctl.client import Caller, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.console import Console
from appliance.ctl.progress import waiting
from appliance.ctl.tables import GREEN, RED, YELLOW, paint

DONE, FAILED, NOT_RUNNING = 0, 1, 3

UNIT = "scalelite-appliance"
_BOOTED = "/run/systemd/system"
_SYSTEMCTL_S = 3.0
_WORDS = {"ok": ("OK", GREEN), "warn": ("WARN", YELLOW), "fail": ("FAIL", RED)}

Found = Mapping[str, str]


def doctor(console: Console, caller: Caller, args: Namespace) -> int:
    """Show what is found; 1 if anything fails, 3 if the appliance is not running."""
    try:
        with waiting(console, "looking"):
            answer = caller.post("doctor", {})
    except Refusal:
        raise
    except ControlError as error:
        path = find_socket(os.environ, is_root=os.geteuid() == 0)
        _show(console, [explain(path, error), *_ask_systemd()], healthy=False)
        return NOT_RUNNING if isinstance(error, NotRunning) else FAILED
    _show(console, answer["findings"], healthy=answer["healthy"])
    return DONE if answer["healthy"] else FAILED


def _show(console: Console, findings: Sequence[Found], *, healthy: bool) -> None:
    if console.as_json:
        console.document({"healthy": healthy, "findings": list(findings)})
        return
    width = max(len(finding["check"]) for finding in findings)
    for finding in findings:
        word, colour = _WORDS[finding["level"]]
        shown = paint(word, colour) if console.colours else word
        gap = " " * (4 - len(word))
        # The marks of code that documents have are for documents.
        text, advice = (finding[name].replace("`", "'") for name in ("text", "advice"))
        check = finding["check"].ljust(width)
        console.out.write(f"{shown}{gap}  ")
        console.show(f"{check}  {text}")
        if advice:
            console.show(f"\t-> {advice}")
    console.line(_sum_up(findings))


def _sum_up(findings: Sequence[Found]) -> str:
    levels = [finding["level"] for finding in findings]
    fails, warns = levels.count("fail"), levels.count("warn")
    if not fails and not warns:
        return f"All is well ({len(levels)} checks)."
    return f"{fails} failed, {warns} to look at, {levels.count('ok')} are well."


# --- without the appliance -----------------------------------------------------------------------


def explain(path: str, error: ControlError) -> Found:
    """Return what is to be said of a socket that nobody answers on."""
    directory = os.path.dirname(path) or "."
    if isinstance(error, NotRunning) and not os.path.isdir(directory):
        advice = "start the appliance; if it runs with another CTL_SOCKET, export the same"
    elif isinstance(error, NotRunning):
        advice = f"`systemctl start {UNIT}`, or export the CTL_SOCKET that it runs with"
    elif not os.access(path, os.W_OK):
        advice = f"use sudo, or join the group of the socket (`ls -l {path}`) and log in anew"
    else:
        advice = f"it hangs perhaps: `systemctl restart {UNIT}`"
    return {"check": "appliance", "level": "fail", "text": str(error), "advice": advice}


def _ask_systemd() -> list[Found]:
    # Imported here: no other command needs them, and every command loads this.
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
    finding = judge_unit(done.stdout)
    return [] if finding is None else [finding]


def judge_unit(shown: str) -> Found | None:
    """Return what is to be said of the unit, from what `systemctl show` prints."""
    values = dict(line.partition("=")[::2] for line in shown.splitlines())
    if values.get("LoadState") != "loaded":
        return None
    state, result = values.get("ActiveState", ""), values.get("Result", "")
    text, advice = f"{UNIT}.service is {state}", f"`systemctl status {UNIT}`"
    if state == "failed":
        text += f" ({result})"
        advice = f"`journalctl -u {UNIT} -n 50` says why"
    elif state == "inactive":
        advice = f"`systemctl enable --now {UNIT}`"
    elif values.get("StatusText"):
        text += f": {values['StatusText']}"
    return {"check": "systemd", "level": "fail", "text": text, "advice": advice}
