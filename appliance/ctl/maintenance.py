"""`ctl servers maintenance`: windows in which servers take no meetings."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, USAGE
from appliance.ctl.names import list_known, resolve
from appliance.ctl.tables import Column

LIST, CANCEL = "list", "cancel"
_COLUMNS = (
    Column("WINDOW", whole=True),
    Column("SERVER"),
    Column("PHASE"),
    Column("NO MEETINGS FROM", drop=2),
    Column("FROM"),
    Column("UNTIL"),
    Column("EVERY", drop=3),
    Column("REASON", drop=1),
)


def add_maintenance(servers: Commands[Any]) -> None:
    """Add the command to the group `servers`."""
    about = "plan maintenance of a server, or list or cancel windows"
    example = (
        "servers maintenance bbb1.example.com --from 2026-12-01T22:00:00+01:00"
        " --until 2026-12-01T23:00:00+01:00"
    )
    command = add_command(servers, "maintenance", run, about, example)
    about = "id or host of the server, or its beginning; or the word list or cancel"
    offers(command.add_argument("what", metavar="ID", help=about), "maintained")
    about = "after cancel: the id of a window, or a server: all of its windows"
    offers(command.add_argument("window", metavar="WINDOW", nargs="?", help=about), "window")
    about = "when it begins: ISO 8601 with seconds and zone"
    command.add_argument("--from", dest="since", metavar="T", help=about)
    about = "when it ends (default: when it is cancelled)"
    command.add_argument("--until", metavar="T", help=about)
    about = (
        "how long before it the server gets no new meetings, as 30m or 0"
        " (default: the longest usual meeting of the pool)"
    )
    command.add_argument("--lead", metavar="D", help=about)
    about = "repeat it; only `weekly` is possible"
    command.add_argument("--every", metavar="weekly", help=about)
    command.add_argument("--reason", metavar="TEXT", help="what is done, for the lists")
    about = "change this window of the server, which has not begun, instead of planning another"
    offers(command.add_argument("--replaces", metavar="WINDOW", help=about), "window")


def run(console: Console, client: ControlClient, args: Namespace) -> int:
    """Plan a window, or list or cancel windows."""
    given = {
        "from": args.since,
        "until": args.until,
        "lead": args.lead,
        "every": args.every,
        "reason": args.reason,
        "replaces": args.replaces,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if args.what in (LIST, CANCEL):
        problem = _find_misuse(args, given)
        if problem:
            console.error(problem)
            return USAGE
        return _list(console, client) if args.what == LIST else _cancel(console, client, args)
    if args.since is None or args.window is not None:
        console.error("give the server and --from T, or list, or cancel ID|WINDOW")
        return USAGE
    server_id = resolve("server", args.what, list_known(client, "server")).id
    planned = client.post("addMaintenance", {"id": server_id, **given})
    if console.as_json:
        console.document(planned)
    else:
        console.show(_describe(planned))
    return DONE


def _find_misuse(args: Namespace, given: Mapping[str, Any]) -> str:
    if given:
        return f"{args.what} takes no --{next(iter(given))}"
    if args.what == LIST and args.window is not None:
        return "list takes no further arguments"
    if args.what == CANCEL and args.window is None:
        return "give the window or the server: cancel ID|WINDOW"
    return ""


def _describe(window: Mapping[str, Any]) -> str:
    repeated = f", {window['every']}" if window["every"] else ""
    until = window["until"] or "it is cancelled"
    return (
        f"planned as window {window['id']}: no new meetings from {window['cordon']},"
        f" disabled from {window['from']} until {until}{repeated}"
    )


def _list(console: Console, client: ControlClient) -> int:
    windows = client.get("listMaintenance")
    if console.as_json:
        console.document(windows)
    elif not windows:
        console.line("No maintenance is planned.")
    else:
        console.table(_COLUMNS, list(map(_row, windows)))
    return DONE


def _row(window: Mapping[str, Any]) -> Sequence[object]:
    return (
        window["id"],
        window["server_id"],
        "postponed" if window["postponed"] else window["phase"],
        window["cordon"],
        window["from"],
        window["until"] or "-",
        window["every"] or "once",
        window["reason"],
    )


def _cancel(console: Console, client: ControlClient, args: Namespace) -> int:
    word = args.window
    if word not in {one["id"] for one in client.get("listMaintenance")}:
        word = resolve("server", word, list_known(client, "server")).id
    answer = client.post("cancelMaintenance", {"id": word})
    if console.as_json:
        console.document(answer)
    else:
        console.line(answer["success"][0].upper() + answer["success"][1:] + ".")
    return DONE


def describe_next(window: Mapping[str, Any] | None) -> str:
    """Return the window of a server in a few words; empty: it has none."""
    if window is None:
        return ""
    until = f" until {window['until']}" if window["until"] else ""
    phase = "postponed" if window["postponed"] else window["phase"]
    return f"{phase}, from {window['from']}{until}"


def add_next_lines(console: Console, servers: Sequence[Mapping[str, Any]]) -> None:
    """Show the windows of servers below their table."""
    shown = [
        f"  {one['hostname']}: {describe_next(one['maintenance'])}"
        for one in servers
        if one.get("maintenance")
    ]
    if shown:
        console.line()
        console.line("Maintenance:")
    for line in shown:
        console.show(line)
