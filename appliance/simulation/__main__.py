"""The simulation as a program: one JSON document on standard input, one on standard output.

Started by ctl/simulate.py, because ctl must start fast and loads no driver. On failure it prints
one line on standard error and exits with 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import trio

from appliance.log import configure_logging, get_logger
from appliance.model import LoadWeights
from appliance.simulation.study import Options, render_picture, run_study, to_json
from appliance.simulation.timetable import MAX_USERS, Row, TimetableError, parse_timetable
from appliance.system.embedded.state import EmbeddedStoresError


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Run the study that `request` describes; ctl/simulate.py has its fields.

    Raises TimetableError, OSError, EmbeddedStoresError.
    """
    options = Options(
        rows=_past_rows(request["classes"]) or _rows(request["timetable"]),
        multipliers=tuple(request["multipliers"]) if request["multipliers"] else None,
        capacity=request["capacity"],
        known=request["known"],
        forecast=request["forecast"],
        seed=request["seed"],
        weights=LoadWeights(**request["weights"]) if request["weights"] else None,
        cameras=request["cameras"],
        cells=request.get("cells", 1),
    )
    configure_logging("error", "console", journal_stream=None)
    study = trio.run(run_study, options, get_logger("simulate"))
    document = to_json(study, options)
    if request["picture"]:
        Path(request["picture"]).write_text(render_picture(study, options), "utf-8")
        document["picture"] = request["picture"]
    return document


def _rows(path: str | None) -> tuple[Row, ...]:
    if path is None:
        return EXAMPLE
    try:
        return tuple(parse_timetable(Path(path).read_text("utf-8-sig")))
    except UnicodeDecodeError:
        raise TimetableError("it is not UTF-8 text") from None


def _past_rows(classes: list[dict[str, Any]] | None) -> tuple[Row, ...]:
    """Return the meetings of a day of the past, as the appliance tells them."""
    rows = tuple(
        Row(
            start_min=int(one["start"][:2]) * 60 + int(one["start"][3:]),
            minutes=one["minutes"],
            users=one["users"],
            count=one["count"],
        )
        for one in classes or ()
    )
    if sum(row.users * row.count for row in rows) > MAX_USERS:
        raise TimetableError(f"the meetings of that day have more than {MAX_USERS} users in all")
    return rows


EXAMPLE = tuple(
    Row(start_min=hour * 60, minutes=50, users=users, count=count, name="example")
    for hour in (8, 9, 10)
    for users, count in ((8, 60), (15, 60), (25, 40), (45, 20), (90, 6), (180, 2))
)
"""A morning of a school with about 4,600 users."""


def _run() -> int:
    try:
        print(json.dumps(main(json.load(sys.stdin))))
    except (TimetableError, EmbeddedStoresError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(_run())
