"""`ctl recordings import|imports|retry`: tars on their way in."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import LONG_S, Caller, ControlError, NotRunning
from appliance.ctl.console import Console
from appliance.ctl.progress import Progress
from appliance.ctl.recording_shapes import size_text, time_text
from appliance.ctl.tables import Column, counted, shorten

DONE, FAILED = 0, 1
_TICK_S = 0.2
_IDLE_TICKS = 25

_COLUMNS = (
    Column("FILE"),
    Column("SIZE", right=True),
    Column("STATE"),
    Column("ATTEMPTS", right=True),
    Column("TIME (UTC)"),
    Column("NOTE"),
)


def import_files(console: Console, caller: Caller, args: Namespace) -> int:
    """Import files one after the other, and see each through to its end."""
    ended, failures = [], 0
    for file in args.files:
        try:
            last = _import(console, caller, os.path.abspath(file), args.undelete)
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


def _import(console: Console, caller: Caller, path: str, undelete: bool) -> Mapping[str, Any]:
    body = {"path": path, "undelete": undelete}
    one: Mapping[str, Any] = caller.post("importRecording", body, deadline_s=LONG_S)
    progress, idle = Progress(console), 0
    try:
        while not _is_over(one) and idle < _IDLE_TICKS:
            # Nobody is at it, and it is not in the queue either.
            idle = 0 if one["running"] or "unpacked" in one else idle + 1
            _show(progress, one)
            time.sleep(_TICK_S)
            one = caller.get("getImport", id=str(one["id"]))
    finally:
        progress.end()
    return one


def _is_over(one: Mapping[str, Any]) -> bool:
    """Whether nobody is at it any more, for now at least."""
    if one["state"] in ("done", "failed", "interrupted"):
        return True
    return one["state"] == "waiting" and bool(one["error"]) and not one["running"]


def _show(progress: Progress, one: Mapping[str, Any]) -> None:
    name, size = one["file"].rpartition("/")[2], one["size"]
    if one["state"] == "placing":
        progress.show(size, size, f"{name}: moving to its place", phase=f"{name}: moving")
    elif one["state"] == "extracting":
        # A compressed tar unpacks to more than its size; then the bar is full and the bytes tell.
        unpacked = one.get("unpacked", 0)
        text = f"{name}: unpacking, {size_text(unpacked)} of a tar of {size_text(size)}"
        progress.show(min(unpacked, size), size, text, phase=f"{name}: unpacking")
    else:
        progress.show(0, size, f"{name}: waiting", phase=f"{name}: waiting")


def _reason(last: Mapping[str, Any]) -> str:
    if last["state"] == "interrupted":
        return "the appliance was stopped in the middle; import it again"
    text = last["error"] or "not imported"
    if last["state"] == "waiting" and last.get("next_try"):
        return f"{text}; tried again at {time_text(last['next_try'])} UTC"
    return str(text)


# --- the journal ---------------------------------------------------------------------------------


def list_imports(console: Console, caller: Caller, args: Namespace) -> int:
    """Show the journal, and what lies in the spool and in failed/."""
    answer = caller.get_long("getImports", limit=str(args.limit), failed=str(args.failed).lower())
    if console.as_json:
        console.document(answer)
        return DONE
    found = answer["imports"]
    console.table(_COLUMNS, [_row(one) for one in found])
    if (more := answer["count"] - len(found)) > 0:
        console.line(f"{more} more; --limit shows more of them")
    if answer["spool"] and not args.failed:
        console.line(f"\nin the spool: {counted(len(answer['spool']), 'file')}")
        for tar in answer["spool"]:
            console.show(f"\t{tar['file']}, {size_text(tar['size'])}")
    if answer["failed"]:
        console.line(f"\nin failed/: {counted(len(answer['failed']), 'file')}")
        for tar in answer["failed"]:
            reason = tar["reason"] or "no reason is noted"
            console.show(f"\t{tar['file']}, {size_text(tar['size'])}: {reason}")
        console.line("`recordings retry` tries them again")
    return DONE


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    note = one["error"] or ", ".join(one["recordings"])
    if one["state"] == "waiting" and one["next_try"]:
        note = f"again at {time_text(one['next_try'])}: {note}"
    return (
        shorten(one["file"].rpartition("/")[2]) if len(one["file"]) > 40 else one["file"],
        size_text(one["size"]),
        one["state"],
        one["attempts"],
        time_text(one["finished"] or one["started"] or one["created"]),
        note,
    )


def retry(console: Console, caller: Caller, args: Namespace) -> int:
    """Try failed files again: these, or all of them."""
    retried = caller.post("retryImports", {"files": args.files}, deadline_s=LONG_S)
    problems = [one for one in retried if one["problem"]]
    if console.as_json:
        console.document(retried)
    elif not retried:
        console.line("nothing is in failed/")
    for one in [] if console.as_json else retried:
        if not one["problem"]:
            console.show(f"{one['file']}: back in the spool, with new attempts")
    for one in problems:
        console.error(f"{one['file']}: {one['problem']}")
    return FAILED if problems else DONE
