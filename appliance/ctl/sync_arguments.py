"""The command line of `ctl servers sync|export|add-all`."""

from __future__ import annotations

from typing import Any

from appliance.ctl import server_lists
from appliance.ctl.parsing import Group, leaf


def add_sync(group: Group[Any]) -> None:
    """Add the commands to those of `ctl servers`."""
    sync = leaf(
        group,
        "sync",
        server_lists.sync,
        "add, change and remove servers until the pool is what a YAML file says",
        "servers sync servers.yml --dry-run",
    )
    sync.add_argument("file", metavar="FILE", help="the file, as Scalelite takes it; -: stdin")
    sync.add_argument(
        "--mode",
        choices=("keep", "cordon", "force"),
        default="cordon",
        help="servers that are not in the file: keep them; remove empty ones and cordon the"
        " others (the default); or end their meetings and remove them",
    )
    sync.add_argument("--dry-run", action="store_true", help="only show what would be done")
    export = leaf(
        group,
        "export",
        server_lists.export,
        "print the pool as YAML for `servers sync`, the servers' secrets included",
        "servers export > servers.yml",
    )
    export.add_argument("--verbose", action="store_true", help="with state, load and online, too")
    add_all = leaf(
        group,
        "add-all",
        server_lists.add_all,
        "add the servers of a YAML list, disabled; `servers sync` does more",
        "servers add-all new-servers.yml",
    )
    add_all.add_argument("file", metavar="FILE", help="the file; -: standard input")
