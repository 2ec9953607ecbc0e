"""`simulate`: what a timetable asks of a pool. Needs no running appliance and touches none.

The work is done by a process of its own (appliance/simulation), since ctl loads no driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from typing import Any

from appliance.ctl.client import Caller
from appliance.ctl.console import Console
from appliance.ctl.tables import Column

DONE, FAILED = 0, 1

_COLUMNS = (Column("RULE"), Column("WORST SERVER", right=True), Column("x FAIR", right=True))
_LIMIT_S = 3600


def simulate(console: Console, caller: Caller, args: Namespace) -> int:
    """Replay the timetable, and say what it takes."""
    asked = {
        "timetable": args.timetable,
        "multipliers": args.multipliers or [1.0] * (args.servers or 0),
        "capacity": args.capacity,
        "known": args.known,
        "forecast": not args.no_forecast,
        "seed": args.seed,
        "picture": args.picture,
    }
    if not asked["multipliers"] and args.capacity is None:
        asked["multipliers"] = [1.0] * 4
    if console.is_terminal and not console.as_json:
        print("replaying the day ...", file=console.err, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "appliance.simulation", json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        console.error(f"simulate: {lines[-1] if lines else 'it failed'}")
        return FAILED
    found = json.loads(done.stdout)
    if console.as_json:
        console.document(found)
    else:
        _show(console, found)
    return DONE


def _show(console: Console, found: dict[str, Any]) -> None:
    servers = f"{found['servers']} servers"
    if len(set(found["multipliers"])) > 1 or found["multipliers"][0] != 1:
        servers += " (multipliers " + ", ".join(f"{m:g}" for m in found["multipliers"]) + ")"
    console.line(
        f"{found['classes']} classes, {found['users_at_peak']} users at {found['peak_time']}, "
        f"on {servers}"
    )
    console.line()
    console.table(
        _COLUMNS,
        [
            (name, one["worst_server"], f"{one['worst_server'] / max(one['fair_share'], 1e-9):.2f}")
            for name, one in found["rules"].items()
        ],
    )
    console.line()
    console.line(
        "WORST SERVER: its load at its worst moment (users x multiplier); x FAIR: against what "
        "each\nwould carry, were users spread perfectly."
    )
    console.line()
    needed, lost = found["capacity_needed"], found["capacity_needed_if_one_is_lost"]
    console.line(f"A server of multiplier 1 must carry {needed} users;")
    console.line(f"{lost} if the pool is to bear the loss of one at the worst moment.")
    if found["capacity"] is not None:
        verdict = (
            "enough, even if one is lost"
            if found["enough_if_one_is_lost"]
            else "enough, unless one is lost"
            if found["enough"]
            else "NOT enough"
        )
        if found["largest_class"] > found["capacity"]:
            console.line(
                f"A class of {found['largest_class']} is more than one server carries, however "
                "many there are."
            )
        console.line(f"With {found['capacity']} users each, {found['servers']} are {verdict}.")
    if found.get("picture"):
        console.line(f"The picture is in {found['picture']}.")
