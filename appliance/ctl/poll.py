"""`ctl poll`: poll every server at once and show the results."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.tables import Column, render_bar

CLEAR_LINE = "\r\x1b[K"
_AT_ONCE = 16

_COLUMNS = (
    Column("HOSTNAME"),
    Column("STATE"),
    Column("STATUS"),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("LOAD", right=True, drop=2),
    Column("BBB VERSION", drop=1),
    Column("RESULT"),
)


def add_poll(commands: Commands[Any]) -> None:
    """Add the command."""
    about = "poll every server at once and show the results"
    command = add_command(commands, "poll", poll, about, "poll")
    choices = ("all", "servers", "meetings", "versions")
    about = "`versions` only reads the versions (default: all)"
    command.add_argument(
        "what", metavar="|".join(choices), nargs="?", default="all", choices=choices, help=about
    )


def poll(console: Console, client: ControlClient, args: Namespace) -> int:
    """Poll the servers. A failed poll is a result, not a failure of the command."""
    if console.is_terminal and not console.as_json and not console.rake:
        results = _poll_with_progress(console, client, args.what)
    else:
        results = client.post("poll", {"what": args.what}, deadline_s=LONG_S)
    if console.as_json:
        console.document(results)
    elif not console.rake:  # rake's tasks print nothing
        console.table(_COLUMNS, [_row(result) for result in results])
    return DONE


def _poll_with_progress(
    console: Console, client: ControlClient, what: str
) -> list[Mapping[str, Any]]:
    """Poll each server with a separate call, to show the progress."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    servers = client.get("getStatus")["servers"]
    found: dict[str, Mapping[str, Any]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        calls = {
            threads.submit(
                client.post, "poll", {"what": what, "ids": [one["id"]]}, deadline_s=LONG_S
            ): one
            for one in servers
        }
        _show_bar(console, 0, len(servers))
        try:
            for number, call in enumerate(as_completed(calls), 1):
                one = calls[call]
                found[one["id"]] = {**call.result()[0], "hostname": one["hostname"]}
                _show_bar(console, number, len(servers))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            console.out.write(CLEAR_LINE)
    return [found[one["id"]] for one in servers]


def _show_bar(console: Console, done: int, total: int) -> None:
    console.out.write(f"{CLEAR_LINE}{render_bar(done, total)} {done} of {total} polled")
    console.out.flush()


def _row(result: Mapping[str, Any]) -> tuple[object, ...]:
    measured = result["load"] != "unavailable"
    return (
        result["hostname"],
        result["state"],
        result["online"],
        result["meetings"] if measured else "-",
        result["users"] if measured else "-",
        result["load"] if measured else "-",
        result["bbb_version"],
        _result(result),
    )


def _result(result: Mapping[str, Any]) -> str:
    if not result["succeeded"]:
        return str(result["reason"])
    # The version needs no secret, which may be wrong.
    return "reachable" if result["state"] == "disabled" else "ok"
