"""`simulate`: the load of a pool under a timetable, without a running appliance.

With --from-history the running appliance tells what to replay. The simulation runs in a separate
process (appliance/simulation): ctl must not import its modules.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from argparse import Namespace
from typing import Any

from appliance.ctl.arguments import Commands, add_command, parse_positive_number
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.tables import Column

_COLUMNS = (Column("RULE"), Column("WORST SERVER", right=True), Column("x FAIR", right=True))
_WEIGHTS = {"user": "user", "video": "camera", "voice": "microphone", "meeting": "meeting"}
_LIMIT_S = 3600
_DEFAULT_SERVERS = 4
_MAX_SERVERS = 1000
_MAX_CELLS = 20
_MAX_USERS = 1_000_000


def add_simulate(commands: Commands[Any]) -> None:
    """Add the command."""
    about = "replay a timetable in simulated time and report the load of the servers"
    example = "simulate timetable.csv --capacity 200 --picture morning.svg"
    command = add_command(commands, "simulate", simulate, about, example)
    about = (
        "a class per line, first line: start,users (HH:MM and a number; optional columns: minutes,"
        " count, cameras, name); default: a generated morning of a school"
    )
    command.add_argument("timetable", metavar="FILE.csv", nargs="?", help=about)
    about = "in place of a timetable the meetings of a past day; needs the running appliance"
    command.add_argument("--from-history", action="store_true", help=about)
    about = "the day for --from-history, UTC (default: the fullest of the last four weeks)"
    command.add_argument("--day", metavar="DATE", help=about)
    pool = command.add_mutually_exclusive_group()
    about = "number of equal servers; default with --capacity: the number that is required"
    pool.add_argument("--servers", metavar="N", type=_parse_servers, help=about)
    about = "load multiplier of each server; 0.5 for a server of twice the capacity"
    pool.add_argument("--multipliers", metavar="M,M,...", type=_parse_multipliers, help=about)
    about = "users that a server of multiplier 1 can carry; with weights: the load"
    command.add_argument("--capacity", metavar="USERS", type=_parse_users, help=about)
    about = "divide the servers into cells, each a pool of its own behind a router (1)"
    command.add_argument("--cells", metavar="N", type=_parse_cells, default=1, help=about)
    about = "share of classes that took place before, so that their size is known (0.9)"
    command.add_argument("--known", metavar="SHARE", type=_parse_share, default=0.9, help=about)
    command.add_argument("--no-forecast", action="store_true", help="as with LOAD_FORECAST=false")
    for name, about in _WEIGHTS.items():
        text = f"load of each {about}, as with LOAD_PER_{name.upper()}"
        command.add_argument(f"--per-{name}", metavar="N", type=_parse_weight, help=text)
    about = "share of the users with a camera and a microphone, if weights are given (0.25)"
    command.add_argument("--cameras", metavar="SHARE", type=_parse_share, default=0.25, help=about)
    command.add_argument("--seed", metavar="N", type=int, default=1, help="random seed (1)")
    about = "draw the load of the fullest server over the day"
    command.add_argument("--picture", metavar="FILE.svg", help=about)


def _parse_servers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_SERVERS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_SERVERS}")
    return int(text)


def _parse_cells(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_CELLS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_CELLS}")
    return int(text)


def _parse_users(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_USERS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_USERS}")
    return int(text)


def _parse_multipliers(text: str) -> list[float]:
    values = [parse_positive_number(part.strip()) for part in text.split(",")]
    if len(values) > _MAX_SERVERS:
        raise argparse.ArgumentTypeError(f"more than {_MAX_SERVERS} servers")
    return values


def _parse_weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value


def _parse_share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def simulate(console: Console, client: ControlClient, args: Namespace) -> int:
    """Replay the timetable and show the result."""
    if (args.timetable and args.from_history) or (args.day and not args.from_history):
        console.error("give a timetable, or --from-history and perhaps --day")
        return USAGE
    request = {
        "timetable": args.timetable,
        "classes": _past_classes(client, args.day) if args.from_history else None,
        "multipliers": args.multipliers or [1.0] * (args.servers or 0),
        "capacity": args.capacity,
        "known": args.known,
        "forecast": not args.no_forecast,
        "seed": args.seed,
        "weights": _given_weights(args),
        "cameras": args.cameras,
        "cells": args.cells,
        "picture": args.picture,
    }
    if not request["multipliers"] and args.capacity is None:
        request["multipliers"] = [1.0] * _DEFAULT_SERVERS
    if console.is_terminal and not console.as_json:
        print("simulating ...", file=console.err, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "appliance.simulation"],
        input=json.dumps(request),  # the meetings of a day are too long for an argument
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        console.error(f"simulate: {lines[-1] if lines else 'the simulation failed'}")
        return FAILED
    found = json.loads(done.stdout)
    if console.as_json:
        console.document(found)
    else:
        _show(console, found)
    return DONE


def _given_weights(args: Namespace) -> dict[str, float] | None:
    given = {name: getattr(args, f"per_{name}") for name in _WEIGHTS}
    found = {name: value for name, value in given.items() if value is not None}
    return found or None


def _past_classes(client: ControlClient, day: str | None) -> list[dict[str, Any]]:
    found = client.get_long("usageTimetable", **({"day": day} if day else {}))
    classes: list[dict[str, Any]] = found["classes"]
    return classes


def _show(console: Console, found: dict[str, Any]) -> None:
    servers = f"{found['servers']} servers"
    if len(set(found["multipliers"])) > 1 or found["multipliers"][0] != 1:
        servers += " (multipliers " + ", ".join(f"{m:g}" for m in found["multipliers"]) + ")"
    if found["cells"] > 1:
        servers += f" in {found['cells']} cells"
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
    unit = "users" if found["weights"] is None else "weighted load"
    console.line(
        f"WORST SERVER: highest load of a server ({unit} x multiplier); x FAIR: relative to an\n"
        f"equal distribution of the {unit}."
    )
    console.line()
    needed, lost = found["capacity_needed"], found["capacity_needed_if_one_is_lost"]
    amount = f"{needed} users" if found["weights"] is None else f"a load of {needed}"
    console.line(f"A server of multiplier 1 must carry {amount},")
    console.line(f"or {lost} to tolerate the loss of a server at the worst moment.")
    if found["capacity"] is not None:
        verdict = (
            "enough, even without one of them"
            if found["enough_if_one_is_lost"]
            else "enough, but not without one of them"
            if found["enough"]
            else "NOT enough"
        )
        if found["largest_load"] > found["capacity"]:
            console.line(
                f"The largest class, of {found['largest_class']} users, exceeds the capacity of a"
                " server."
            )
        each = "users" if found["weights"] is None else "of load"
        console.line(
            f"With {found['capacity']} {each} each, {found['servers']} servers are {verdict}."
        )
    if found.get("picture"):
        console.line(f"The picture was written to {found['picture']}.")
