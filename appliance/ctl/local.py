"""`ctl config check`, `secret generate`, `database migrate`, `version`.

What works without a running appliance.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable

from appliance import __version__
from appliance.ctl.client import Caller
from appliance.ctl.console import Console

DONE, FAILED = 0, 1

_SECRET_BYTES = 32

Migrate = Callable[[], list[str]]
"""Brings the database of the environment up to date and returns what was applied.

Raises ControlError. It is handed in by the program: the drivers are too heavy for ctl.
"""


def check_configuration(console: Console, caller: Caller, args: Namespace) -> int:
    """Show the effective configuration, or everything that is wrong with it."""
    # Imported here: no other command needs the parsers of all variables.
    from appliance import settings

    is_root = os.geteuid() == 0
    try:
        rows = settings.describe_settings(os.environ, is_root=is_root)
        warnings = settings.load_settings(os.environ, is_root=is_root).warnings
    except settings.SettingsError as error:
        print(error, file=console.err)
        return FAILED
    render = settings.render_check_json if console.as_json else settings.render_check_text
    console.line(render(rows, warnings))
    return DONE


def generate_secret(console: Console, caller: Caller, args: Namespace) -> int:
    """Print a new secret."""
    import secrets

    secret = secrets.token_hex(_SECRET_BYTES)
    if console.as_json:
        console.document({"secret": secret})
    else:
        console.line(secret)
    return DONE


def migrate_database(console: Console, caller: Caller, args: Namespace) -> int:
    """Bring the database to the schema of this version."""
    assert args.migrate is not None
    applied = args.migrate()
    if console.as_json:
        console.document({"applied": applied})
        return DONE
    for name in applied:
        console.line(f"applied {name}")
    if not applied:
        console.line("nothing to do, the database has the schema of this version")
    return DONE


def show_version(console: Console, caller: Caller, args: Namespace) -> int:
    """Print the version of the package."""
    if console.as_json:
        console.document({"version": __version__})
    else:
        console.line(f"scalelite-appliance {__version__}")
    return DONE
