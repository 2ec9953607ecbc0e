"""`ctl servers sync|export|add-all`: the pool as a YAML file.

The appliance parses the file; ctl only passes on its text. As a rake task the commands print the
lines that lib/server_sync.rb of Scalelite logs.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import LONG_S, ControlClient, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.progress import waiting
from appliance.ctl.tables import counted

_MAX_BYTES = 1024 * 1024


def add_server_lists(servers: Commands[Any]) -> None:
    """Add the commands of this module to the group `servers`."""
    about = "add, change and remove servers until the pool matches a YAML file"
    command = add_command(servers, "sync", sync, about, "servers sync servers.yml --dry-run")
    command.add_argument("file", metavar="FILE", help="file of Scalelite's format; -: stdin")
    about = (
        "for servers that are not in the file: keep them; cordon (default): remove empty ones and"
        " cordon the others; force: end their meetings and remove them"
    )
    modes = ("keep", "cordon", "force")
    command.add_argument("--mode", choices=modes, default="cordon", help=about)
    command.add_argument("--dry-run", action="store_true", help="only show the changes")
    about = "print the pool as YAML for `servers sync`, with the secrets of the servers"
    command = add_command(servers, "export", export, about, "servers export > servers.yml")
    about = "include state, load and online"
    command.add_argument("--verbose", action="store_true", help=about)
    about = "add the servers of a YAML list, disabled; prefer `servers sync`"
    command = add_command(servers, "add-all", add_all, about, "servers add-all new-servers.yml")
    command.add_argument("file", metavar="FILE", help="the list; -: stdin")


def sync(console: Console, client: ControlClient, args: Namespace) -> int:
    """Change the pool until it matches a file."""
    body = {"mode": args.mode, "dry_run": args.dry_run}
    answer = _send(console, client, "syncServers", args.file, body)
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
        console.error(_describe_failure(answer))
    return FAILED if failed else DONE


def _send(
    console: Console, client: ControlClient, call: str, path: str, body: Mapping[str, Any]
) -> Any | None:
    """Send a file; None: it is unreadable or invalid, and each problem was reported."""
    try:
        text = _read(console, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        console.error(f"{'ERROR: ' if console.rake else ''}{path}: {reason}")
        return None
    try:
        with waiting(console, "changing the pool"):
            return client.post(call, {**body, "yaml": text}, deadline_s=LONG_S)
    except Refusal as refusal:
        if not refusal.problems:
            raise
        count = len(refusal.problems)
        problems = "1 problem" if count == 1 else f"{count} problems"
        lead = "ERROR: " if console.rake else ""
        console.error(f"{lead}{path} has {problems}; nothing was changed:")
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
        raise ValueError("the file is too long for a list of servers")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text") from None


def _failed(server: Mapping[str, Any]) -> bool:
    return server["outcome"] not in ("planned", "done")


def _warn_of_meetings(console: Console, server: Mapping[str, Any]) -> None:
    for meeting in server["ended"]:
        if meeting["outcome"] == "failed":
            console.error(f"WARNING: Could not end meeting id={meeting['id']}: {meeting['reason']}")


def _describe_failure(answer: Mapping[str, Any]) -> str:
    count = sum(server["outcome"] == "done" for server in answer["servers"])
    return (
        f"aborted: {answer['failure']}; {count} of {len(answer['servers'])} servers are done,"
        " sync again to complete the change"
    )


# --- output --------------------------------------------------------------------------------------


def _show(console: Console, answer: Mapping[str, Any]) -> None:
    servers: Sequence[Mapping[str, Any]] = answer["servers"]
    if answer["dry_run"]:
        console.line("Dry run, nothing is changed. A sync would make these changes:")
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
            return "keep, not in the file"
        case "remove":
            return "remove"
        case "evict":
            return f"end {counted(server['meetings'], 'meeting')} and remove{_owed(server)}"
    verb, has = "cordon" if state else "wait", counted(server["meetings"], "meeting")
    if not server["meetings"]:
        has = f"{counted(server['recordings_owed'], 'recording')} to deliver"
    return f"{verb}: it has {has}; a later sync removes it"


def _owed(server: Mapping[str, Any]) -> str:
    owed = server["recordings_owed"]
    return f", although it has {counted(owed, 'recording')} to deliver" if owed else ""


def _values(changes: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in changes.items()]


def _mark(outcome: str) -> str:
    marks = {
        "failed": " (FAILED)",
        "uncertain": " (unknown)",
        "not_reached": " (NOT done)",
    }
    return marks.get(outcome, "")


# --- output of rake ------------------------------------------------------------------------------


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


def export(console: Console, client: ControlClient, args: Namespace) -> int:
    """Print the pool as a file for `servers sync`."""
    answer = client.get("exportServers", verbose="true" if args.verbose else "false")
    if console.as_json:
        console.document(answer)
    else:
        console.out.write(answer["yaml"])
    return DONE


def add_all(console: Console, client: ControlClient, args: Namespace) -> int:
    """Add the servers of a file."""
    added = _send(console, client, "addServers", args.file, {})
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
            console.error(f"note: {one['url']} already exists and is not changed")
        elif one["outcome"] != "done":
            console.error(f"not added: {one['url']}: {one['reason'] or _NOT_ADDED}")
    return FAILED if any(one["outcome"] != "done" for one in added) else DONE


_NOT_ADDED = "the connection to Redis was lost; run the command again"
