"""The simulation as a program of its own: one JSON document in, one out. Called by ctl/simulate.py.

Apart from ctl, which must start fast and load no driver. On failure: one line on standard error, 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import trio

from appliance.log import configure_logging, get_logger
from appliance.simulation.study import Question, answer, render_picture, to_json
from appliance.simulation.timetable import Row, TimetableError, parse_timetable
from appliance.system.embedded_state import EmbeddedStoresError


def main(asked: dict[str, Any]) -> dict[str, Any]:
    """Answer a question; its fields are those of ctl/simulate.py.

    Raises TimetableError, OSError, EmbeddedStoresError.
    """
    question = Question(
        rows=_rows(asked),
        multipliers=tuple(asked["multipliers"]) if asked["multipliers"] else None,
        capacity=asked["capacity"],
        known=asked["known"],
        forecast=asked["forecast"],
        seed=asked["seed"],
    )
    configure_logging("error", "console", journal_stream=None)
    study = trio.run(answer, question, get_logger("simulate"))
    document = to_json(study, question)
    if asked["picture"]:
        Path(asked["picture"]).write_text(render_picture(study, question), "utf-8")
        document["picture"] = asked["picture"]
    return document


def _rows(asked: dict[str, Any]) -> tuple[Row, ...]:
    if asked["timetable"] is None:
        return EXAMPLE
    try:
        return tuple(parse_timetable(Path(asked["timetable"]).read_text("utf-8-sig")))
    except UnicodeDecodeError:
        raise TimetableError("it is not UTF-8 text") from None


EXAMPLE = tuple(
    Row(start_min=hour * 60, minutes=50, users=users, count=count, name="example")
    for hour in (8, 9, 10)
    for users, count in ((8, 60), (15, 60), (25, 40), (45, 20), (90, 6), (180, 2))
)
"""A school of some 4,600 on a morning."""


def _run() -> int:
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except (TimetableError, EmbeddedStoresError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(_run())
