"""`ctl poll`: have every server asked now, and show what each said."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import LONG_S, Caller
from appliance.ctl.console import Console
from appliance.ctl.tables import Column, render_bar

DONE = 0
CLEAR_LINE = "\r\x1b[K"
_AT_ONCE = 16

_COLUMNS = (
    Column("HOSTNAME"),
    Column("STATE"),
    Column("STATUS"),
    Column("MEETINGS", right=True),
    Column("USERS", right=True),
    Column("LOAD", right=True),
    Column("BBB VERSION"),
    Column("RESULT"),
)


def poll(console: Console, caller: Caller, args: Namespace) -> int:
    """Poll the servers; it is done when all have answered or failed to, so always 0."""
    if console.is_terminal and not console.as_json and not console.rake:
        results = _poll_with_a_bar(console, caller, args.what)
    else:
        results = caller.post("poll", {"what": args.what}, deadline_s=LONG_S)
    if console.as_json:
        console.document(results)
    elif not console.rake:  # rake's tasks print nothing
        console.table(_COLUMNS, [_row(result) for result in results])
    return DONE


def _poll_with_a_bar(console: Console, caller: Caller, what: str) -> list[Mapping[str, Any]]:
    """Poll each server with a call of its own, so that a person sees how far it is."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    servers = caller.get("getStatus")["servers"]
    found: dict[str, Mapping[str, Any]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        calls = {
            threads.submit(
                caller.post, "poll", {"what": what, "ids": [one["id"]]}, deadline_s=LONG_S
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
        "ok" if result["succeeded"] else result["reason"],
    )
