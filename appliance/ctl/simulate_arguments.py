"""The command line of `simulate`."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.ctl import simulate
from appliance.ctl.parsing import Group, leaf, positive

_MAX_SERVERS = 1000


def add_simulate(groups: Group[Any]) -> None:
    """Declare the command."""
    parser = leaf(
        groups,
        "simulate",
        simulate.simulate,
        "replay a timetable in simulated time: how many servers does it take?",
        "simulate timetable.csv --capacity 200 --picture morning.svg",
    )
    parser.add_argument(
        "timetable",
        metavar="FILE.csv",
        nargs="?",
        help="a class a line, first line: start,users (HH:MM and a number; further columns: "
        "minutes, count, name); without it a school's morning is made up",
    )
    pool = parser.add_mutually_exclusive_group()
    pool.add_argument(
        "--servers",
        metavar="N",
        type=_count,
        help="equal ones; without it and with --capacity: as many as it takes",
    )
    pool.add_argument(
        "--multipliers",
        metavar="M,M,...",
        type=_multipliers,
        help="load multipliers of the servers, one each: 0.5 for one twice as strong",
    )
    parser.add_argument(
        "--capacity",
        metavar="USERS",
        type=_count_of_users,
        help="that a server of multiplier 1 carries",
    )
    parser.add_argument(
        "--known",
        metavar="SHARE",
        type=_share,
        default=0.9,
        help="of classes that took place before, so that their size is remembered (default 0.9)",
    )
    parser.add_argument("--no-forecast", action="store_true", help="as with LOAD_FORECAST=false")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="another day (default 1)")
    parser.add_argument("--picture", metavar="FILE.svg", help="draw the worst server over the day")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_SERVERS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MAX_SERVERS}")
    return int(text)


def _count_of_users(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of users")
    return int(text)


def _multipliers(text: str) -> list[float]:
    values = [positive(part.strip()) for part in text.split(",")]
    if len(values) > _MAX_SERVERS:
        raise argparse.ArgumentTypeError(f"more than {_MAX_SERVERS} servers")
    return values


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value
