"""`ctl config check`, `secret generate`, `database migrate`, `version`.

These commands work without a running appliance.
"""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from appliance import __version__
from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import CONFIG, DONE, FAILED

_SECRET_BYTES = 32


def add_config(commands: Commands[Any]) -> None:
    """Add the group `config`."""
    group = add_group(commands, "config", "show the configuration of this environment")
    about = "show the effective configuration and the origin of each value"
    add_command(group, "check", check_configuration, about, "config check --json")


def add_secret(commands: Commands[Any]) -> None:
    """Add the group `secret`."""
    group = add_group(commands, "secret", "generate secrets")
    about = "print a new random secret"
    add_command(group, "generate", generate_secret, about, "secret generate")


def add_database(commands: Commands[Any]) -> None:
    """Add the group `database`."""
    group = add_group(commands, "database", "manage the PostgreSQL of this environment")
    about = "migrate the database to the schema of this version, as `run` does at its start"
    add_command(group, "migrate", migrate_database, about, "database migrate")


def add_version(commands: Commands[Any]) -> None:
    """Add the command `version`."""
    add_command(commands, "version", show_version, "print the version", "version")


def check_configuration(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the effective configuration, and what is wrong with it.

    The exit code is that of `run`: 78 if it is invalid, 1 if only this machine refuses it.
    """
    # Imported here: no other command needs the parsers of the variables.
    from appliance import settings
    from appliance.ctl.machine_check import check_backups, check_machine
    from appliance.ctl.unit import add_unit_environment, read_unit

    is_root = os.geteuid() == 0
    environ = dict(os.environ)
    unit = read_unit(environ)
    add_unit_environment(environ, unit)
    try:
        rows = settings.describe_settings(environ, is_root=is_root)
        loaded = settings.load_settings(environ, is_root=is_root)
    except settings.SettingsError as error:
        print(error, file=console.err)
        return CONFIG
    found = check_machine(loaded, unit)
    warnings = (*loaded.warnings, *found.warnings, *check_backups(environ))
    if console.as_json:
        console.line(settings.render_check_json(rows, warnings, found.problems))
    else:
        console.line(settings.render_check_text(rows, warnings, console.width))
    console.out.flush()
    for problem in found.problems:
        console.error(f"error: {problem}")
    return FAILED if found.problems else DONE


def generate_secret(console: Console, client: ControlClient, args: Namespace) -> int:
    """Print a new secret."""
    import secrets

    secret = secrets.token_hex(_SECRET_BYTES)
    if console.as_json:
        console.document({"secret": secret})
    else:
        console.line(secret)
    return DONE


def migrate_database(console: Console, client: ControlClient, args: Namespace) -> int:
    """Migrate the database to the schema of this version."""
    applied = args.standalone.migrate_database()
    if console.as_json:
        console.document({"applied": applied})
        return DONE
    for name in applied:
        console.line(f"applied {name}")
    if not applied:
        console.line("nothing to do: the database has the schema of this version")
    return DONE


def show_version(console: Console, client: ControlClient, args: Namespace) -> int:
    """Print the version of the program."""
    if console.as_json:
        console.document({"version": __version__})
    else:
        console.line(f"scalelite-appliance {__version__}")
    return DONE
