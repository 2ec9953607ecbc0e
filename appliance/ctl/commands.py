"""The command lines of `scalelite-appliance ctl` and of the whole program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from appliance.ctl.analytics import add_analytics
from appliance.ctl.arguments import PROGRAM, Commands, Parser, add_json_option
from appliance.ctl.audit import add_audit
from appliance.ctl.backup import add_backup
from appliance.ctl.callbacks import add_callbacks
from appliance.ctl.cluster_proxy import add_cluster_proxy
from appliance.ctl.doctor import add_doctor
from appliance.ctl.events import add_events
from appliance.ctl.fleet import add_fleet
from appliance.ctl.local import add_config, add_database, add_secret, add_version
from appliance.ctl.maintenance import add_maintenance
from appliance.ctl.meetings import add_meetings, add_server_meetings
from appliance.ctl.overview import show_overview
from appliance.ctl.poll import add_poll
from appliance.ctl.privacy import add_privacy
from appliance.ctl.rake_names import MisusedTask, NotRake, parse_rake
from appliance.ctl.recording_imports import add_imports
from appliance.ctl.recording_moves import add_move
from appliance.ctl.recording_player import add_player
from appliance.ctl.recording_retention import add_prune
from appliance.ctl.recordings import add_recordings
from appliance.ctl.server_lists import add_server_lists
from appliance.ctl.server_states import add_server_states
from appliance.ctl.servers import add_servers
from appliance.ctl.simulate import add_simulate
from appliance.ctl.status import add_status
from appliance.ctl.takeover import add_takeover
from appliance.ctl.tenants import add_tenant_settings, add_tenants
from appliance.ctl.tokens import add_tokens
from appliance.ctl.top import add_top
from appliance.ctl.usage import add_usage
from appliance.ctl.versions import add_versions

_ABOUT = (
    "Administer the running appliance over its control socket. Without a command: the pool in "
    "short, and what to do next. `help COMMAND` explains a command."
)
_EXIT_CODES = """\
Exit codes: 0 done; 1 refused or failed, with the reason on standard error;
2 wrong usage; 3 the appliance is not running.

Names of Scalelite's rake tasks are accepted as well:
  scalelite-appliance ctl 'servers:cordon[bbb1.example.com]'
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `scalelite-appliance ctl`."""
    parser = Parser(prog=f"{PROGRAM} ctl", description=_ABOUT, epilog=_EXIT_CODES)
    add_json_option(parser, default=False)
    parser.set_defaults(run=show_overview)
    _add_all_commands(parser.add_subparsers(metavar="COMMAND"))
    return parser


def is_command(words: Sequence[str]) -> bool:
    """Return whether the first word is a command of ctl, or all are a rake task."""
    commands: list[str] = []
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands += action.choices
    if words[0] in commands:
        return True
    try:
        return parse_rake(words) is not None
    except MisusedTask:
        return True
    except NotRake:
        return False


def build_program_parser() -> argparse.ArgumentParser:
    """Return a parser of the whole program, from which manual page and completion are generated.

    `appliance.__main__` does not use it, because it would import ctl for every command.
    """
    parser = Parser(prog=PROGRAM)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    about = "run the appliance, configured by the environment"
    commands.add_parser("run", help=about, description="Run the appliance until SIGTERM.")
    about = "administer the running appliance"
    ctl = commands.add_parser("ctl", help=about, description=_ABOUT)
    add_json_option(ctl)
    _add_all_commands(ctl.add_subparsers(metavar="COMMAND"))
    add_takeover(commands)
    _add_local_commands(commands)
    commands.add_parser("help", help="list the commands", description="List the commands.")
    return parser


def _add_all_commands(commands: Commands[Any]) -> None:
    servers = add_servers(commands)
    add_server_states(servers)
    add_maintenance(servers)
    add_server_lists(servers)
    add_server_meetings(servers)
    add_status(commands)
    add_fleet(commands)
    add_cluster_proxy(commands)
    add_events(commands)
    add_top(commands)
    add_meetings(commands)
    add_poll(commands)
    add_callbacks(commands)
    add_analytics(commands)
    add_tenants(commands)
    add_tenant_settings(commands)
    add_versions(commands)
    add_usage(commands)
    add_privacy(commands)
    add_tokens(commands)
    add_audit(commands)
    add_backup(commands)
    recordings = add_recordings(commands)
    add_imports(recordings)
    add_prune(recordings)
    add_move(recordings)
    add_player(recordings)
    add_doctor(commands)
    add_takeover(commands)
    _add_local_commands(commands)


def _add_local_commands(commands: Commands[Any]) -> None:
    """Add the commands that work without a running appliance."""
    add_config(commands)
    add_secret(commands)
    add_database(commands)
    add_version(commands)
    add_simulate(commands)
