"""`ctl recordings move`: between the disk and the bucket."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.progress import Progress
from appliance.ctl.tables import counted, format_size

_TICK_S = 0.2


def add_move(recordings: Commands[Any]) -> None:
    """Add the command to the group `recordings`."""
    about = "move the files of recordings to the bucket or to the disk, verified"
    example = "recordings move --to s3 --all --dry-run"
    command = add_command(recordings, "move", move, about, example)
    offers(command.add_argument("ids", metavar="ID", nargs="*", help="recordIDs"), "recording")
    command.add_argument("--to", choices=("s3", "disk"), required=True, help="where to")
    command.add_argument("--all", action="store_true", help="all recordings that are not there yet")
    about = "only show the recordings that would be moved"
    command.add_argument("--dry-run", action="store_true", help=about)
    about = "recordings moved at once (default: %(default)s, at most 4)"
    command.add_argument("--concurrency", metavar="N", type=int, default=2, help=about)


def move(console: Console, client: ControlClient, args: Namespace) -> int:
    """Move recordings, and wait for the result."""
    if bool(args.ids) == args.all or args.concurrency < 1:
        what = "name recordIDs, or --all" if args.concurrency >= 1 else "--concurrency is too small"
        console.error(f"scalelite-appliance ctl recordings move: {what}")
        return USAGE
    body = {
        "to": args.to,
        "ids": args.ids,
        "dry_run": args.dry_run,
        "concurrency": min(args.concurrency, 4),
    }
    client.post("moveRecordings", body, deadline_s=LONG_S)
    moved, failed = _follow(console, client, "true" if args.dry_run else "false")
    if console.as_json:
        failures = [{"record_id": name, "problem": problem} for name, problem in failed]
        console.document({"moved": moved, "failed": failures, "count": len(moved)})
    else:
        word = "would be moved" if args.dry_run else "moved"
        console.line(f"{counted(len(moved), 'recording')} {word}, {len(failed)} failed")
    for name, problem in failed:
        console.error(f"{name or 'not completed'}: {problem}")
    return FAILED if failed else DONE


def _follow(
    console: Console, client: ControlClient, dry_run: str
) -> tuple[list[str], list[tuple[str, str]]]:
    """Show the progress until the end; return what was moved, and what was not and why."""
    progress, after, running = Progress(console), 0, True
    moved: list[str] = []
    failed: list[tuple[str, str]] = []
    try:
        while running:
            answer = client.get_long("getMove", after=str(after), dry_run=dry_run)
            running, after = answer["running"], answer["next_after"]
            for one in answer["results"]:
                if one["problem"] is None:
                    moved.append(one["record_id"])
                    progress.end()
                    if not console.as_json:
                        console.show(one["record_id"])
                else:
                    failed.append((one["record_id"], one["problem"]))
            text = f"{answer['done']} of {answer['total']}, {format_size(answer['bytes'])}"
            progress.show(answer["done"], answer["total"], text)
            if running and not answer["results"]:
                time.sleep(_TICK_S)
    finally:
        progress.end()
    return moved, failed
