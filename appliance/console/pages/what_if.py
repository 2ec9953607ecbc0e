"""The page "What if": the pool's own fullest day, with fewer servers or more classes.

It runs in a process of its own (`appliance.simulation`), one at a time, at low priority and with a
time limit, so that it never takes the processor from calls.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
from quart import Response

from appliance.console.core import Console, PageFailed, Route, Visit
from appliance.model import ServerState

LIMIT_S = 60.0
_MAX_TIMETABLE = 100_000
_MAX_WEIGHT = 1_000_000
_DEFAULT_CAPACITY = 200
_DEFAULT_CAMERAS = 25
"""Percent of users."""
_HEAD = "start,minutes,users,count"
_WEIGHTS = ("user", "video", "voice", "meeting")


async def show(console: Console, visit: Visit) -> Response:
    """Show the questions."""
    given = {"lost": "1", "capacity": str(await _capacity(console))}
    weights = console.settings.load.weights
    known = weights.to_script() if weights else {}
    given |= {f"per_{name}": f"{known[name]:g}" if known else "" for name in _WEIGHTS}
    return await _page(console, visit, {**given, "cameras": str(_DEFAULT_CAMERAS)})


async def ask(console: Console, visit: Visit) -> Response:
    """Simulate, and show the answer."""
    names = ("lost", "capacity", "classes", "cameras", *(f"per_{name}" for name in _WEIGHTS))
    given = {name: visit.field(name) for name in names}
    lost, capacity = _number(given["lost"], 0, 1000), _number(given["capacity"], 1, 1_000_000)
    if len(given["classes"]) > _MAX_TIMETABLE:
        raise PageFailed(400, "The timetable is too long")
    cameras = _number(given["cameras"] or str(_DEFAULT_CAMERAS), 0, 100) / 100
    cost = {"weights": _read_weights(given), "cameras": cameras}
    multipliers = await _multipliers(console)
    left = multipliers[lost:]
    if not left:
        return await _page(console, visit, given, problem="No server would be left")
    lines, day = await _read_timetable(console, visit)
    lines += [line for line in given["classes"].splitlines() if line.strip()]
    if not lines:
        problem = "There is no past day yet: give a timetable"
        return await _page(console, visit, given, problem=problem)
    try:
        found = await _simulate(console, [_HEAD, *lines], left, capacity, cost)
    except SimulationFailed as error:
        return await _page(console, visit, given, problem=str(error))
    return await _page(console, visit, given, found=found, day=day, servers=len(left))


class SimulationFailed(Exception):
    """The simulator gave no answer; `str()` is its reason."""


async def _simulate(
    console: Console,
    lines: Sequence[str],
    left: Sequence[float],
    capacity: int,
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """Run the simulator. Raises SimulationFailed."""
    with tempfile.TemporaryDirectory(prefix="scalelite-what-if-") as directory:
        timetable, picture = Path(directory) / "day.csv", Path(directory) / "day.svg"
        await trio.Path(timetable).write_text("\n".join(lines) + "\n", "utf-8")
        request = {
            "timetable": str(timetable),
            "classes": None,
            "multipliers": list(left),
            "capacity": capacity,
            "known": 0.9,
            "forecast": True,
            "seed": 1,
            **cost,
            "picture": str(picture),
        }
        command = ["nice", "-n", "10", sys.executable, "-m", "appliance.simulation"]
        path = os.pathsep.join(filter(None, sys.path))
        try:
            with trio.fail_after(LIMIT_S):
                async with console.simulations:
                    done = await trio.run_process(
                        command,
                        stdin=json.dumps(request).encode(),
                        capture_stdout=True,
                        capture_stderr=True,
                        check=False,
                        env={**os.environ, "PYTHONPATH": path},
                    )
        except (trio.TooSlowError, OSError, subprocess.SubprocessError):
            raise SimulationFailed("The simulation took too long") from None
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise SimulationFailed(words[-1] if words else "The simulation failed")
        found: dict[str, Any] = json.loads(done.stdout)
        drawn = await trio.Path(picture).read_bytes()
    found["picture"] = "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()
    return found


async def _read_timetable(console: Console, visit: Visit) -> tuple[list[str], str]:
    """Return the classes of the fullest day of the last four weeks, and that day."""
    found, _ = await console.try_call(visit, "usageTimetable")
    if found is None:
        return [], ""
    rows = [f"{one.start},{one.minutes},{one.users},{one.count}" for one in found.classes]
    return rows, found.day


async def _multipliers(console: Console) -> list[float]:
    """Return the multipliers of the enabled servers, the strongest first."""
    servers = (await console.live.snapshot()).servers
    return sorted(one.load_multiplier for one in servers if one.state is ServerState.ENABLED)


async def _capacity(console: Console) -> int:
    servers = (await console.live.snapshot()).servers
    known = sorted(one.max_users for one in servers if one.max_users)
    return known[len(known) // 2] if known else _DEFAULT_CAPACITY


def _read_weights(given: Mapping[str, str]) -> dict[str, float] | None:
    """Return the weights that are given, None if none is."""
    texts = {name: given[f"per_{name}"].strip() for name in _WEIGHTS}
    found = {}
    for name, text in texts.items():
        if text:
            try:
                found[name] = float(text.replace(",", "."))
            except ValueError:
                found[name] = -1.0
            if not 0 <= found[name] <= _MAX_WEIGHT:  # also refuses NaN
                raise PageFailed(400, "One of the numbers is out of range")
    return found or None


def _number(text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and low <= int(text) <= high):
        raise PageFailed(400, "One of the numbers is out of range")
    return int(text)


async def _page(
    console: Console, visit: Visit, given: dict[str, str], problem: str = "", **values: Any
) -> Response:
    count = len(await _multipliers(console))
    shown = {"found": None, "day": "", "servers": count, **values}
    reason = visit.texts.t(problem) if problem else ""
    return await console.page(
        visit, "what_if.html", 400 if problem else 200, given=given, problem=reason, **shown
    )


ROUTES = (
    Route("/what-if", show, page="what-if"),
    Route("/what-if", ask, "POST", "what-if"),
)
