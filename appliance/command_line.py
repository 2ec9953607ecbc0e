"""The command line: runs the appliance, or passes the command to ctl. The only calls of trio.run.

Imports what a command needs inside its function, so that `ctl` starts fast.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance import __version__

USAGE = """\
usage: scalelite-appliance COMMAND

  run                run the appliance, configured by the environment (docs/configuration.md)
  ctl ...            administer the running appliance; `ctl --help` lists the commands
  database migrate   migrate the database to the schema of this version
  secret generate    print a new random secret
  config check       show the effective configuration and the origin of each value
  takeover check     inspect the stores of a Scalelite (`takeover check --help`)
  simulate ...       report the servers that a timetable needs (`simulate --help`)
  version            print the version
"""

_COMMANDS = ("run", "ctl", "database", "secret", "config", "takeover", "simulate", "version")
_VERSION = ("--version", "-V")
_HELP = ("help", "--help", "-h")
EX_FAILED = 1
EX_USAGE = 2
EX_CONFIG = 78
"""The configuration is invalid, so another start would fail too (sysexits.h)."""
EX_INTERRUPTED = 130


def run_command(words: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    words = list(words)
    match words:
        case ["run"]:
            return _run(os.environ)
        case ["ctl", *rest]:
            return _ctl(rest)
        case ["config", *_] | ["secret", *_] | ["database", *_] | ["version", *_]:
            return _ctl(words)
        case ["simulate", *_] | ["takeover", *_]:
            return _ctl(words)
        case [word] if word in _VERSION:
            print(f"scalelite-appliance {__version__}")
            return 0
        case [word] if word in _HELP:
            print(USAGE, end="")
            return 0
    print(_explain(words) if words else USAGE, end="", file=sys.stderr)
    return EX_USAGE


def _explain(words: Sequence[str]) -> str:
    """Return what is wrong with a command, and what was probably meant, else the usage."""
    from appliance.ctl.arguments import did_you_mean
    from appliance.ctl.commands import is_command

    if words[0] in (*_COMMANDS, *_VERSION, *_HELP):
        return f"scalelite-appliance: {words[0]} takes no arguments: {words[1]}\n{USAGE}"
    if is_command(words):
        hint = f"; did you mean: ctl {words[0]}?"
    else:
        hint = did_you_mean(words[0], _COMMANDS)
    return f"scalelite-appliance: no such command: {words[0]}{hint}\n{'' if hint else USAGE}"


# --- ctl -----------------------------------------------------------------------------------------


def _ctl(words: Sequence[str]) -> int:
    import signal

    # Ctrl-C during the imports ends the process without a traceback. A background job, which
    # ignores the signal, goes on ignoring it.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from appliance import ctl
    from appliance.ctl.standalone import Standalone

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return ctl.main(words, Standalone(_migrate_database, _inspect_stores, _transfer))
    except KeyboardInterrupt:
        return EX_INTERRUPTED


def _migrate_database() -> list[str]:
    """Migrate the database of the environment. Raises ControlError."""
    from appliance.ctl.client import ControlError
    from appliance.log import configure_logging
    from appliance.settings import SettingsError, load_settings

    try:
        settings = load_settings(os.environ, is_root=os.geteuid() == 0)
    except SettingsError as error:
        raise ControlError(str(error)) from None
    if settings.stores.database_disabled:
        raise ControlError("there is no database: DB_DISABLED or RECORDING_DISABLED is set")
    configure_logging("warning", settings.log.format)

    import trio

    from appliance.ctl.unit import become_service_user
    from appliance.postgres import standalone_migration as migration

    become_service_user(os.environ)
    applied: list[str] = []
    failures: list[BaseException] = []
    try:
        applied = trio.run(migration.migrate_database, settings)
    except* migration.MIGRATION_ERRORS as group:
        failures = _leaves(group)
    if failures:
        raise ControlError(f"the database was not migrated: {failures[0]}")
    return applied


def _inspect_stores(environ: Mapping[str, str], show: Callable[[dict[str, Any]], None]) -> None:
    """Inspect the stores of a Scalelite that an environment names. Raises ControlError."""
    from appliance.ctl.client import ControlError
    from appliance.log import configure_logging
    from appliance.settings import SettingsError, load_settings

    try:
        settings = load_settings(environ, is_root=os.geteuid() == 0)
    except SettingsError as error:
        raise ControlError(str(error)) from None
    configure_logging("error", settings.log.format)

    import trio

    from appliance.ctl.unit import become_service_user
    from appliance.takeover import standalone as takeover

    become_service_user(os.environ)
    failures: list[BaseException] = []
    try:
        trio.run(takeover.inspect_stores, settings, show)
    except* takeover.INSPECTION_ERRORS as group:
        failures = _leaves(group)
    if failures:
        raise ControlError(f"the inspection was not completed: {failures[0]}")


def _transfer(call: str, body: Mapping[str, Any], descriptor: int) -> dict[str, Any]:
    """Back up or restore the stores of the environment. Raises ControlError."""
    from appliance.ctl.client import ControlError, Refusal
    from appliance.log import configure_logging
    from appliance.settings import SettingsError, load_settings

    try:
        settings = load_settings(os.environ, is_root=os.geteuid() == 0)
    except SettingsError as error:
        raise ControlError(str(error)) from None
    configure_logging("error", settings.log.format)

    import trio

    from appliance.backup import standalone as backup
    from appliance.ctl.unit import become_service_user

    become_service_user(os.environ)
    failures: list[BaseException] = []
    answer: dict[str, Any] = {}
    try:
        answer = trio.run(backup.transfer, settings, call, body, descriptor)
    except* backup.TRANSFER_ERRORS as group:
        failures = _leaves(group)
    if failures and isinstance(failures[0], backup.Conflicts):
        raise Refusal(str(failures[0]), 409, "confirmation_needed")
    if failures:
        raise ControlError(str(failures[0]))
    return answer


# --- run -----------------------------------------------------------------------------------------


def _run(environ: Mapping[str, str]) -> int:
    _exit_on_signals_during_imports()
    for unused in ("rich", "pygments"):  # structlog and httpx load them where they are: 4 MB
        sys.modules.setdefault(unused, None)  # type: ignore[arg-type]
    # Modules make no garbage: to look for it took a tenth of the start.
    gc.disable()
    from appliance.log import configure_logging, get_logger, print_failure
    from appliance.settings import SettingsError, load_settings

    journal_stream = environ.get("JOURNAL_STREAM")
    try:
        settings = load_settings(environ, is_root=os.geteuid() == 0)
    except SettingsError as error:
        print_failure(str(error), journal_stream)
        return EX_CONFIG
    configure_logging(settings.log.level, settings.log.format, journal_stream=journal_stream)
    log = get_logger("appliance")
    for warning in settings.warnings:
        log.warning("configuration", problem=warning)

    import trio

    from appliance import supervisor

    gc.enable()
    failed = False
    try:
        trio.run(supervisor.run, settings)
    except* supervisor.START_ERRORS as group:
        failed = True
        for leaf in _leaves(group):
            print_failure(f"scalelite-appliance: {leaf}", journal_stream)
    except* Exception as group:
        failed = True
        log.error("crashed", exc_info=group)
    return EX_FAILED if failed else 0


def _exit_on_signals_during_imports() -> None:
    """Exit with 0 on SIGTERM or SIGINT before system/signals.py handles them, and afterwards.

    The imports take half a second, in which a stop must not look like a crash. No clean-up is
    needed: the kernel ends processes that were started (system/embedded/child.py).
    """
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
