"""`ctl recordings list|show|update|add-to-tenant`: what is kept of recordings, and its repair."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import LONG_S, Caller
from appliance.ctl.console import Console
from appliance.ctl.progress import Progress
from appliance.ctl.recording_shapes import (
    COLUMNS,
    few,
    recording_row,
    size_text,
    time_text,
)
from appliance.ctl.tables import counted

DONE, FAILED, USAGE = 0, 1, 2


def list_all(console: Console, caller: Caller, args: Namespace) -> int:
    """Show the newest recordings in a table."""
    wanted = {"meeting_id": args.meeting, "state": args.state, "tenant_id": args.tenant}
    query = {name: value for name, value in wanted.items() if value}
    answer = caller.get_long("listRecordings", limit=str(args.limit), **query)
    found = answer["recordings"]
    if console.as_json:
        console.document(answer)
        return DONE
    console.table(COLUMNS, [recording_row(one) for one in found])
    more = answer["count"] - len(found)
    if more > 0:
        console.line(f"{more} more; --limit shows more of them")
    return DONE


def show(console: Console, caller: Caller, args: Namespace) -> int:
    """Show everything about one recording."""
    one = caller.get_long("getRecordingInfo", id=args.id)
    if console.as_json:
        console.document(one)
        return DONE
    console.show(f"Recording: {one['record_id']}")
    console.show(f"\tMeeting ID: {one['meeting_id'] or '-'}")
    console.show(f"\tName: {one['name'] or '-'}")
    console.show(f"\tState: {one['state'] or '-'}")
    console.show(f"\tPublished: {_yes(one['published'])}")
    console.show(f"\tProtected: {_yes(one['protected'])}")
    console.show(f"\tTenant: {one['tenant_id'] or '-'}")
    console.show(f"\tTime (UTC): {time_text(one['start_time'])} to {time_text(one['end_time'])}")
    console.show(f"\tParticipants: {'-' if one['participants'] is None else one['participants']}")
    _show_parts(console, one)
    return DONE


def _show_parts(console: Console, one: Mapping[str, Any]) -> None:
    console.show("\tMetadata:")
    for key, value in one["metadata"].items():
        console.show(f"\t\t{key}: {value}")
    console.show("\tFormats:")
    for shown in one["formats"]:
        length = "" if shown["length_min"] is None else f", {shown['length_min']} min"
        console.show(f"\t\t{shown['format']}: {shown['url']}{length}")
    console.show(f"\tFiles: {size_text(one['size'])}")
    for files in one["files"]:
        wrong = "" if files["published"] == one["published"] else " (wrong place)"
        size = f"{counted(files['files'], 'file')}, {size_text(files['size'])}"
        console.show(f"\t\t{files['path']}: {size}{wrong}")
    there = {files["format"] for files in one["files"]}
    for shown in one["formats"]:
        if shown["format"] not in there:
            console.show(f"\t\t{shown['format']}: no files")
    changed = one["changed_by_users"]
    words = ["published" if one["published"] else "unpublished"] if changed["published"] else []
    words += [f"{key} removed" for key in changed["removed_metadata"]]
    console.show(f"\tChanged by users: {', '.join(words) or '-'}")
    for entry in one["imports"]:
        time = time_text(entry["finished"] or entry["started"] or entry["created"])
        console.show(f"\tImport: {time} {entry['file']} ({entry['state']})")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- changes -------------------------------------------------------------------------------------


def update(console: Console, caller: Caller, args: Namespace) -> int:
    """Change recordings; without a change, put their files right."""
    changes: dict[str, Any] = {"publish": args.publish, "protect": args.protect}
    if args.meta:
        changes["metadata"] = dict(args.meta)
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        return _repair(console, caller, args)
    if not args.ids or args.dry_run:
        what = "--dry-run is for repairs alone" if args.dry_run else "name the recordings to change"
        console.error(f"scalelite-appliance ctl recordings update: {what}")
        return USAGE
    changed = caller.post("updateRecordings", {"ids": args.ids, **changes}, deadline_s=LONG_S)
    if console.as_json:
        console.document(changed)
    else:
        console.line(f"{counted(len(changed), 'recording')} changed")
    return DONE


def _repair(console: Console, caller: Caller, args: Namespace) -> int:
    """Go through the recordings step by step."""
    progress, total = Progress(console), 0
    after: int | None = 0
    found: dict[str, Any] = {"checked": 0, "moved": [], "missing": [], "failed": []}
    while after is not None:
        body = {"ids": args.ids, "after": after, "dry_run": args.dry_run}
        step = caller.post("repairRecordings", body, deadline_s=LONG_S)
        found = {name: value + step[name] for name, value in found.items()}
        after, total = step["next_after"], step.get("count", total or step["checked"])
        progress.show(found["checked"], total, f"{found['checked']} of {total} looked at")
    progress.end()
    if console.as_json:
        console.document(found)
    elif not console.rake:  # rake's task prints nothing
        _report_repair(console, found, dry_run=args.dry_run)
    for text in found["failed"]:
        console.error(f"cannot be moved: {text}")
    return FAILED if found["failed"] else DONE


def _report_repair(console: Console, found: Mapping[str, Any], *, dry_run: bool) -> None:
    for name in found["moved"]:
        console.show(f"{'in the wrong place' if dry_run else 'moved'}: {name}")
    for name in found["missing"]:
        console.show(f"no files: {name}")
    moved, missing = len(found["moved"]), len(found["missing"])
    verb = "in the wrong place" if dry_run else "moved to where they belong"
    console.line(
        f"{counted(found['checked'], 'recording')} looked at: {counted(moved, 'format')} "
        f"{verb}, {missing} without files"
    )


def add_to_tenant(console: Console, caller: Caller, args: Namespace) -> int:
    """Give recordings to a tenant; without ids all that are nobody's."""
    tenant_id = args.tenant
    if console.rake and not tenant_id:
        console.error("No tenant ID was provided")
        return FAILED
    body = {"ids": args.ids, "tenant_id": tenant_id, "force": args.force}
    answer = caller.post("addRecordingsToTenant", body, deadline_s=LONG_S)
    if console.as_json:
        console.document(answer)
    elif console.rake:
        text = f"All existing recordings have been successfully linked to tenant {tenant_id}"
        console.show(text)
    else:
        console.show(f"{counted(answer['count'], 'recording')} added to tenant {tenant_id}")
    return DONE


# --- age -----------------------------------------------------------------------------------------


def prune(console: Console, caller: Caller, args: Namespace) -> int:
    """Delete recordings that are too old, or show which would be."""
    days = {} if args.days is None else {"days": args.days}
    expired, rules = _find_expired(caller, days)
    for tenant, value in rules["unreadable"].items():
        text = f"tenant {tenant}: RECORDING_RETENTION_DAYS is {value!r}, which is no number of days"
        console.error(f"{text}; its recordings are kept")
    if rules["days"] is None and not any(rules["tenants"].values()):
        console.error("nothing says how long recordings are kept: RECORDING_RETENTION_DAYS, --days")
        return FAILED
    if args.dry_run:
        return _show_expired(console, expired, rules)
    return _prune(console, caller, days, len(expired))


def _find_expired(
    caller: Caller, days: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    query = {name: str(value) for name, value in days.items()}
    while after is not None:
        answer = caller.get_long("getExpiredRecordings", after=str(after), **query)
        found += answer["recordings"]
        after = answer["next_after"]
    return found, answer["retention"]


def _show_expired(console: Console, expired: list[dict[str, Any]], rules: Mapping[str, Any]) -> int:
    if console.as_json:
        console.document({"recordings": expired, "count": len(expired), "retention": rules})
        return DONE
    if expired:
        console.table(COLUMNS, [recording_row(one) for one in expired])
    console.line(f"{counted(len(expired), 'recording')} would be deleted")
    return DONE


def _prune(console: Console, caller: Caller, days: Mapping[str, Any], total: int) -> int:
    progress = Progress(console)
    after: int | None = 0
    deleted: list[str] = []
    failed: list[str] = []
    while after is not None:
        answer = caller.post("pruneRecordings", {**days, "after": after}, deadline_s=LONG_S)
        deleted += answer["deleted"]
        failed += answer["failed"]
        after = answer["next_after"]
        progress.show(len(deleted), total, f"{len(deleted)} of {total} deleted")
    progress.end()
    if console.as_json:
        console.document({"deleted": deleted, "failed": failed, "count": len(deleted)})
    else:
        for record_id in deleted:
            console.show(record_id)
        console.line(f"{counted(len(deleted), 'recording')} deleted")
    if failed:
        console.error(f"not deleted, the appliance's log says why: {few(failed)}")
    return FAILED if failed else DONE
