"""`ctl recordings prune`: deletes recordings that are older than their retention time."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, parse_positive_number
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.progress import Progress
from appliance.ctl.recordings import COLUMNS, recording_row
from appliance.ctl.tables import counted, join_first


def add_prune(recordings: Commands[Any]) -> None:
    """Add the command to the group `recordings`."""
    about = "delete recordings that are older than RECORDING_RETENTION_DAYS"
    example = "recordings prune --dry-run --days 365"
    command = add_command(recordings, "prune", prune, about, example)
    about = "only show the recordings that would be deleted"
    command.add_argument("--dry-run", action="store_true", help=about)
    about = "replaces RECORDING_RETENTION_DAYS; the setting of a tenant takes precedence"
    command.add_argument("--days", metavar="N", type=parse_positive_number, help=about)


def prune(console: Console, client: ControlClient, args: Namespace) -> int:
    """Delete expired recordings, or show them."""
    days = {} if args.days is None else {"days": args.days}
    expired, rules = _find_expired(client, days)
    for tenant, value in rules["unreadable"].items():
        text = f"tenant {tenant}: RECORDING_RETENTION_DAYS is {value!r}, not a number of days"
        console.error(f"{text}; its recordings are kept")
    if rules["days"] is None and not any(rules["tenants"].values()):
        console.error("no retention time is set: use RECORDING_RETENTION_DAYS or --days")
        return FAILED
    if args.dry_run:
        return _show_expired(console, expired, rules)
    return _prune(console, client, days, len(expired))


def _find_expired(
    client: ControlClient, days: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    query = {name: str(value) for name, value in days.items()}
    while after is not None:
        answer = client.get_long("getExpiredRecordings", after=str(after), **query)
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


def _prune(console: Console, client: ControlClient, days: Mapping[str, Any], total: int) -> int:
    progress = Progress(console)
    after: int | None = 0
    deleted: list[str] = []
    failed: list[str] = []
    while after is not None:
        answer = client.post("pruneRecordings", {**days, "after": after}, deadline_s=LONG_S)
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
        console.error(f"not deleted, see the log of the appliance: {join_first(failed)}")
    return FAILED if failed else DONE
