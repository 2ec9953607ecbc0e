"""`ctl recordings import|imports|retry`: the import of tars."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_limit_option
from appliance.ctl.client import LONG_S, ControlClient, ControlError, NotRunning
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.progress import Progress
from appliance.ctl.recordings import DEFAULT_LIMIT, MAX_LIMIT
from appliance.ctl.tables import Column, counted, format_size, format_time

_TICK_S = 0.2
_IDLE_TICKS = 25

_COLUMNS = (
    Column("FILE", middle=True),
    Column("SIZE", right=True, drop=2),
    Column("STATE"),
    Column("ATTEMPTS", right=True, drop=1),
    Column("TIME (UTC)"),
    Column("NOTE"),
)

_REFUSED_COLUMNS = (
    Column("TIME (UTC)", drop=3),
    Column("RECORDING", middle=True),
    Column("SERVER"),
    Column("SENDER", drop=2),
    Column("ATTEMPTS", right=True, drop=1),
    Column("REASON"),
)


def add_imports(recordings: Commands[Any]) -> None:
    """Add the commands of this module to the group `recordings`."""
    about = "import tars on the appliance's host at once; files outside the spool are kept"
    example = "recordings import /srv/old-recordings/*.tar"
    command = add_command(recordings, "import", import_files, about, example)
    about = "path of a tar on the appliance's host"
    command.add_argument("files", metavar="FILE", nargs="+", help=about)
    command.add_argument("--undelete", action="store_true", help="restore deleted recordings")
    about = "show the journal of imports, and the tars in the spool and in failed/"
    command = add_command(recordings, "imports", list_imports, about, "recordings imports --failed")
    command.add_argument("--failed", action="store_true", help="only failed imports")
    about = "uploads of servers that were refused, and not accepted since"
    command.add_argument("--refused", action="store_true", help=about)
    add_limit_option(command, DEFAULT_LIMIT, MAX_LIMIT)
    about = "import tars of failed/ again: these, or all"
    example = "recordings retry 183f0bf3-1531240585189.tar"
    command = add_command(recordings, "retry", retry, about, example)
    about = "name of a tar, see `recordings imports`"
    command.add_argument("files", metavar="FILE", nargs="*", help=about)


def import_files(console: Console, client: ControlClient, args: Namespace) -> int:
    """Import files one after the other, and wait for each result."""
    ended, failures = [], 0
    for file in args.files:
        try:
            last = _import(console, client, os.path.abspath(file), args.undelete)
        except NotRunning:
            raise
        except ControlError as error:
            last = {"file": file, "state": "refused", "error": str(error)}
        ended.append(last)
        if last["state"] == "done":
            if not console.as_json:
                console.show(f"{file}: imported, {', '.join(last['recordings'])}")
        else:
            failures += 1
            console.error(f"{file}: {_reason(last)}")
    if console.as_json:
        console.document(ended)
    return FAILED if failures else DONE


def _import(
    console: Console, client: ControlClient, path: str, undelete: bool
) -> Mapping[str, Any]:
    body = {"path": path, "undelete": undelete}
    one: Mapping[str, Any]
    with _open_file(path) as file:
        one = client.post("importRecording", body, deadline_s=LONG_S, file=file)
    progress, idle = Progress(console), 0
    try:
        while not _is_over(one) and idle < _IDLE_TICKS:
            # Give up on an import that neither runs nor waits.
            idle = 0 if one["running"] or "unpacked" in one else idle + 1
            _show(progress, one)
            time.sleep(_TICK_S)
            one = client.get("getImport", id=str(one["id"]))
    finally:
        progress.end()
    return one


@contextmanager
def _open_file(path: str) -> Iterator[int | None]:
    """Open a file, which the service may not see; None: not even this user can open it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # not wait for a FIFO
    except OSError:
        file = None
    try:
        yield file
    finally:
        if file is not None:
            os.close(file)


def _is_over(one: Mapping[str, Any]) -> bool:
    """Return whether the import has ended, or failed and waits for another attempt."""
    if one["state"] in ("done", "failed", "interrupted"):
        return True
    return one["state"] == "waiting" and bool(one["error"]) and not one["running"]


def _show(progress: Progress, one: Mapping[str, Any]) -> None:
    name, size = one["file"].rpartition("/")[2], one["size"]
    if one["state"] == "placing" and one["upload_size"]:
        uploaded, whole = one["uploaded"], one["upload_size"]
        text = f"{name}: uploading, {format_size(uploaded)} of {format_size(whole)}"
        progress.show(min(uploaded, whole), whole, text, phase=f"{name}: uploading")
    elif one["state"] == "placing":
        progress.show(size, size, f"{name}: moving", phase=f"{name}: moving")
    elif one["state"] == "extracting":
        # A compressed tar unpacks to more than its size; then the bar stays full.
        unpacked = one.get("unpacked", 0)
        text = f"{name}: unpacking, {format_size(unpacked)} of a tar of {format_size(size)}"
        progress.show(min(unpacked, size), size, text, phase=f"{name}: unpacking")
    else:
        progress.show(0, size, f"{name}: waiting", phase=f"{name}: waiting")


def _reason(last: Mapping[str, Any]) -> str:
    if last["state"] == "interrupted":
        return "the appliance was stopped during the import; import the file again"
    text = last["error"] or "not imported"
    if last["state"] == "waiting" and last.get("next_try"):
        return f"{text}; next attempt at {format_time(last['next_try'])} UTC"
    return str(text)


# --- the journal ---------------------------------------------------------------------------------


def list_imports(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the journal, and the tars in the spool and in failed/; or the refused uploads."""
    if args.refused:
        return _list_refused(console, client)
    answer = client.get_long("getImports", limit=str(args.limit), failed=str(args.failed).lower())
    if console.as_json:
        console.document(answer)
        return DONE
    found = answer["imports"]
    console.table(_COLUMNS, [_row(one) for one in found])
    if (more := answer["count"] - len(found)) > 0:
        console.line(f"{more} more; --limit shows more of them")
    if answer["spool"] and not args.failed:
        console.line(f"\nin the spool: {counted(len(answer['spool']), 'file')}")
        reasons = {(one["file"], one["size"]): _waits_for(one) for one in found}
        for tar in answer["spool"]:
            reason = reasons.get((tar["file"], tar["size"]))
            text = f": {reason}" if reason else ""
            console.show(f"\t{tar['file']}, {format_size(tar['size'])}{text}")
    if answer["failed"]:
        console.line(f"\nin failed/: {counted(len(answer['failed']), 'file')}")
        for tar in answer["failed"]:
            reason = tar["reason"] or "unknown reason"
            console.show(f"\t{tar['file']}, {format_size(tar['size'])}: {reason}")
        console.line("`recordings retry` imports them again")
    return DONE


def _list_refused(console: Console, client: ControlClient) -> int:
    found = client.get("getRefusedUploads")
    if console.as_json:
        console.document(found)
        return DONE
    rows = [
        (
            *(format_time(one["last"]), one["record_id"], one["server"], one["client"]),
            *(one["attempts"], one["reason"]),
        )
        for one in found
    ]
    console.table(_REFUSED_COLUMNS, rows)
    return DONE


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    note = _waits_for(one) or one["error"] or ", ".join(one["recordings"])
    if one["state"] == "placing" and one["upload_size"]:
        sizes = format_size(one["uploaded"]), format_size(one["upload_size"])
        note = f"uploading, {sizes[0]} of {sizes[1]}"
    return (
        one["file"],
        format_size(one["size"]),
        one["state"],
        one["attempts"],
        format_time(one["finished"] or one["started"] or one["created"]),
        note,
    )


def _waits_for(one: Mapping[str, Any]) -> str:
    """Return why an import waits and when it is tried again; empty: it does not wait."""
    if one["state"] != "waiting" or not one["next_try"]:
        return ""
    # All pauses are minutes, so the date is left out.
    return f"{one['error']}; next attempt {format_time(one['next_try'])[-5:]}"


def retry(console: Console, client: ControlClient, args: Namespace) -> int:
    """Import failed files again."""
    retried = client.post("retryImports", {"files": args.files}, deadline_s=LONG_S)
    problems = [one for one in retried if one["problem"]]
    if console.as_json:
        console.document(retried)
    elif not retried:
        console.line("failed/ is empty")
    for one in [] if console.as_json else retried:
        if not one["problem"]:
            console.show(f"{one['file']}: back in the spool, with new attempts")
    for one in problems:
        console.error(f"{one['file']}: {one['problem']}")
    return FAILED if problems else DONE
