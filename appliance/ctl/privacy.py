"""`ctl privacy erase`: removes the traces of a person, a meeting or a tenant."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.names import takes_names
from appliance.ctl.tables import counted


def add_privacy(commands: Commands[Any]) -> None:
    """Add the group `privacy`."""
    group = add_group(commands, "privacy", "remove what is stored of people and meetings")
    about = "remove the traces of a meeting, a user or a tenant, except from logs and backups"
    example = "privacy erase --user 'Ada Lovelace' --dry-run"
    command = add_command(group, "erase", erase, about, example)
    subject = command.add_mutually_exclusive_group(required=True)
    subject.add_argument("--meeting", metavar="ID", help="meetingID, of every tenant")
    subject.add_argument("--user", metavar="NAME_OR_ID", help="name or id of a user, exactly")
    subject.add_argument("--tenant", metavar="T", help="id or name of a tenant")
    takes_names(command, "tenant", "tenant", exact=True)
    command.add_argument("--dry-run", action="store_true", help="only count")
    command.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def erase(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show what would be removed, ask, and remove it."""
    subject = {name: getattr(args, name) for name in ("meeting", "user", "tenant")}
    body = {name: value for name, value in subject.items() if value is not None}
    found = client.post("erase", {**body, "dry_run": True}, deadline_s=LONG_S)
    if not args.dry_run:
        if not args.yes and not _confirm(console, found):
            return FAILED
        found = client.post("erase", body, deadline_s=LONG_S)
    if console.as_json:
        console.document(found)
    else:
        console.line(f"{'would be erased' if args.dry_run else 'erased'}: {_describe(found)}")
    return DONE


def _confirm(console: Console, found: Mapping[str, Any]) -> bool:
    if not console.can_ask():
        console.error("this cannot be undone: repeat it with --yes")
        return False
    if console.ask(f"{_describe(found)} will be erased permanently."):
        return True
    console.error("nothing was erased")
    return False


def _describe(found: Mapping[str, Any]) -> str:
    return ", ".join(
        (
            counted(found["runs"], "meeting run"),
            counted(found["analytics"], "analytics report"),
            f"metadata of {counted(found['recordings'], 'recording')}",
            counted(found["callbacks"], "callback"),
        )
    )
