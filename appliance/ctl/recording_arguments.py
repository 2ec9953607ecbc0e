"""The arguments of `ctl recordings`. Holds no command."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.ctl import recording_imports, recordings
from appliance.ctl.parsing import Group, add_limit, branch, leaf, positive

_DEFAULT_LIMIT, _MAX_LIMIT = 50, 100_000
_STATES = ("published", "unpublished", "processing", "processed", "deleted", "any")


def add_recordings(groups: Group[Any]) -> None:
    """Declare `recordings` and its commands."""
    about = "the recordings: what there is, and what is on its way in"
    group = branch(
        groups,
        "recordings",
        about,
        recordings.list_all,
        meeting=None,
        state=None,
        tenant=None,
        limit=_DEFAULT_LIMIT,
    )
    _add_reading(group)
    _add_imports(group)
    _add_changes(group)
    _add_prune(group)


def _add_reading(group: Group[Any]) -> None:
    found = leaf(
        group,
        "list",
        recordings.list_all,
        "show recordings, the newest first",
        "recordings list --meeting math-101 --state unpublished",
    )
    found.add_argument("--meeting", metavar="ID", help="of this meetingID")
    found.add_argument(
        "--state", choices=_STATES, help="in this state (default: all but the deleted)"
    )
    found.add_argument("--tenant", metavar="ID", help="of this tenant")
    add_limit(found, _DEFAULT_LIMIT, _MAX_LIMIT)
    one = leaf(
        group,
        "show",
        recordings.show,
        "show one recording: metadata, formats, where its files are, what users changed",
        "recordings show 183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189",
    )
    one.add_argument("id", metavar="ID", help="the recordID")


def _add_imports(group: Group[Any]) -> None:
    by_hand = leaf(
        group,
        "import",
        recording_imports.import_files,
        "import tars of this machine now; those outside of the spool are left where they are",
        "recordings import /srv/old-recordings/*.tar",
    )
    by_hand.add_argument(
        "files", metavar="FILE", nargs="+", help="a tar on the appliance's machine"
    )
    by_hand.add_argument(
        "--undelete", action="store_true", help="bring recordings back that were deleted"
    )
    journal = leaf(
        group,
        "imports",
        recording_imports.list_imports,
        "show the journal of imports, and what lies in the spool and in failed/",
        "recordings imports --failed",
    )
    journal.add_argument("--failed", action="store_true", help="only those that failed")
    add_limit(journal, _DEFAULT_LIMIT, _MAX_LIMIT)
    retry = leaf(
        group,
        "retry",
        recording_imports.retry,
        "try tars of failed/ again: these, or all of them",
        "recordings retry 183f0bf3-1531240585189.tar",
    )
    retry.add_argument("files", metavar="FILE", nargs="*", help="as `recordings imports` shows it")


def _add_changes(group: Group[Any]) -> None:
    update = leaf(
        group,
        "update",
        recordings.update,
        "change recordings; without a change: move files that lie in the wrong directory",
        "recordings update ID1 ID2 --unpublish --meta course=Physics --meta draft=",
    )
    update.add_argument("ids", metavar="ID", nargs="*", help="the recordIDs; for a repair: all")
    _add_switch(update, "publish", "let it be played", "let it not be played")
    _add_switch(update, "protect", "play it by one-time links only", "let any link play it")
    update.add_argument(
        "--meta",
        metavar="KEY=VALUE",
        type=_pair,
        action="append",
        help="set metadata; an empty value removes it",
    )
    update.add_argument("--dry-run", action="store_true", help="only say what a repair would move")
    tenant = leaf(
        group,
        "add-to-tenant",
        recordings.add_to_tenant,
        "give recordings to a tenant; without recordIDs all that are nobody's",
        "recordings add-to-tenant 9a870f45-ec23-4d29-828b-4673f3536d7b",
    )
    tenant.add_argument("ids", metavar="ID", nargs="*", help="only these recordIDs")
    tenant.add_argument(
        "tenant", metavar="TENANT", help="the tenant's id, as `tenants list` shows it"
    )
    tenant.add_argument(
        "--force", action="store_true", help="even those of another tenant; even to an unknown one"
    )


def _add_prune(group: Group[Any]) -> None:
    prune = leaf(
        group,
        "prune",
        recordings.prune,
        "delete now what is older than RECORDING_RETENTION_DAYS, or its tenant's setting, allows",
        "recordings prune --dry-run --days 365",
    )
    prune.add_argument("--dry-run", action="store_true", help="only show what would be deleted")
    prune.add_argument(
        "--days",
        metavar="N",
        type=positive,
        help="instead of RECORDING_RETENTION_DAYS; a tenant's own setting goes before it",
    )


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
