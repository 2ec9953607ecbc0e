"""`ctl versions [share]`: the versions of BBB in the pool, and their shares of new meetings."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, USAGE
from appliance.ctl.tables import Column

_COLUMNS = (
    Column("VERSION"),
    Column("SERVERS", right=True),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("CREATES", right=True, drop=2),
    Column("FAILED", right=True, drop=1),
    Column("FAILURES", right=True),
    Column("SHARE", right=True),
    Column("NOTE"),
)


def add_versions(commands: Commands[Any]) -> None:
    """Add the group `versions`."""
    about = "show the versions of BigBlueButton in the pool, and limit their new meetings"
    group = add_group(commands, "versions", about, show)
    about = "show every version with its servers, meetings, and failures per create of 24 hours"
    add_command(group, "list", show, about, "versions list --json")
    about = "give a version at most so many percent of the new meetings"
    command = add_command(group, "share", share, about, "versions share 3.0.12 10%")
    about = "version, as `versions` shows it"
    offers(command.add_argument("version", metavar="VERSION", help=about), "version")
    about = "from 0%% (no new meetings) to 100%% (no limit)"
    command.add_argument("percent", metavar="P%", nargs="?", help=about)
    command.add_argument("--none", action="store_true", help="no limit any more")


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the versions in a table."""
    found = client.get("getVersions")
    if console.as_json:
        console.document(found)
    elif not found:
        console.line("There are no servers.")
    else:
        console.table(_COLUMNS, list(map(_row, found)))
    return DONE


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    rate, limit = one["failures_per_create"], one["share"]
    return (
        one["version"] or "unknown",
        one["servers"],
        one["meetings"],
        one["users"],
        one["creates"],
        one["failures"],
        "-" if rate is None else f"{rate * 100:.1f}%",
        "-" if limit is None else f"{limit:g}%",
        f"stopped {one['stopped']}: {one['reason']}" if one["stopped"] else "",
    )


def share(console: Console, client: ControlClient, args: Namespace) -> int:
    """Set or remove the share of a version."""
    if args.none is (args.percent is not None):
        console.error("give either P% or --none")
        return USAGE
    percent = "100" if args.none else args.percent
    answer = client.post("shareVersion", {"version": args.version, "percent": percent})
    if console.as_json:
        console.document(answer)
        return DONE
    if answer["share"] is None:
        console.show(f"Version {answer['version']} gets new meetings without a limit.")
    else:
        console.show(
            f"Version {answer['version']} gets at most {answer['share']:g}% of the new meetings."
        )
    if not answer["servers"]:
        console.error("note: no server has this version now")
    return DONE
