"""The report, compared with the plainest way to add the same runs up."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from appliance.postgres.transaction import open_transaction
from appliance.usage import report
from appliance.usage.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    EndedRun,
    Question,
    ServerUsage,
    UsageRun,
)
from appliance.usage.report import QuestionTooLarge, Used, answer
from appliance.usage.table import UsageTable
from tests.doubles.usage import open_database

MONTH_MS = 1_761_955_200_000  # 2025-11-01T00:00Z
FROM_MS, TO_MS = MONTH_MS - 2 * DAY_MS, MONTH_MS + 2 * DAY_MS
_LOCK = "LOCK TABLE appliance.meeting_runs"
PERIOD_MS = {"hour": HOUR_MS, "day": DAY_MS}


@dataclass(frozen=True)
class Run:
    """A run, live or ended."""

    server: str
    run: UsageRun
    end_ms: int

    def overlap_ms(self, from_ms: int, to_ms: int) -> int:
        return max(0, min(self.end_ms, to_ms) - max(self.run.began_ms, from_ms))

    def share(self, from_ms: int, to_ms: int) -> float:
        length = self.end_ms - self.run.began_ms
        inside = from_ms <= self.run.began_ms < to_ms
        return self.overlap_ms(from_ms, to_ms) / length if length else float(inside)

    def key(self, by: Iterable[str]) -> tuple[str, ...]:
        of = {
            "tenant": self.run.tenant,
            "server": self.server,
            "origin": self.run.origin,
            "meeting": self.run.meeting_id,
        }
        return tuple(of[name] for name in by)


def make_runs(chance: random.Random, number: int) -> list[Run]:
    """Return runs around the period, many of them at its edges and at full hours."""
    found = []
    for index in range(number):
        began_ms = chance.randrange(FROM_MS - DAY_MS, TO_MS + HOUR_MS)
        length_ms = chance.choice([0, MINUTE_MS, 50 * MINUTE_MS, 3 * HOUR_MS, 30 * HOUR_MS])
        if chance.random() < 0.3:
            began_ms -= began_ms % HOUR_MS
        tenant, meeting = chance.choice(["", "a", "b"]), f"room {chance.randrange(20)}"
        users = chance.randrange(30)
        run = UsageRun(
            id=f"{meeting}~{tenant}",
            created=began_ms + index,
            began_ms=began_ms,
            meeting_id=meeting,
            tenant=tenant,
            origin=chance.choice(["", "Moodle", "Greenlight", "Möödle"]),
            recorded=chance.random() < 0.3,
            breakout_of="parent" if chance.random() < 0.1 else "",
            user_ms=float(users * length_ms),
            dial_in_ms=float(length_ms // 2),
            peak_users=users,
        )
        found.append(Run(f"bbb-{chance.randrange(3)}", run, began_ms + length_ms))
    return found


def periods(
    by: tuple[str, ...], from_ms: int, to_ms: int
) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return the bounds of each period of a question by the time in its key."""

    step_ms = next((PERIOD_MS[name] for name in by if name in PERIOD_MS), 0)
    if "month" in by:
        edges = [from_ms, MONTH_MS, to_ms]
        return {("2025-10",): (edges[0], edges[1]), ("2025-11",): (edges[1], edges[2])}
    if not step_ms:
        return {(): (from_ms, to_ms)}
    shown = "%Y-%m-%dT%H:00" if step_ms == HOUR_MS else "%Y-%m-%d"
    return {
        (time.strftime(shown, time.gmtime(at_ms / 1000)),): (
            max(at_ms, from_ms),
            min(at_ms + step_ms, to_ms),
        )
        for at_ms in range(from_ms - from_ms % step_ms, to_ms, step_ms)
    }


def expected(runs: list[Run], by: tuple[str, ...], from_ms: int, to_ms: int) -> dict[object, Used]:
    """Return what runs add up to, by words of which a period is the last."""
    words = [name for name in by if name not in {*PERIOD_MS, "month"}]
    found: dict[object, Used] = {}
    meetings: dict[object, set[object]] = {}
    for shown, (begin, end) in periods(by, from_ms, to_ms).items():
        for one in runs:
            starts = begin <= one.run.began_ms < end
            if one.run.breakout_of or not (starts or one.overlap_ms(begin, end)):
                continue
            key = (*one.key(words), *shown)
            line = found.setdefault(key, Used(key))
            line.user_ms += one.run.user_ms * one.share(begin, end)
            line.dial_in_ms += one.run.dial_in_ms * one.share(begin, end)
            line.recorded_ms += one.overlap_ms(begin, end) if one.run.recorded else 0
            if starts:
                line.meetings += 1
                meetings.setdefault(key, set()).add((one.run.tenant, one.run.meeting_id))
                line.distinct_meetings = len(meetings[key])
    return found


def peaks(runs: list[Run], origin: str, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return the most users and runs of an origin, each run lasting for full minutes."""
    users: dict[int, int] = {}
    number: dict[int, int] = {}
    for one in runs:
        starts = from_ms <= one.run.began_ms < to_ms
        if one.run.breakout_of or one.run.origin != origin:
            continue
        if not (starts or one.overlap_ms(from_ms, to_ms)):
            continue
        first = max(one.run.began_ms, from_ms) // MINUTE_MS
        last_ms = max(min(one.end_ms, to_ms) - 1, one.run.began_ms, from_ms)
        for minute in range(first, last_ms // MINUTE_MS + 1):
            users[minute] = users.get(minute, 0) + one.run.peak_users
            number[minute] = number.get(minute, 0) + 1
    return max(users.values()), max(number.values())


async def test_report_is_what_the_runs_add_up_to(database_url: str) -> None:
    """Also those of which the database has heard nothing yet, and those that it has already."""
    chance = random.Random(19)
    runs = make_runs(chance, 600)
    live: dict[str, ServerUsage] = {}
    for one in chance.sample(runs, 60):
        state = live.setdefault(one.server, ServerUsage(polled_ms=one.end_ms))
        if one.end_ms <= state.polled_ms:  # the last poll says until when they have lasted
            state.runs.append(one.run)
    polled = {id(run): live[name].polled_ms for name in live for run in live[name].runs}
    runs = [Run(one.server, one.run, polled.get(id(one.run), one.end_ms)) for one in runs]
    ended = [one for one in runs if id(one.run) not in polled or chance.random() < 0.2]
    async with open_database(database_url) as database:
        table = UsageTable(database)
        # A pair without a run, and holes in the numbers of pairs.
        await database.execute(
            "INSERT INTO appliance.usage_pairs (id, scope, tenant, server) VALUES (70, 0, 'x', 'x')"
        )
        await table.add_runs([EndedRun(one.server, one.run, one.end_ms, "poll") for one in ended])
        for from_ms, to_ms in ((FROM_MS, TO_MS), (FROM_MS + 5 * HOUR_MS, TO_MS - 7 * HOUR_MS)):
            for by in (
                *(("tenant",), ("server",), ("meeting",), ("origin",)),
                *(("hour",), ("day",), ("month",), ("tenant", "hour"), ("tenant", "meeting")),
                *(("origin", "hour"), ("origin", "day"), ("origin", "month")),
                *(("meeting", "day"), ("tenant", "server", "origin", "meeting")),
            ):
                found = await answer(database, Question(from_ms, to_ms, by), live)
                wanted = expected(runs, by, from_ms, to_ms)
                lines = {line.key: line for line in found.lines}
                assert set(lines) >= {key for key, line in wanted.items() if line.meetings}, by
                for key, line in lines.items():
                    want = wanted.get(key, Used(key))
                    assert line.meetings == want.meetings, (by, key)
                    assert line.distinct_meetings == want.distinct_meetings, (by, key)
                    if {"meeting", "origin"} & {*by}:
                        assert key in wanted, (by, key)
                        assert line.user_ms == pytest.approx(want.user_ms), (by, key)
                        assert line.dial_in_ms == pytest.approx(want.dial_in_ms), (by, key)
                        assert line.recorded_ms == pytest.approx(want.recorded_ms, abs=1), (by, key)
                    if "origin" in by and "server" not in by:
                        begin, end = periods(by, from_ms, to_ms)[key[1:]]
                        most = peaks(runs, key[0], begin, end)
                        assert (line.peak_users, line.peak_meetings) == most, key
            for tenant in ("", "a", "nobody"):
                found = await answer(database, Question(from_ms, to_ms, ("tenant",), tenant), live)
                counted = {line.key[0]: line.meetings for line in found.lines if line.meetings}
                want_of = expected(runs, ("tenant",), from_ms, to_ms).get((tenant,))
                assert counted == ({tenant: want_of.meetings} if want_of else {})


async def test_report_of_ages_is_answered_at_once(database_url: str) -> None:
    """By hours of which there were meetings, not by each of eight thousand years."""
    ages = Question(-50_000_000_000_000, 200_000_000_000_000, ("hour",))
    async with open_database(database_url) as database:
        assert (await answer(database, ages, {})).lines == []
        (one, *_) = make_runs(random.Random(1), 1)
        await UsageTable(database).add_runs([EndedRun("bbb-1", one.run, one.end_ms, "poll")])
        assert [line.meetings for line in (await answer(database, ages, {})).lines] == [1]


async def test_question_with_too_many_lines_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_runs(random.Random(2), 40)
    monkeypatch.setattr(report, "MAX_LINES", 10)
    async with open_database(database_url) as database:
        await UsageTable(database).add_runs(
            [EndedRun(one.server, one.run, one.end_ms, "poll") for one in runs]
        )
        assert len((await answer(database, Question(FROM_MS, TO_MS, ("server",)), {})).lines) == 3
        for by in (("meeting",), ("origin", "hour"), ("meeting", "tenant", "hour")):
            with pytest.raises(QuestionTooLarge, match="more than 10 lines: ask for a shorter"):
                await answer(database, Question(FROM_MS, TO_MS, by), {})


async def test_question_that_takes_too_long_is_not_a_database_that_is_down(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "DEADLINE_S", 0.3)
    too_long = Question(FROM_MS, TO_MS)
    async with open_database(database_url) as database:
        async with open_transaction(database, hold_s=20) as other:
            await other.run(lambda connection: connection.execute(_LOCK))
            with pytest.raises(QuestionTooLarge, match=r"not answered within 0\.3 s: ask"):
                await answer(database, too_long, {})
        assert database.ready
        assert (await answer(database, too_long, {})).lines == []
