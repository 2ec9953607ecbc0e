"""Lists of meetings that arrive together are parsed a few at a time."""

from __future__ import annotations

import pytest
import trio

from appliance.bbb.list_reading import ListReading
from appliance.bbb.meeting_list import MeetingList, MeetingListReader

LIST = (
    b"<response><returncode>SUCCESS</returncode><meetings><meeting><meetingID>%d</meetingID>"
    b"</meeting></meetings></response>"
)
COUNT = 12


@pytest.mark.parametrize("at_once", [1, 2, None])
async def test_of_many_lists_some_are_parsed_before_other_tasks_run(at_once: int | None) -> None:
    reader, turns = MeetingListReader(), trio.Semaphore(at_once) if at_once else None
    read: list[MeetingList] = []
    passes: list[int] = []

    async def finish(number: int) -> None:
        reading = ListReading(reader, turns=turns)
        await reading.take(LIST % number)
        read.append(await reading.finish())
        passes.append(passed)

    passed = 0
    async with trio.open_nursery() as nursery:
        for number in range(COUNT):
            nursery.start_soon(finish, number)
        while len(read) < COUNT:
            passed += 1
            await trio.lowlevel.checkpoint()

    ids = sorted(int(one.listed[0].id) for one in read)
    assert ids == list(range(COUNT))
    most = max(passes.count(one) for one in set(passes))
    # Tasks run in any order, so this one may count in the midst of the others.
    assert most <= 2 * at_once if at_once else most >= COUNT // 2
