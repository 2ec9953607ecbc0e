"""`ctl usage`: what was used, by tenant, server, origin, meeting or period."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.names import takes_names
from appliance.ctl.tables import Column, counted, format_size
from appliance.usage.csv_text import DIMENSIONS, PERIODS, parse_by, render_csv

_NUMBERS = (
    Column("MEETINGS", right=True),
    Column("ROOMS", right=True, drop=3),
    Column("USER-MIN", right=True),
    Column("PEAK", right=True),
    Column("MTGS", right=True, drop=2),
    Column("REC-MIN", right=True, drop=4),
    Column("STORED", right=True, drop=5),
    Column("DIAL-IN", right=True, drop=1),
)


def add_usage(commands: Commands[Any]) -> None:
    """Add the command."""
    about = "show what was used: meetings, user-minutes, peaks, recordings, dial-in"
    example = "usage --from 2026-10-01 --to 2026-11-01 --by tenant --csv"
    command = add_command(commands, "usage", show, about, example)
    command.add_argument("--tenant", metavar="T", help="only this tenant, by id or name")
    takes_names(command, "tenant", "tenant", exact=True)
    about = "from this date or full hour on, UTC (default: this month)"
    command.add_argument("--from", dest="since", metavar="DATE", help=about)
    about = "up to this date or full hour, exclusive (default: now)"
    command.add_argument("--to", dest="until", metavar="DATE", help=about)
    about = f"{', '.join(DIMENSIONS)} (tenant); several with commas"
    command.add_argument("--by", metavar="WHAT", type=_parse_by, default=("tenant",), help=about)
    command.add_argument("--csv", action="store_true", help="print CSV")


def _parse_by(text: str) -> tuple[str, ...]:
    try:
        return parse_by(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show a line for each tenant, server, … and their sum."""
    query = {"tenant": args.tenant, "from": args.since, "to": args.until}
    query["by"] = ",".join(args.by)
    found = client.get("usage", **{name: value for name, value in query.items() if value})
    keys = ["period" if word in PERIODS else word for word in args.by]
    if console.as_json:
        console.document(found)
    elif args.csv:
        console.out.write(render_csv(found["usage"], keys))
    else:
        _show_table(console, found["usage"], keys)
        _show_gaps(console, found["gaps"])
    return DONE


def _show_table(console: Console, lines: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    if not lines:
        console.line("Nothing was used in this time.")
        return
    if "tenant" in lines[0] and "tenant" not in keys:
        keys = ["tenant", *keys]
    rows = [(*(line[key] or "-" for key in keys), *_numbers(line)) for line in lines]
    if len(lines) > 1:
        rows.append(("total", *[""] * (len(keys) - 1), *_total(lines)))
    console.table([*(Column(key.upper()) for key in keys), *_NUMBERS], rows)


def _numbers(line: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        *(line["meetings"], line["distinct_meetings"], f"{line['user_minutes']:.0f}"),
        *(line["peak_users"], line["peak_meetings"], f"{line['recorded_minutes']:.0f}"),
        *(format_size(line["recording_bytes"]), f"{line['dial_in_minutes']:.0f}"),
    )


def _total(lines: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
    """Return the sums; what was there at once, or twice, cannot be added up."""
    summed = {name: sum(line[name] for line in lines) for name in lines[0] if name in _SUMMED}
    numbers = list(_numbers({**lines[0], **summed}))
    numbers[1] = numbers[3] = numbers[4] = ""
    return tuple(numbers)


_SUMMED = frozenset(
    {"meetings", "user_minutes", "recorded_minutes", "recording_bytes", "dial_in_minutes"}
)


def _show_gaps(console: Console, gaps: Sequence[Mapping[str, Any]]) -> None:
    if not gaps:
        return
    console.line()
    console.line(f"Not everything is known: {counted(len(gaps), 'gap')} in the polls.")
    for gap in gaps[:10]:
        console.show(f"  {gap['server']}  {gap['began']} to {gap['ended']}")
    if len(gaps) > 10:
        console.line(f"  and {len(gaps) - 10} more; --json has all")
