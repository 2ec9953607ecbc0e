"""`ctl recordings list|show|update|add-to-tenant`: recordings, their changes and repair."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group, add_limit_option
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.names import list_known, takes_names
from appliance.ctl.progress import Progress
from appliance.ctl.tables import Column, counted, format_size, format_time, shorten

STATES = ("published", "unpublished", "processing", "processed", "deleted", "any")
DEFAULT_LIMIT, MAX_LIMIT = 50, 100_000
COLUMNS = (
    Column("RECORD ID", whole=True),
    Column("MEETING ID", drop=3),
    Column("NAME"),
    Column("STATE"),
    Column("ENDED (UTC)", drop=4),
    Column("FORMATS", drop=2),
    Column("TENANT", drop=1),
)


def add_recordings(commands: Commands[Any]) -> Commands[Any]:
    """Add the group `recordings` with the commands of this module."""
    defaults = {"meeting": None, "state": None, "tenant": None, "limit": DEFAULT_LIMIT}
    about = "manage recordings and their import"
    group = add_group(commands, "recordings", about, list_all, **defaults)
    about = "show recordings, the newest first"
    example = "recordings list --meeting math-101 --state unpublished"
    command = add_command(group, "list", list_all, about, example)
    about = "only with this meetingID"
    offers(command.add_argument("--meeting", metavar="ID", help=about), "meeting")
    about = "only in this state (default: all except deleted)"
    command.add_argument("--state", choices=STATES, help=about)
    command.add_argument("--tenant", metavar="ID", help="only of this tenant: its id or name")
    takes_names(command, "tenant", "tenant")
    add_limit_option(command, DEFAULT_LIMIT, MAX_LIMIT)
    about = "show the metadata, formats, files and user changes of a recording"
    example = "recordings show 183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
    command = add_command(group, "show", show, about, example)
    offers(command.add_argument("id", metavar="ID", help="the recordID"), "recording")
    _add_update(group)
    _add_add_to_tenant(group)
    return group


def _add_update(group: Commands[Any]) -> None:
    about = "change recordings; without a change: move files from a wrong directory"
    example = "recordings update ID1 ID2 --unpublish --meta course=Physics --meta draft="
    command = add_command(group, "update", update, about, example)
    about = "recordIDs (default for moves: all)"
    offers(command.add_argument("ids", metavar="ID", nargs="*", help=about), "recording")
    _add_switch(command, "publish", "allow playback", "prevent playback")
    _add_switch(command, "protect", "require one-time links for playback", "allow any link")
    about = "set metadata; an empty value removes it"
    command.add_argument("--meta", metavar="KEY=VALUE", type=_pair, action="append", help=about)
    about = "only show which files would be moved"
    command.add_argument("--dry-run", action="store_true", help=about)


def _add_switch(parser: argparse.ArgumentParser, name: str, on: str, off: str) -> None:
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument(
        f"--{name}", dest=name, action="store_const", const=True, default=None, help=on
    )
    pair.add_argument(f"--un{name}", dest=name, action="store_const", const=False, help=off)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _add_add_to_tenant(group: Commands[Any]) -> None:
    about = "assign recordings to a tenant; without recordIDs all that have no tenant"
    example = "recordings add-to-tenant 9a870f45-ec23-4d29-828b-4673f3536d7b"
    command = add_command(group, "add-to-tenant", add_to_tenant, about, example)
    about = "only these recordIDs"
    offers(command.add_argument("ids", metavar="ID", nargs="*", help=about), "recording")
    about = "id or name of the tenant, see `tenants list`"
    command.add_argument("tenant", metavar="TENANT", help=about)
    takes_names(command, "tenant", "tenant")
    about = "even recordings of another tenant, and an unknown tenant"
    command.add_argument("--force", action="store_true", help=about)


# --- list, show ----------------------------------------------------------------------------------


def list_all(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the newest recordings in a table."""
    wanted = {"meeting_id": args.meeting, "state": args.state, "tenant_id": args.tenant}
    query = {name: value for name, value in wanted.items() if value}
    answer = client.get_long("listRecordings", limit=str(args.limit), **query)
    found = answer["recordings"]
    if console.as_json:
        console.document(answer)
        return DONE
    # Recordings of a tenant that was removed are found by its id.
    if args.tenant and not found and args.tenant not in _tenant_ids(client):
        console.error(f"no tenant with id or name {args.tenant}{getattr(args, 'hint', '')}")
        return FAILED
    console.table(COLUMNS, [recording_row(one) for one in found])
    more = answer["count"] - len(found)
    if more > 0:
        console.line(f"{more} more; --limit shows more of them")
    return DONE


def _tenant_ids(client: ControlClient) -> set[str]:
    return {one.id for one in list_known(client, "tenant")}


def recording_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the row of a recording for COLUMNS."""
    state = one["state"] or "-"
    return (
        one["record_id"],
        shorten(one["meeting_id"] or "-"),
        shorten(one["name"] or "-"),
        f"{state}, protected" if one["protected"] else state,
        format_time(one["end_time"] or one["start_time"]),
        ",".join(one["formats"]) or "-",
        one["tenant_id"] or "-",
    )


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show all details of a recording."""
    one = client.get_long("getRecordingInfo", id=args.id)
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
    console.show(
        f"\tTime (UTC): {format_time(one['start_time'])} to {format_time(one['end_time'])}"
    )
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
    console.show(f"\tFiles: {format_size(one['size'])}")
    for files in one["files"]:
        wrong = "" if files["published"] == one["published"] else " (wrong place)"
        size = f"{counted(files['files'], 'file')}, {format_size(files['size'])}"
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
        time = format_time(entry["finished"] or entry["started"] or entry["created"])
        console.show(f"\tImport: {time} {entry['file']} ({entry['state']})")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- changes -------------------------------------------------------------------------------------


def update(console: Console, client: ControlClient, args: Namespace) -> int:
    """Change recordings; without a change, repair the locations of their files."""
    changes: dict[str, Any] = {"publish": args.publish, "protect": args.protect}
    if args.meta:
        changes["metadata"] = dict(args.meta)
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        return _repair(console, client, args)
    if not args.ids or args.dry_run:
        what = (
            "a change cannot be combined with --dry-run"
            if args.dry_run
            else "recordIDs are missing"
        )
        console.error(f"scalelite-appliance ctl recordings update: {what}")
        return USAGE
    changed = client.post("updateRecordings", {"ids": args.ids, **changes}, deadline_s=LONG_S)
    if console.as_json:
        console.document(changed)
    else:
        console.line(f"{counted(len(changed), 'recording')} changed")
    return DONE


def _repair(console: Console, client: ControlClient, args: Namespace) -> int:
    """Repair the locations of files, step by step."""
    progress, total = Progress(console), 0
    after: int | None = 0
    found: dict[str, Any] = {"checked": 0, "moved": [], "missing": [], "failed": []}
    while after is not None:
        body = {"ids": args.ids, "after": after, "dry_run": args.dry_run}
        step = client.post("repairRecordings", body, deadline_s=LONG_S)
        found = {name: value + step[name] for name, value in found.items()}
        after, total = step["next_after"], step.get("count", total or step["checked"])
        progress.show(found["checked"], total, f"{found['checked']} of {total} checked")
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
    result = "in the wrong place" if dry_run else "moved"
    console.line(
        f"{counted(found['checked'], 'recording')} checked: {counted(moved, 'format')} {result}, "
        f"{missing} without files"
    )


def add_to_tenant(console: Console, client: ControlClient, args: Namespace) -> int:
    """Assign recordings to a tenant; without ids all that have no tenant."""
    tenant_id = args.tenant
    if console.rake and not tenant_id:
        console.error("No tenant ID was provided")
        return FAILED
    body = {"ids": args.ids, "tenant_id": tenant_id, "force": args.force}
    answer = client.post("addRecordingsToTenant", body, deadline_s=LONG_S)
    if console.as_json:
        console.document(answer)
    elif console.rake:
        text = f"All existing recordings have been successfully linked to tenant {tenant_id}"
        console.show(text)
    else:
        console.show(f"{counted(answer['count'], 'recording')} added to tenant {tenant_id}")
    return DONE
