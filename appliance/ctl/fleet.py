"""`ctl capacity` and `ctl autoscale`: how many servers the pool needs, and what is asked for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.tables import Column, counted

_ACTIONS = (Column("DO"), Column("SERVERS", right=True), Column("SERVER"), Column("WHY"))


def add_fleet(commands: Commands[Any]) -> None:
    """Add the commands."""
    about = "show the seats of the pool, the forecast, and how many servers are needed"
    add_command(commands, "capacity", show_capacity, about, "capacity --json")
    group = add_group(commands, "autoscale", "what the autoscaler is asked for")
    about = "show what the autoscaler is to do now, and why"
    add_command(group, "plan", show_plan, about, "autoscale plan --json")


def show_capacity(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the capacity of the pool."""
    found = client.get("capacity")
    if console.as_json:
        console.document(found)
        return DONE
    names = _read_names(client)
    by_tag = ", ".join(f"{number} {tag}" for tag, number in found["needed"].items())
    rows = (
        ("Users", f"{found['users']} in {counted(found['meetings'], 'meeting')}"),
        ("Seats", f"{found['free_seats']} of {found['seats']} free"),
        ("Forecast", f"{counted(found['forecast'], 'user')} within an hour"),
        ("Servers needed", str(found["desired_servers"])),
        *((("By tag", by_tag),) if len(found["needed"]) > 1 else ()),
        ("Can be drained", _list(found["drainable"], names)),
        ("Safe to stop", _list(found["safe_to_stop"], names)),
    )
    for title, text in rows:
        console.line(console.wrapped(f"{title + ':':<16}{text}", " " * 16))
    return DONE


def show_plan(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show what the autoscaler is to do, and what its hooks know."""
    found = client.get("autoscalePlan")
    if console.as_json:
        console.document(found)
        return DONE
    console.line(console.wrapped(found["reason"]))
    console.line()
    if found["actions"]:
        names = _read_names(client)
        rows = [
            (one["action"], one["servers"], names.get(one["server"], "-"), one["reason"])
            for one in found["actions"]
        ]
        console.table(_ACTIONS, rows)
    else:
        console.line("There is nothing to do.")
    console.line()
    if not found["hooks"]:
        console.line("No autoscaler is configured: set AUTOSCALE_URL or AUTOSCALE_COMMAND.")
    for hook in found["hooks"]:
        console.line(console.wrapped(_describe_hook(hook), "  "))
    return DONE


def _describe_hook(hook: Mapping[str, Any]) -> str:
    name = f"AUTOSCALE_{hook['name'].upper()}"
    if hook["told"] is None:
        text = f"{name} has not been notified yet"
    else:
        text = f"{name} was last notified at {hook['told']}: {hook['desired_servers']} needed"
    if hook["waiting"]:
        text += f"; waiting: {', '.join(event['event'] for event in hook['waiting'])}"
    if hook["failures"]:
        text += f"; {counted(hook['failures'], 'call')} failed, the last one: {hook['error']}"
    return text


def _read_names(client: ControlClient) -> dict[str, str]:
    return {one["id"]: one["hostname"] for one in client.get("getStatus")["servers"]}


def _list(server_ids: Sequence[str], names: Mapping[str, str]) -> str:
    return ", ".join(names.get(one, one) for one in server_ids) or "-"
