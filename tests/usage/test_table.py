"""What front-ends can put into a run arrives in the database, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.usage.model import MINUTE_MS, EndedRun, Finished, Question, ServerUsage
from appliance.usage.report import answer
from appliance.usage.table import UsageTable
from tests.doubles.usage import open_database
from tests.usage.test_tally import START_MS, listed, poll

HOUR_MS = 60 * MINUTE_MS
AROUND = Question(START_MS - HOUR_MS, START_MS + 2 * HOUR_MS, ("meeting", "origin"))


def run_of(id: str, **fields: Any) -> tuple[ServerUsage, Finished]:
    """Return a server with a run that has ended by the second poll."""
    state = ServerUsage()
    poll(state, 1, listed(10, id=id, **fields))
    return state, poll(state, 2)


@pytest.mark.parametrize(
    ("id", "stored"),
    [
        ("a\0b", "ab"),
        ("a\\u0000", "a\\u0000"),
        ("a\\u0000b", "a\\u0000b"),
        ('"\\', '"\\'),
        ("half \ud83d", "half ?"),
        ("ä😀", "ä😀"),
    ],
)
async def test_run_of_any_id_and_origin_is_counted(id: str, stored: str, database_url: str) -> None:
    async with open_database(database_url) as database:
        _, finished = run_of("fine", origin="x" * 100_000)
        (ended,) = finished.entries
        (odd,) = run_of("odd")[1].entries
        assert isinstance(odd, EndedRun)
        odd.run.id = odd.run.meeting_id = odd.run.origin = id
        live = ServerUsage()
        poll(live, 1, listed(3, id="live"))
        live.runs[0].meeting_id = live.runs[0].origin = id

        await UsageTable(database).add_runs([ended, odd])
        found = await answer(database, AROUND, {"bbb": live})

    counted = {line.key: line.meetings for line in found.lines}
    assert counted == {("fine", "x" * 256): 1, (stored, stored): 2}
