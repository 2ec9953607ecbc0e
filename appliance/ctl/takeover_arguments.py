"""The command line of `ctl takeover`."""

from __future__ import annotations

from typing import Any

from appliance.ctl import takeover
from appliance.ctl.parsing import Group, branch, leaf


def add_takeover(groups: Group[Any]) -> None:
    """Declare the commands."""
    about = "take over the stores of a Scalelite"
    group = branch(groups, "takeover", about)
    check = leaf(
        group,
        "check",
        takeover.check,
        "look at what a Scalelite left in the stores and directories; changes nothing",
        "takeover check --env-file /etc/default/scalelite",
    )
    check.add_argument(
        "--local",
        action="store_true",
        help="without a running appliance: the stores that the environment names",
    )
    check.add_argument(
        "--env-file",
        metavar="FILE",
        help="without a running appliance: the stores that this file of variables names",
    )
    heal = leaf(
        group,
        "heal",
        takeover.heal,
        "put right what is stale in Redis, and files that are where they do not belong",
        "takeover heal --dry-run",
    )
    heal.add_argument("--dry-run", action="store_true", help="only show what would be done")
