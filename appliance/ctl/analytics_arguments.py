"""The command line of `ctl analytics`. Holds no command."""

from __future__ import annotations

from typing import Any

from appliance.ctl import analytics
from appliance.ctl.parsing import Group, add_limit, branch, leaf

DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000


def add_analytics(groups: Group[Any]) -> None:
    """Declare `analytics` and its commands."""
    about = "what servers told of meetings that are over (ANALYTICS_STORE=true)"
    group = branch(groups, "analytics", about, analytics.list_all, limit=DEFAULT_LIMIT)
    found = leaf(
        group, "list", analytics.list_all, "show what is kept, the newest first", "analytics list"
    )
    add_limit(found, DEFAULT_LIMIT, MAX_LIMIT)
    one = leaf(
        group,
        "show",
        analytics.show,
        "print one report as JSON, as the server wrote it",
        "analytics show 183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189",
    )
    one.add_argument("id", metavar="ID", help="as `analytics list` shows it")
