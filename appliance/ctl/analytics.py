"""`ctl analytics [list|show]`: the stored reports that servers sent after meetings."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group, add_limit_option
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.tables import Column, format_size

_COLUMNS = (
    Column("ID", whole=True),
    Column("MEETING ID"),
    Column("CUSTOMER", drop=1),
    Column("RECEIVED (UTC)"),
    Column("SIZE", right=True, drop=2),
)


DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000


def add_analytics(commands: Commands[Any]) -> None:
    """Add the group `analytics`."""
    about = "show the reports that servers sent after meetings (ANALYTICS_STORE=true)"
    group = add_group(commands, "analytics", about, list_all, limit=DEFAULT_LIMIT)
    about = "show the stored reports, the newest first"
    command = add_command(group, "list", list_all, about, "analytics list")
    add_limit_option(command, DEFAULT_LIMIT, MAX_LIMIT)
    about = "print a report as JSON, as the server sent it"
    example = "analytics show 183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
    command = add_command(group, "show", show, about, example)
    command.add_argument("id", metavar="ID", help="id of the report, see `analytics list`")


def list_all(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the stored reports in a table."""
    answer = client.get_long("listAnalytics", limit=str(args.limit))
    if console.as_json:
        console.document(answer["analytics"])
    else:
        console.table(_COLUMNS, [_row(one) for one in answer["analytics"]])
    return DONE


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Print a report, which is always JSON."""
    console.document(client.get_long("getAnalytics", id=args.id)["report"])
    return DONE


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    received = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["received_ms"] / 1000))
    return one["id"], one["meeting_id"], one["customer"], received, format_size(one["bytes"])
