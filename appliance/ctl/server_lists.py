"""`ctl servers sync|export|add-all`: the whole pool as a YAML file.

The appliance parses the file; here it is text. In rake's spelling the lines are those that
Scalelite's lib/server_sync.rb logs.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.client import LONG_S, Caller, Refusal
from appliance.ctl.console import Console
from appliance.ctl.progress import waiting
from appliance.ctl.tables import counted

DONE, FAILED = 0, 1

_MAX_BYTES = 1024 * 1024


def sync(console: Console, caller: Caller, args: Namespace) -> int:
    """Make the pool what a file says."""
    body = {"mode": args.mode, "dry_run": args.dry_run}
    answer = _send(console, caller, "syncServers", args.file, body)
    if answer is None:
        return FAILED
    failed = answer["failure"] or any(_failed(server) for server in answer["servers"])
    if console.as_json:
        console.document(answer)
    elif console.rake:
        _show_as_rake(console, answer["servers"])
    else:
        _show(console, answer)
    for note in answer["notes"]:
        console.error(f"note: {note}")
    for server in answer["servers"]:
        if server["reason"]:
            console.error(f"server {server['id']}: {server['reason']}")
        _warn_of_meetings(console, server)
    if answer["failure"]:
        console.error(_broken_off(answer))
    return FAILED if failed else DONE


def _send(
    console: Console, caller: Caller, call: str, path: str, body: Mapping[str, Any]
) -> Any | None:
    """Send a file; None: it cannot be read or used, and this was said, problem by problem."""
    try:
        text = _read(console, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        console.error(f"{'ERROR: ' if console.rake else ''}{path}: {reason}")
        return None
    try:
        with waiting(console, "changing the pool"):
            return caller.post(call, {**body, "yaml": text}, deadline_s=LONG_S)
    except Refusal as refusal:
        if not refusal.problems:
            raise
        count = len(refusal.problems)
        problems = "1 problem" if count == 1 else f"{count} problems"
        lead = "ERROR: " if console.rake else ""
        console.error(f"{lead}{path} has {problems}, so nothing was changed:")
        for problem in refusal.problems:
            console.error(f"  {problem}")
        return None


def _read(console: Console, path: str) -> str:
    """Read the file, or standard input for `-`. Raises OSError, ValueError."""
    if path == "-":
        raw = getattr(console.stdin, "buffer", console.stdin).read(_MAX_BYTES + 1)
        content = raw if isinstance(raw, bytes) else raw.encode()
    else:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError("it is too long for a list of servers")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None


def _failed(server: Mapping[str, Any]) -> bool:
    return server["outcome"] not in ("planned", "done")


def _warn_of_meetings(console: Console, server: Mapping[str, Any]) -> None:
    for meeting in server["ended"]:
        if meeting["outcome"] == "failed":
            console.error(f"WARNING: Could not end meeting id={meeting['id']}: {meeting['reason']}")


def _broken_off(answer: Mapping[str, Any]) -> str:
    count = sum(server["outcome"] == "done" for server in answer["servers"])
    return (
        f"broken off: {answer['failure']}; {count} of {len(answer['servers'])} servers are done,"
        " sync again to finish"
    )


# --- the lines of ctl ----------------------------------------------------------------------------


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    servers: Sequence[Mapping[str, Any]] = answer["servers"]
    if answer["dry_run"]:
        console.line("Dry run, nothing is changed. A sync would do this:")
    for server in servers:
        if server["kind"] != "nothing":
            console.show(f"{server['id']}: {_describe(server)}{_mark(server['outcome'])}")
    same = sum(server["kind"] == "nothing" for server in servers)
    console.line(f"{counted(same, 'server')} unchanged")


def _describe(server: Mapping[str, Any]) -> str:
    changes = dict(server["changes"])
    state = changes.pop("state", None)
    match server["kind"]:
        case "add":
            return ", ".join(["add", *_values(changes), state or "disabled"])
        case "change":
            words = [*_values(changes), *([f"state={state}"] if state else [])]
            return f"change {', '.join(words)}"
        case "keep":
            return "not in the file, kept"
        case "remove":
            return "remove"
        case "evict":
            return f"end {counted(server['meetings'], 'meeting')} and remove"
    verb = "cordon" if state else "wait"
    return f"{verb}: it has {counted(server['meetings'], 'meeting')}, a later sync removes it"


def _values(changes: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in changes.items()]


def _mark(outcome: str) -> str:
    marks = {
        "failed": " (FAILED)",
        "uncertain": " (perhaps done)",
        "not_reached": " (NOT done)",
    }
    return marks.get(outcome, "")


# --- the lines of rake ---------------------------------------------------------------------------


def _show_as_rake(console: Console, servers: Sequence[Mapping[str, Any]]) -> None:
    for server in servers:
        if server["outcome"] in ("planned", "done"):
            for line in _rake_lines(server):
                console.show(f"[{server['id']}] {line}")


def _rake_lines(server: Mapping[str, Any]) -> list[str]:
    changes = dict(server["changes"])
    state = changes.pop("state", None)
    enabled = {"enabled": ["Server enabled"], "cordoned": ["Server disabled (cordoned)"]}
    not_empty = "Server not empty."
    match server["kind"]:
        case "add":
            return ["Server created", *enabled.get(state, [])]
        case "change":
            return [f"Server updated: {one}" for one in _values(changes)] + enabled.get(state, [])
        case "keep":
            return ["Server not removed"]
        case "remove":
            return ["Server removed"]
        case "cordon":
            return [f"{not_empty} Cordoned for removal"] if state else []
        case "evict":
            ends = [f"Try to end meeting id={meeting['id']}" for meeting in server["ended"]]
            return [f"{not_empty} Ending meetings now...", *ends, "Server removed"]
    return []


# --- export, add-all -----------------------------------------------------------------------------


def export(console: Console, caller: Caller, args: Namespace) -> int:
    """Print the file that makes a pool like this one."""
    answer = caller.get("exportServers", verbose="true" if args.verbose else "false")
    if console.as_json:
        console.document(answer)
    else:
        console.out.write(answer["yaml"])
    return DONE


def add_all(console: Console, caller: Caller, args: Namespace) -> int:
    """Add the servers of a file."""
    added = _send(console, caller, "addServers", args.file, {})
    if added is None:
        return FAILED
    if console.as_json:
        console.document(added)
    for one in [] if console.as_json else added:
        if one["id"]:
            console.show(f"server: {one['url']}")
            console.show(f"id: {one['id']}")
    for one in added:
        if one["was_there"]:
            console.error(f"note: {one['url']} was there already, it stays as it is")
        elif one["outcome"] != "done":
            console.error(f"not added: {one['url']}: {one['reason'] or _NOT_ADDED}")
    return FAILED if any(one["outcome"] != "done" for one in added) else DONE


_NOT_ADDED = "the meeting store (Redis) was lost; give the file again"
