"""The findings of `ctl doctor` without the appliance: units, journal, configuration, secrets.

Blocking, and each part is left out if its program is missing or hangs. The explain_* functions are
pure.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from appliance.ctl.client import ControlError, NotRunning

UNIT = "scalelite-appliance"
REDIS_UNIT = "scalelite-appliance-redis"
BACKUP_UNIT = "scalelite-appliance-backup"
SECRETS_FILE = "/etc/scalelite-appliance/secrets.env"
_BOOTED = "/run/systemd/system"
_PROPERTIES = "LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,StatusText"
_COMMAND_S = 3.0
_CONFIG = "78"

FindingFields = Mapping[str, str]
"""A finding as JSON: check, level, text, advice."""


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
    return _fail("appliance", str(error), advice)


def inspect_without_appliance() -> list[FindingFields]:
    """Inspect what can be seen from here. Takes at most a few seconds."""
    found: list[FindingFields | None] = []
    if os.path.isdir(_BOOTED):
        shown = _run("systemctl", "show", f"--property={_PROPERTIES}", f"{UNIT}.service")
        found.append(explain_unit(shown))
        redis = _run("systemctl", "show", f"--property={_PROPERTIES}", f"{REDIS_UNIT}.service")
        found.append(explain_redis_unit(redis))
        if "LoadState=loaded" in shown:
            found.append(explain_journal(_read_journal()))
    return [one for one in found if one is not None] + [inspect_configuration(os.environ)]


def _read_journal() -> str:
    """Return the last errors that the appliance wrote, else its last lines."""
    # By _SYSTEMD_UNIT: the messages of systemd about the unit do not name the cause.
    words = ("--quiet", "--no-pager", "--output=cat", f"_SYSTEMD_UNIT={UNIT}.service")
    return _run("journalctl", *words, "--priority=err", "--lines=1") or _run(
        "journalctl", *words, "--lines=1"
    )


def _run(program: str, *words: str) -> str:
    # Imported here, because this module is imported by every command.
    import subprocess

    try:
        done = subprocess.run(
            [program, *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def explain_unit(shown: str) -> FindingFields | None:
    """Return a finding about the unit from the output of `systemctl show`; None: no unit."""
    values = _properties(shown)
    if values.get("LoadState") != "loaded":
        return None
    state, status = values.get("ActiveState", ""), values.get("ExecMainStatus", "")
    text, advice = f"{UNIT}.service is {_state(values)}", f"`systemctl status {UNIT}`"
    if status == _CONFIG:
        advice = f"`{UNIT} config check` shows what is invalid; then `systemctl start {UNIT}`"
    elif state == "failed" or values.get("SubState") == "auto-restart":
        advice = f"`journalctl -u {UNIT} -n 50` shows the reason"
    elif state == "inactive":
        advice = f"`systemctl enable --now {UNIT}`"
    elif values.get("StatusText"):
        text += f": {values['StatusText']}"
    return _fail("systemd", text, advice)


def explain_redis_unit(shown: str) -> FindingFields | None:
    """Return a finding about the package's Redis; None: it runs, or is not installed."""
    values = _properties(shown)
    state = values.get("ActiveState", "")
    # Inactive without a failure: another Redis is configured, or the appliance is stopped, too.
    if values.get("LoadState") != "loaded" or state == "active" or _is_skipped(values):
        return None
    text = f"{REDIS_UNIT}.service is {_state(values)}"
    return _fail("systemd", text, f"`journalctl -u {REDIS_UNIT} -n 50` shows the reason")


def _is_skipped(values: Mapping[str, str]) -> bool:
    return values.get("ActiveState") == "inactive" and values.get("Result") in (
        *("", "success", "exec-condition"),
    )


def _state(values: Mapping[str, str]) -> str:
    words = [values.get("ActiveState", "")]
    if (result := values.get("Result", "")) not in ("", "success"):
        words.append(result)
    if (status := values.get("ExecMainStatus", "")) not in ("", "0"):
        words.append(f"exit code {status}")
    if (restarts := values.get("NRestarts", "")) not in ("", "0"):
        words.append(f"restarted {restarts} times")
    return words[0] if len(words) == 1 else f"{words[0]} ({', '.join(words[1:])})"


def _properties(shown: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in shown.splitlines())


def explain_journal(lines: str) -> FindingFields | None:
    """Return a finding with the last line of the journal; None: there is none."""
    last = lines.strip().rpartition("\n")[2]
    return _fail("journal", last, f"`journalctl -u {UNIT} -n 50`") if last else None


def inspect_configuration(environ: Mapping[str, str]) -> FindingFields:
    """Check the configuration as `config check` does."""
    # Imported here: no other command needs the parsers of the variables.
    from appliance import settings
    from appliance.ctl.machine_check import check_machine
    from appliance.ctl.unit import add_unit_environment, read_unit

    complete = dict(environ)
    unit = read_unit(complete)
    add_unit_environment(complete, unit)
    advice = f"`{UNIT} config check` lists all problems"
    try:
        loaded = settings.load_settings(complete, is_root=os.geteuid() == 0)
    except settings.SettingsError as error:
        problems = str(error).splitlines()
        first = next((line.strip() for line in problems if line.startswith(" ")), problems[0])
        more = f" (and {len(problems) - 2} more)" if len(problems) > 2 else ""
        return _fail("configuration", f"{first}{more}", advice)
    if refused := check_machine(loaded, unit).problems:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        return _fail("configuration", f"{refused[0]}{more}", advice)
    return {"check": "configuration", "level": "ok", "text": "valid", "advice": ""}


def inspect_secrets_file(path: str = SECRETS_FILE) -> FindingFields | None:
    """Return a finding about the mode of the package's secrets; None: no such file is seen."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 or status.st_uid not in (0, os.geteuid()):
        text = f"{path} has mode {mode:04o}: other users can read or change the secrets"
        return _fail("secrets file", text, f"`chown root:root {path} && chmod 0600 {path}`")
    return {"check": "secrets file", "level": "ok", "text": f"mode {mode:04o}", "advice": ""}


def _fail(check: str, text: str, advice: str) -> FindingFields:
    return {"check": check, "level": "fail", "text": text, "advice": advice}


def explain_backup_unit(shown: str, environ: Mapping[str, str]) -> FindingFields | None:
    """Return a finding about the package's daily backup; None: it is not installed."""
    values = _properties(shown)
    if values.get("LoadState") != "loaded":
        return None
    if values.get("Result", "") not in ("", "success", "exec-condition"):
        text = f"the last one failed: {BACKUP_UNIT}.service is {_state(values)}"
        return _fail("backup", text, f"`journalctl -u {BACKUP_UNIT} -n 20` shows the reason")
    is_set = environ.get("BACKUP_PASSPHRASE") or environ.get("BACKUP_PASSPHRASE_FILE")
    text = "made every day" if is_set else "none is made: BACKUP_PASSPHRASE is not set"
    return {"check": "backup", "level": "ok", "text": text, "advice": ""}


def with_host_findings(findings: Sequence[FindingFields]) -> list[FindingFields]:
    """Add the findings about the package's secrets and backups."""
    own = [inspect_secrets_file()]
    if os.path.isdir(_BOOTED):
        shown = _run("systemctl", "show", f"--property={_PROPERTIES}", f"{BACKUP_UNIT}.service")
        own.append(explain_backup_unit(shown, os.environ))
    return [*findings, *(one for one in own if one is not None)]
