"""`ctl` alone: the pool in short, and the three most useful commands for its state."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from appliance.ctl.arguments import PROGRAM
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.console import Console
from appliance.ctl.down import explain_error, inspect_without_appliance
from appliance.ctl.exit_codes import DONE, FAILED, NOT_RUNNING
from appliance.ctl.status import render_status
from appliance.ctl.tables import BOLD, counted, join_first, paint
from appliance.redaction import escape_control

_ROWS = 12
"""Of the table; the servers with something to do come first."""
_SHOWN = 3
_HOUR_MS = 3_600_000

_NEXT_LINE = "\n      "

Suggestion = tuple[str, str]
"""A command without its beginning, and what it does here."""
_DOWN: tuple[Suggestion, ...] = (
    ("ctl doctor", "inspects units, journal, configuration and secrets without the appliance"),
    ("config check", "shows the configuration, and what is wrong with it"),
    (f"journalctl -u {PROGRAM} -n 50", "shows the end of the log"),
)


def show_overview(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the pool and what can be done; exit code 3 if the appliance is not running."""
    try:
        status = client.get("getStatus")
    except Refusal as error:
        return _show_failure(console, str(error), [], FAILED)
    except ControlError as error:
        path = find_socket(os.environ, is_root=os.geteuid() == 0)
        found = [explain_error(path, error), *inspect_without_appliance()]
        lines = [f"{one['text']}\n-> {one['advice']}" for one in found if one["level"] == "fail"]
        code = NOT_RUNNING if isinstance(error, NotRunning) else FAILED
        return _show_failure(console, lines[0], lines[1:], code)
    events = _find_problems(client)
    commands = suggest(status, events)
    if console.as_json:
        suggested = [{"command": _complete(one), "effect": effect} for one, effect in commands]
        console.document({**status, "recent_problems": events, "suggestions": suggested})
        return DONE
    console.line(summarize(status))
    if status["servers"]:
        console.line()
        _show_servers(console, status)
    if events:
        console.line()
        console.show(f"{counted(len(events), 'problem')} in the last hour, the last one:")
        last = f"{time.strftime('%H:%M:%S', time.localtime(events[-1]['time_ms'] / 1000))}  "
        console.show(f"\t{last}{events[-1]['text']}")
    show_commands(console, commands)
    return DONE


def summarize(status: Mapping[str, Any]) -> str:
    """Return the state of the pool in a line."""
    servers = status["servers"]
    if not servers:
        return "There are no servers yet."
    load = f"{counted(status['meetings'], 'meeting')}, {counted(status['users'], 'user')}"
    return f"{status['available']} of {counted(len(servers), 'server')} available; {load}"


def suggest(status: Mapping[str, Any], problems: Sequence[Mapping[str, Any]]) -> list[Suggestion]:
    """Return three commands, the most useful first. problems: events of the last hour. Pure."""
    found = [*_find_work(status["servers"], {event["event"] for event in problems})]
    if problems:
        found.append(("ctl events --since 1h", "shows what happened in the last hour"))
    found += [
        ("ctl top", "shows the servers as they change; cordons, drains and enables them"),
        ("ctl events --follow", "shows what happens"),
        ("ctl doctor", "checks stores, directories, clocks, secrets and servers"),
    ]
    return found[:_SHOWN]


def _find_work(servers: Sequence[Mapping[str, Any]], events: Set[str]) -> Iterator[Suggestion]:
    """Yield commands for what is wrong or unfinished."""
    if not servers:
        yield ("ctl servers add --enable", "asks for URL and secret of the first server")
        yield ("ctl doctor", "checks stores, directories, clocks and secrets")
        return
    used = [one for one in servers if one["state"] != "disabled"]
    if lost := [one for one in used if one["status"] == "offline"]:
        yield ("ctl doctor", f"says why {_names(lost)} cannot be reached or used")
    if shaky := [one for one in used if one["status"] == "unstable"]:
        yield ("ctl poll", f"asks {_names(shaky)} again, which did not answer the last poll")
    idle = [one for one in servers if one["state"] == "disabled"]
    if idle and not used:
        yield (
            f"ctl servers enable {idle[0]['hostname']}",
            "lets it take meetings; no other server does",
        )
    if "recording_import_given_up" in events:
        yield ("ctl recordings imports --failed", "shows recordings that could not be imported")
    if full := [one for one in used if one["state"] == "cordoned" and one["meetings"]]:
        left = counted(full[0]["meetings"], "meeting")
        yield (f"ctl servers drain {full[0]['hostname']} --wait", f"waits for its {left} to end")
    if idle and used:
        yield (
            f"ctl servers enable {idle[0]['hostname']}",
            "lets this disabled server take meetings",
        )


def _names(servers: Sequence[Mapping[str, Any]]) -> str:
    return join_first([one["hostname"] for one in servers], 1)


def _find_problems(client: ControlClient) -> list[Mapping[str, Any]]:
    """Return the warnings and errors of the last hour."""
    since_ms = str(int(time.time() * 1000) - _HOUR_MS)
    answer = client.get("getEvents", limit="1000", since_ms=since_ms)
    return [event for event in answer["events"] if event["level"] != "info"]


def _show_servers(console: Console, status: Mapping[str, Any]) -> None:
    def rank(server: Mapping[str, Any]) -> tuple[bool, bool, float]:
        load = server["load"] if isinstance(server["load"], int | float) else 0.0
        idle = server["state"] == "disabled"
        return (idle, server["status"] == "online", -load)

    servers = status["servers"]
    if len(servers) > _ROWS:
        servers = sorted(servers, key=rank)[:_ROWS]
    console.line(render_status({"servers": servers}, colours=console.colours, width=console.width))
    if more := len(status["servers"]) - len(servers):
        console.line(f"(and {more} more: {PROGRAM} ctl status)")


def _show_failure(console: Console, first: str, others: Sequence[str], code: int) -> int:
    if console.as_json:
        suggested = [{"command": _complete(one), "effect": effect} for one, effect in _DOWN]
        console.document({"error": first, "findings": [*others], "suggestions": suggested})
        return code
    for text in (first, *others):
        for line in text.replace("`", "'").splitlines():
            console.error(f"  {line}" if line.startswith("->") else line)
    show_commands(console, _DOWN)
    return code


def show_commands(console: Console, commands: Sequence[Suggestion]) -> None:
    """Show commands with what they do: beside them, or below them on a narrow terminal."""
    console.line()
    width = max(len(_complete(command)) for command, _ in commands)
    longest = 4 + width + max(len(effect) for _, effect in commands)
    fits = console.width is None or longest <= console.width
    for command, effect in commands:
        text = escape_control(_complete(command)).ljust(width if fits else 0)
        shown = paint(text, BOLD) if console.colours else text
        console.line(f"  {shown}{'  ' if fits else _NEXT_LINE}{escape_control(effect)}")


def _complete(command: str) -> str:
    return command if command.startswith("journalctl") else f"{PROGRAM} {command}"
