"""Meeting runs in the report: how many, of which meetings; by origin or meeting all.

Source of the SQL: run_sql.py.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from appliance.postgres.database import Connection
from appliance.usage import run_sql as sql
from appliance.usage.csv_text import PERIODS
from appliance.usage.model import Question, ServerUsage
from appliance.usage.table import dump_rows, run_id

Statement: TypeAlias = tuple[str, tuple[object, ...]]
"""SQL and its arguments; columns k0, k1 … of a row are the key, the others fields of Used."""

LONGEST_RUN = timedelta(days=30)
MOST_SPANS = 24
"""Spans of time in which a statement reads runs, so that processes share them and the groups of
each fit into the caches of a processor."""

_PAIRS = "SELECT id, tenant, server FROM appliance.usage_pairs WHERE scope = 0"
_FIRST_AND_LAST = "SELECT min(created_at), max(created_at) FROM appliance.meeting_runs"
_STORED = "SELECT id FROM appliance.meeting_runs WHERE id = ANY ($1::uuid[])"


async def select_runs(
    connection: Connection, question: Question, live: Mapping[str, ServerUsage]
) -> RunSelection:
    """Return the runs that a question is about; `live` are those of servers in Redis."""
    live_runs = _live_runs(live)
    stored = {row[0] for row in await connection.fetch(_STORED, list(live_runs))}
    runs = [run for id, run in live_runs.items() if id not in stored]
    numbers = Numbers()
    for row in await connection.fetch(_PAIRS):
        numbers.add_pair(*row)
    selection = RunSelection(question, numbers, runs)
    if selection.needs_spans:
        selection.add_known_times(await connection.fetchrow(_FIRST_AND_LAST) or ())
    return selection


class Numbers:
    """Numbers in place of the ids of tenants and servers, which statements group faster."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._known: dict[str, int] = {}
        self._pairs: dict[int, tuple[int, int]] = {}

    def of(self, id: str) -> int:
        """Return the number of an id."""
        number = self._known.setdefault(id, len(self.ids))
        if number == len(self.ids):
            self.ids.append(id)
        return number

    def add_pair(self, pair: int, tenant: str, server: str) -> None:
        """Add a row of usage_pairs."""
        self._pairs[pair] = self.of(tenant), self.of(server)

    def by_pair(self) -> tuple[list[int], list[int]]:
        """Return the numbers of tenants and servers as arrays that the numbers of pairs index.

        They have no NULL: PostgreSQL finds an element of an array with one only by counting.
        """
        pairs = [
            self._pairs.get(pair, (-1, -1)) for pair in range(1, max(self._pairs, default=0) + 1)
        ]
        return [one[0] for one in pairs], [one[1] for one in pairs]


class RunSelection:
    """The runs that a question is about."""

    def __init__(
        self, question: Question, numbers: Numbers, live: Sequence[Mapping[str, Any]]
    ) -> None:
        self.question, self.numbers = question, numbers
        self._by = dict(enumerate(question.by))
        self._period = next((name for name in question.by if name in PERIODS), "")
        self._begin, self._end = bounds(question)
        self._tenant = None if question.tenant is None else numbers.of(question.tenant)
        self._live = [
            {**run, "tenant": numbers.of(run["tenant"]), "server": numbers.of(run["server"])}
            for run in live
            if run["began"] < question.to_ms
            and max(run["seen"] - 1, run["began"]) >= question.from_ms
            and question.tenant in (None, run["tenant"])
        ]
        self._known_times = [_time(run["began"]) for run in self._live]

    @property
    def needs_spans(self) -> bool:
        """Whether runs are read in spans of time."""
        by = self.question.by
        return "meeting" not in by and ("origin" in by or self._period in ("hour", "day"))

    def add_known_times(self, times: Iterable[datetime | None]) -> None:
        """Note when the first and the last run of the database began, None if there are none."""
        self._known_times += [one for one in times if one is not None]

    def statements(self) -> list[Statement]:
        """Return the statements that answer what these runs can tell."""
        by = self.question.by
        if "meeting" in by or ("origin" in by and not self._period):
            peaks = sql.MEETING_PEAKS if "meeting" in by else ""
            return [self._at_once(sql.COUNTS_AND_TIMES, sql.EACH_COUNT_AND_TIME, peaks=peaks)]
        if self._period in ("hour", "day"):
            counts = self._counts_in_spans()
        else:
            counts = self._at_once(sql.COUNTS, sql.EACH_COUNT)
        if "origin" not in by:
            return [counts]
        return [counts, self._at_once(sql.TIMES, sql.EACH_TIME)]

    def _at_once(self, text: str, each: str, **more: str) -> Statement:
        """Return a statement that reads all runs at once."""
        arguments = self._arguments()
        runs = [self._runs_before(arguments, "$2::timestamptz"), *self._live_runs(arguments)]
        period = self._period
        first, last = sql.floor_time(period, "from_at"), sql.floor_time(period, sql.LAST)
        parts = sql.PARTS if period else sql.WHOLE
        at = "created_at" if text == sql.COUNTS else "period"
        grouped = sql.group_by(self._by, at=at, **sql.SOURCES)
        texts = []
        for one in runs:
            periods = {"period": period, "first": first, "last": last, "runs": one}
            texts.append(each.format(**grouped, **periods, parts=parts.format(**periods)))
        merged = sql.MERGED[text] if self._live else "{each}"
        merged = merged.format(**grouped, each=" UNION ALL ".join(texts))
        return text.format(**grouped, **more, period=period, each=merged), arguments.values

    def _counts_in_spans(self) -> Statement:
        arguments = self._arguments()
        grouped = sql.group_by(self._by, at="created_at", **sql.SOURCES)
        texts = []
        for begin, end, live in self._spans(self._period, from_first=True):
            runs = sql.ALL_RUNS if live else sql.STORED_RUNS
            shown = {"live": arguments.add(dump_rows(live), "json")} if live else {}
            runs = runs.format(begin=arguments.add(begin), end=arguments.add(end), **shown)
            each = sql.EACH_COUNT.format(**grouped, runs=runs)
            texts.append(sql.COUNTS.format(**grouped, each=each))
        return " UNION ALL ".join(texts), arguments.values

    def peaks(self, found: Iterable[Any]) -> Statement | None:
        """Return the statement of the peaks by origin, None if these are not asked for.

        `found` is what the other statements have found.
        """
        if "origin" not in self.question.by or "meeting" in self.question.by:
            return None
        arguments, period = self._arguments(), self._period
        names = {number: name for number, name in self._by.items() if name != period}
        grouped = sql.group_by(names, at="", **sql.SOURCES)
        known = self._known_keys(names, found, grouped["keys"], arguments)
        runs = [self._runs_before(arguments, "$1::timestamptz")]
        for begin, end, _ in self._spans("day", from_first=False):
            shown = {"begin": arguments.add(begin), "end": arguments.add(end)}
            runs.append(sql.STORED_RUNS.format(**shown))
        runs += self._live_runs(arguments)
        changes = [sql.CHANGES.format(**grouped, known=known, runs=one) for one in runs]
        key = next((f"k{number}" for number, name in self._by.items() if name == period), "")
        if period:
            first = max(self._begin, min(self._known_times, default=self._end))
            last = min(self._end, max(self._ends(), default=self._end))
            edges = {"first": sql.floor_time(period, arguments.add(first))}
            edges["last"] = arguments.add(last)
            changes.append(sql.BEGINS.format(known=known, period=period, **edges))
        text = sql.PEAKS.format(
            keys=grouped["keys"],
            known=known,
            changes=" UNION ALL ".join(changes),
            period=f"{sql.floor_time(period, 'at')} AS {key}, " if period else "",
            period_key=f"{key}, " if period else "",
        )
        return text, arguments.values

    def _known_keys(
        self,
        names: Mapping[int, str],
        found: Iterable[Any],
        keys: str,
        arguments: _Arguments,
    ) -> str:
        """Return a table of all keys without their period, which numbers them."""
        known = sorted({tuple(one[f"k{number}"] for number in names) for one in found})
        types = ["text" if name == "origin" else "int" for name in names.values()]
        columns = list(zip(*known, strict=True)) or [()] * len(names)
        arrays = [
            arguments.add(list(column), f"{type}[]")
            for column, type in zip(columns, types, strict=True)
        ]
        casts = [
            f'k{number} COLLATE "C" AS k{number}' if name == "origin" else f"k{number}"
            for number, name in names.items()
        ]
        return sql.KNOWN.format(casts=", ".join(casts), arrays=", ".join(arrays), keys=keys)

    def _runs_before(self, arguments: _Arguments, end: str) -> str:
        """Return the SQL of the runs in the database that began before `end`."""
        begin = arguments.add(self._begin - LONGEST_RUN)
        return sql.STORED_RUNS.format(begin=begin, end=end)

    def _live_runs(self, arguments: _Arguments) -> list[str]:
        """Return the SQL of the runs that are not in the database, if there are any."""
        if not self._live:
            return []
        return [sql.LIVE_RUNS.format(live=arguments.add(dump_rows(self._live), "json"))]

    def _ends(self) -> list[datetime]:
        """Return times after which no run goes on, as far as is known."""
        latest = [at + LONGEST_RUN for at in self._known_times]
        return latest + [_time(run["seen"]) for run in self._live]

    def _arguments(self) -> _Arguments:
        return _Arguments(self._begin, self._end, self._tenant, *self.numbers.by_pair())

    def _spans(
        self, unit: str, *, from_first: bool
    ) -> list[tuple[datetime, datetime, list[Mapping[str, Any]]]]:
        """Return spans of whole hours or days: their bounds, and the live runs that began in each.

        The first begins with the period, or with the hour or day of the first run in it.
        """
        first = max(self._begin, min(self._known_times, default=self._end))
        stop = min(self._end, max(self._known_times, default=self._end) + timedelta(seconds=1))
        at = first.replace(minute=0, second=0, microsecond=0)
        if unit == "day":
            at = at.replace(hour=0)
        begins = [at if from_first else self._begin]
        while (at := at + timedelta(**{f"{unit}s": 1})) < stop:
            begins.append(at)
        begins = begins[:: -(-len(begins) // MOST_SPANS)]
        live: list[list[Mapping[str, Any]]] = [[] for _ in begins]
        for run in self._live:
            live[max(0, bisect_right(begins, _time(run["began"])) - 1)].append(run)
        return list(zip(begins, [*begins[1:], self._end], live, strict=True))


class _Arguments:
    """The arguments of a statement."""

    def __init__(self, *values: object) -> None:
        self.values = values

    def add(self, value: object, type: str = "timestamptz") -> str:
        """Add one and return its place in the SQL."""
        self.values = (*self.values, value)
        return f"${len(self.values)}::{type}"


def bounds(question: Question) -> tuple[datetime, datetime]:
    """Return the period of a question."""
    return _time(question.from_ms), _time(question.to_ms)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _live_runs(live: Mapping[str, ServerUsage]) -> dict[uuid.UUID, dict[str, Any]]:
    return {
        run_id(server, run.internal_id): {
            "tenant": run.tenant,
            "server": server,
            "meeting_id": run.meeting_id,
            "origin": run.origin,
            "began": run.began_ms,
            "seen": max(state.polled_ms, run.began_ms),
            "user_ms": round(run.user_ms),
            "dial_in_ms": round(run.dial_in_ms),
            "recorded": run.recorded,
            "peak_users": run.peak_users,
        }
        for server, state in live.items()
        for run in state.runs
        if not run.breakout_of and not run.lost
    }
