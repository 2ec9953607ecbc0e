"""`ctl tenants limits` and `ctl tenants show`: limits of a tenant, and what its calls become.

Without multitenancy both are about the whole pool, whose name is `default`.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, USAGE
from appliance.ctl.names import takes_names
from appliance.ctl.tables import Column

_COLUMNS = (
    Column("LIMIT"),
    Column("MAXIMUM", right=True),
    Column("IN USE", right=True),
    Column(""),
)
_WHICH = "id or name of the tenant, or its beginning; default: a pool without tenants"


def add_tenant_limits(group: Commands[Any]) -> None:
    """Add the commands to the group `tenants`."""
    about = "show and set the limits of a tenant; name= removes one"
    example = "tenants limits school max_meetings=20 max_users=500"
    command = add_command(group, "limits", limits, about, example)
    command.add_argument("id", metavar="NAME|ID", help=_WHICH)
    about = (
        "max_meetings, max_users, max_users_per_meeting, max_duration (minutes), "
        "max_recordings_gb, max_creates_per_minute"
    )
    command.add_argument("values", metavar="name=value", nargs="*", help=about)
    takes_names(command, "tenant", "id")
    about = "show limits and settings of a tenant, and what its creates and joins will look like"
    command = add_command(group, "show", show, about, "tenants show school")
    command.add_argument("id", metavar="NAME|ID", help=_WHICH)
    takes_names(command, "tenant", "id")


def limits(console: Console, client: ControlClient, args: Namespace) -> int:
    """Set the given limits, and show all."""
    pairs = [word.partition("=") for word in args.values]
    wrong = next((name for name, equals, _ in pairs if not equals or not name), None)
    if wrong is not None:
        console.error(f"{wrong!r} is not name=value")
        return USAGE
    if pairs:
        values = {name: value for name, _, value in pairs}
        found = client.post("setTenantLimits", {"id": args.id, "limits": values})
    else:
        found = client.get("getTenantLimits", id=args.id)
    if console.as_json:
        console.document(found)
    else:
        _show_limits(console, found)
    return DONE


def _show_limits(console: Console, found: Mapping[str, Any]) -> None:
    if not found["limits"]:
        console.show(f"{found['name']} has no limits")
        return
    rows = [
        [
            *(name, _number(use["limit"]), "" if use["used"] is None else _number(use["used"])),
            "80 % or more" if use["near"] else "",
        ]
        for name, use in found["limits"].items()
    ]
    console.table(_COLUMNS, rows)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show a tenant."""
    found = client.get("showTenant", id=args.id)
    if console.as_json:
        console.document(found)
        return DONE
    console.show(f"id: {found['id']}" if found["id"] else "the pool, without tenants")
    console.show(f"name: {found['name']}")
    _show_limits(console, found)
    for setting in found["settings"]:
        parts = (setting["param"], setting["mode"], setting["value"])
        version = f"version={setting['version']}" if setting["version"] else ""
        call = f"(only {setting['call']})" if setting["call"] else ""
        console.show("setting: " + " ".join(part for part in (*parts, version, call) if part))
    for rule in found["pool_rules"]:
        version = f"version={rule['version']}" if rule["version"] else ""
        words = (rule["call"], rule["param"], rule["mode"], rule["value"], version)
        console.show("rule of the pool: " + " ".join(word for word in words if word))
    _show_calls(console, found["calls"], "")
    for one in found["versions"]:
        _show_calls(console, one, f" on servers of version {one['version']}")
    return DONE


def _show_calls(console: Console, calls: Mapping[str, Any], where: str) -> None:
    for call in ("create", "join"):
        console.show(f"{call}{where}:")
        for param in calls[call]:
            console.show(f"\t{param['name']}={param['value']}")
