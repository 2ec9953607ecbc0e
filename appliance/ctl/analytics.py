"""`ctl analytics [list|show]`: what servers told of meetings that are over."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.client import Caller
from appliance.ctl.console import Console
from appliance.ctl.recording_shapes import size_text
from appliance.ctl.tables import Column

DONE = 0

_COLUMNS = (
    Column("ID"),
    Column("MEETING ID"),
    Column("CUSTOMER"),
    Column("RECEIVED (UTC)"),
    Column("SIZE", right=True),
)


def list_all(console: Console, caller: Caller, args: Namespace) -> int:
    """Show in a table what is kept."""
    answer = caller.get_long("listAnalytics", limit=str(args.limit))
    if console.as_json:
        console.document(answer["analytics"])
    else:
        console.table(_COLUMNS, [_row(one) for one in answer["analytics"]])
    return DONE


def show(console: Console, caller: Caller, args: Namespace) -> int:
    """Print one report; it is JSON in any case."""
    console.document(caller.get_long("getAnalytics", id=args.id)["report"])
    return DONE


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    received = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one["received_ms"] / 1000))
    return one["id"], one["meeting_id"], one["customer"], received, size_text(one["bytes"])
