"""The command line of ctl: which commands there are, their arguments, help and examples.

Holds no command; each leaf names the function that runs it. An error here is exit code 2.
"""

from __future__ import annotations

import argparse
from typing import Any

from appliance.ctl import local, meetings, polling, server_states, servers, status
from appliance.ctl.analytics_arguments import add_analytics
from appliance.ctl.callback_arguments import add_callbacks
from appliance.ctl.doctor_arguments import add_doctor
from appliance.ctl.parsing import Group, Parser, add_common, branch, leaf, limit, positive
from appliance.ctl.recording_arguments import add_recordings
from appliance.ctl.simulate_arguments import add_simulate
from appliance.ctl.sync_arguments import add_sync
from appliance.ctl.takeover_arguments import add_takeover
from appliance.ctl.tenant_arguments import add_tenant_settings, add_tenants

_EXIT_CODES = """\
Exit codes: 0 done, 1 refused or failed (one line on standard error says why), 2 usage,
3 the appliance is not running. --json gives the output to scripts. rake's spelling works as well:
  scalelite-appliance ctl 'servers:add[https://bbb1.example.com/bigbluebutton/api,SECRET,2.0]'
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="scalelite-appliance ctl",
        description="Administer the running appliance over its control socket.",
        epilog=_EXIT_CODES,
    )
    add_common(parser, default=False)
    groups = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_servers(groups)
    _add_status(groups)
    _add_meetings(groups)
    _add_poll(groups)
    add_callbacks(groups)
    add_analytics(groups)
    add_tenants(groups)
    add_tenant_settings(groups)
    add_recordings(groups)
    add_doctor(groups)
    add_takeover(groups)
    _add_local(groups)
    add_simulate(groups)
    return parser


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="ID", help="id of the server, as `servers list` shows it")
    return parser


def _add_servers(groups: Group[Any]) -> None:
    about = "the BigBlueButton servers of the pool"
    group = branch(groups, "servers", about, servers.list_all)
    about = "show every server with its id, url, secret and load"
    leaf(group, "list", servers.list_all, about, "servers list --json | jq -r '.[].id'")
    _add_server_values(group)
    _add_server_states(group)
    remove = _with_id(
        leaf(
            group,
            "remove",
            servers.remove,
            "remove a server from the pool",
            "servers remove bbb1.example.com",
        )
    )
    remove.add_argument(
        "--force",
        action="store_true",
        help="even if it has meetings: they run on there, but nobody finds them any more",
    )
    add_sync(group)
    found = leaf(
        group,
        "meetings",
        meetings.list_on_servers,
        "ask servers what runs on them",
        "servers meetings bbb1.example.com",
    )
    found.add_argument("ids", metavar="ID", nargs="*", help="only these servers")


def _add_server_values(group: Group[Any]) -> None:
    add = leaf(
        group,
        "add",
        servers.add,
        "add a server, disabled; the url is its API endpoint (bbb-conf --secret shows both)",
        "servers add https://bbb1.example.com/bigbluebutton/api SECRET --enable",
    )
    add.add_argument("url", metavar="URL", help="https://HOST/bigbluebutton/api")
    add.add_argument("secret", metavar="SECRET", help="the server's shared secret; -: from stdin")
    _add_value_options(add)
    add.add_argument("--id", help="id (default: a UUID, or the host: SERVER_ID_IS_HOSTNAME)")
    add.add_argument("--enable", action="store_true", help="enable it, too")
    update = _with_id(
        leaf(
            group,
            "update",
            servers.update,
            "change a server; what is not given stays as it is",
            "servers update bbb1.example.com --load-multiplier 2 --tag ''",
        )
    )
    update.add_argument("--secret", metavar="S", help="the server's shared secret; -: from stdin")
    _add_value_options(update)
    multiplier = _with_id(
        leaf(
            group,
            "load-multiplier",
            servers.set_multiplier,
            "set how weak a server is",
            "servers load-multiplier bbb1.example.com 2",
        )
    )
    multiplier.add_argument(
        "load_multiplier", metavar="N", type=positive, help="greater for weaker servers"
    )
    tag = _with_id(
        leaf(
            group,
            "tag",
            servers.set_tag,
            "set a server's tag; '' removes it",
            "servers tag bbb1.example.com lectures",
        )
    )
    tag.add_argument("tag", metavar="T", help="what meta_server-tag asks for; '' removes it")


def _add_value_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--load-multiplier", metavar="N", type=positive, help="greater for weaker servers"
    )
    parser.add_argument("--tag", metavar="T", help="for meta_server-tag; '' removes it")
    parser.add_argument(
        "--max-meetings", metavar="N", type=limit, help="no more meetings than this; 0: no limit"
    )
    parser.add_argument(
        "--max-users", metavar="N", type=limit, help="no more users than this; 0: no limit"
    )


def _add_server_states(group: Group[Any]) -> None:
    _with_id(
        leaf(
            group,
            "enable",
            server_states.enable,
            "let a server take meetings, and poll it now",
            "servers enable bbb1.example.com",
        )
    )
    _with_id(
        leaf(
            group,
            "cordon",
            server_states.cordon,
            "let a server take no new meetings; it is disabled once it is empty",
            "servers cordon bbb1.example.com",
        )
    )
    disable = _with_id(
        leaf(
            group,
            "disable",
            server_states.disable,
            "disable a server and end its meetings",
            "servers disable bbb1.example.com --yes",
        )
    )
    disable.add_argument("--yes", action="store_true", help="do not ask if it has load")
    panic = _with_id(
        leaf(
            group,
            "panic",
            server_states.panic,
            "clear a crashed server: forget and end its meetings, and disable it",
            "servers panic bbb1.example.com",
        )
    )
    panic.add_argument("--keep-state", action="store_true", help="do not disable it")
    panic.add_argument("--skip-end-calls", action="store_true", help="only forget the meetings")
    drain = _with_id(
        leaf(
            group,
            "drain",
            server_states.drain,
            "cordon a server, to be disabled once its meetings are over",
            "servers drain bbb1.example.com --wait && ssh bbb1.example.com reboot",
        )
    )
    drain.add_argument("--wait", action="store_true", help="until it is empty and disabled")


def _add_status(groups: Group[Any]) -> None:
    parser = leaf(
        groups, "status", status.show, "show the state of the pool in a table", "status --watch"
    )
    parser.add_argument("--watch", action="store_true", help="show it anew until Ctrl-C")
    parser.add_argument(
        "--interval", metavar="S", type=positive, default=2.0, help="with --watch (default 2 s)"
    )


def _add_meetings(groups: Group[Any]) -> None:
    about = "the meetings of the pool"
    group = branch(groups, "meetings", about, meetings.list_blocks, ids=[])
    found = leaf(
        group,
        "list",
        meetings.list_table,
        "show meetings and their servers",
        "meetings list physics-101",
    )
    found.add_argument("ids", metavar="ID", nargs="*", help="only these meetings")
    info = leaf(
        group,
        "info",
        meetings.show,
        "show what a meeting's server says about it",
        "meetings info physics-101",
    )
    info.add_argument("id", metavar="ID", help="the front-end's meetingID")
    end = leaf(
        group,
        "end",
        meetings.end,
        "end meetings; without ids ALL of them, after asking",
        "meetings end --yes physics-101",
    )
    end.add_argument("ids", metavar="ID", nargs="*", help="only these meetings")
    end.add_argument("--yes", action="store_true", help="do not ask")


def _add_poll(groups: Group[Any]) -> None:
    parser = leaf(groups, "poll", polling.poll, "ask every server now, and show its answer", "poll")
    parser.add_argument(
        "what",
        nargs="?",
        default="all",
        choices=("all", "servers", "meetings", "versions"),
        help="default: all",
    )


def _add_local(groups: Group[Any]) -> None:
    config = groups.add_parser("config", help="the configuration in the environment")
    group = config.add_subparsers(metavar="COMMAND", required=True)
    about = "show the effective configuration"
    leaf(group, "check", local.check_configuration, about, "config check --json")
    secret = groups.add_parser("secret", help="secrets for the configuration")
    group = secret.add_subparsers(metavar="COMMAND", required=True)
    leaf(group, "generate", local.generate_secret, "print a new random secret", "secret generate")
    database = groups.add_parser("database", help="the PostgreSQL of the environment")
    group = database.add_subparsers(metavar="COMMAND", required=True)
    leaf(
        group,
        "migrate",
        local.migrate_database,
        "bring the database to the schema of this version; `run` does it by itself",
        "database migrate",
    )
    leaf(groups, "version", local.show_version, "print the version of this package", "version")
