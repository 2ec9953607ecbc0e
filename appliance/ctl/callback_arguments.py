"""The command line of `ctl callbacks`. Holds no command."""

from __future__ import annotations

from typing import Any

from appliance.ctl import callbacks
from appliance.ctl.parsing import Group, add_limit, branch, leaf

STATES = ("pending", "done", "failed", "dropped")
DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000


def add_callbacks(groups: Group[Any]) -> None:
    """Declare `callbacks` and its commands."""
    about = "the calls to front-ends: what waits, what failed and why"
    group = branch(groups, "callbacks", about, callbacks.show, state=None, limit=DEFAULT_LIMIT)
    found = leaf(
        group,
        "list",
        callbacks.show,
        "show calls, the newest first",
        "callbacks list --state failed",
    )
    found.add_argument("--state", choices=STATES, help="only those in this state")
    add_limit(found, DEFAULT_LIMIT, MAX_LIMIT)
    retry = leaf(
        group, "retry", callbacks.retry, "try calls now and for another day", "callbacks retry 17"
    )
    retry.add_argument("ids", metavar="ID", nargs="*", help="only these (default: all that failed)")
    drop = leaf(
        group,
        "drop",
        callbacks.drop,
        "take calls out of the queue, so that they are never sent",
        "callbacks drop 42",
    )
    drop.add_argument("ids", metavar="ID", nargs="+", help="as `callbacks list` shows it")
