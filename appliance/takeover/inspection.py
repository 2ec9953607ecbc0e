"""Inspect the stores of a Scalelite before a takeover, in steps. Changes nothing.

The steps have a bounded size, so that a large pool delays no other call and progress can be shown;
each returns where the next one begins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.server_facts import ServerFacts
from appliance.model import Target
from appliance.settings import Settings
from appliance.system.threads import in_chunks
from appliance.takeover.deps import TakeoverDeps, TakeoverSources
from appliance.takeover.findings import TakeoverFinding, Verdict, found
from appliance.takeover.pool_findings import judge_pool
from appliance.takeover.reach_findings import judge_reach, polled_servers
from appliance.takeover.recording_findings import (
    judge_callbacks,
    judge_directories,
    judge_recordings,
    judge_schema,
    judge_strangers,
    judge_tars,
)
from appliance.takeover.recording_survey import RecordingSurvey

PAGE_ROWS = 1000
_CHUNK = 1000
_ASKED_AT_ONCE = 32
MAX_CALLBACKS = 5000
NO_REDIS = "the Redis of Scalelite"
NO_DATABASE = "the database of Scalelite"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a step begins."""

    part: str = "pool"
    """`pool`, `servers`, `directories`, `database`, `recordings` or `folders`."""
    after: int = 0
    """Progress within the part."""


@dataclass(slots=True)
class StepResult:
    """Findings of a step, or what a healing step did."""

    findings: list[TakeoverFinding] = field(default_factory=list)
    next: Cursor | None = None
    """None: this was the last step."""
    checked: int = 0
    """Recordings that this step inspected."""
    total: int = 0
    """All recordings, if this step has counted them; else 0."""


def open_sources(deps: TakeoverDeps) -> TakeoverSources:
    """Return the sources of the running appliance. Raises Refused: it has none."""
    if deps.sources is None:
        raise Refused(RefusalKind.INVALID, "there are no stores to inspect")
    return deps.sources


def open_recording_survey(sources: TakeoverSources) -> RecordingSurvey:
    """Return the survey of the database. Raises Refused: there is none."""
    if sources.recordings is None:
        raise Refused(RefusalKind.INVALID, "there are no recordings here")
    return sources.recordings


async def check_step(sources: TakeoverSources, settings: Settings, cursor: Cursor) -> StepResult:
    """Run one step. Raises StoreDown, DatabaseDown, OSError, Refused (no such part)."""
    match cursor.part:
        case "pool":
            return await _check_pool(sources, settings)
        case "servers":
            return await _check_servers(sources)
        case "directories":
            return await _check_directories(sources, settings)
        case "database":
            return await _check_database(sources, settings)
        case "recordings":
            return await _check_recordings(sources, cursor.after)
        case "folders":
            return await _check_folder(sources, cursor.after)
    raise Refused(RefusalKind.INVALID, f"the inspection has no part {cursor.part!r}")


async def _check_pool(sources: TakeoverSources, settings: Settings) -> StepResult:
    text = "warnings about the configuration (`config check`)"
    result = StepResult(found(Verdict.FINE, text, settings.warnings), Cursor("directories"))
    if sources.pool is None:
        advice = "REDIS_URL is not set: the appliance would run an empty Redis of its own"
        result.findings.append(TakeoverFinding(Verdict.PERSON, NO_REDIS, advice=advice))
    else:
        state = await sources.pool.read_pool()
        result.findings += judge_pool(state, multitenancy=settings.api.multitenancy)
        result.next = Cursor("servers")
    return result


async def _check_servers(sources: TakeoverSources) -> StepResult:
    """Inspect every server that the appliance would poll."""
    if sources.pool is None:
        return StepResult(next=Cursor("directories"))
    targets = polled_servers(await sources.pool.read_pool())
    asked: dict[str, ServerFacts] = {}
    limiter = trio.CapacityLimiter(_ASKED_AT_ONCE)

    async def ask(target: Target) -> None:
        async with limiter:
            asked[target.id] = await sources.ask_server(target)

    async with trio.open_nursery() as nursery:
        for target in targets:
            nursery.start_soon(ask, target)
    findings = list(judge_reach([(target, asked[target.id]) for target in targets]))
    return StepResult(findings, Cursor("directories"))


async def _check_directories(sources: TakeoverSources, settings: Settings) -> StepResult:
    result = StepResult()
    if settings.recordings.disabled:
        text = "recordings, which RECORDING_DISABLED disables"
        result.findings = [TakeoverFinding(Verdict.FINE, text)]
        return result
    result.next = Cursor("database")
    files = sources.files
    directories = await trio.to_thread.run_sync(files.directories)
    waiting = await trio.to_thread.run_sync(files.tars)
    failed = await trio.to_thread.run_sync(files.failed_tars)
    result.findings = [*judge_directories(directories), *judge_tars(waiting, failed)]
    return result


async def _check_database(sources: TakeoverSources, settings: Settings) -> StepResult:
    survey, result = sources.recordings, StepResult()
    if survey is None:
        if not settings.stores.database_disabled:
            advice = "DATABASE_URL is not set: the appliance would run an empty database of its own"
            result.findings = [TakeoverFinding(Verdict.PERSON, NO_DATABASE, advice=advice)]
        return result
    schema = await survey.read_schema()
    result.findings = list(judge_schema(schema))
    if not schema.readable:
        return result
    counts = await survey.count_by_state()
    result.findings += [
        TakeoverFinding(Verdict.FINE, f"{state or 'stateless'} recordings", count=count)
        for state, count in sorted(counts.items())
    ]
    if "callback_data" in schema.columns:
        waiting = await survey.callbacks(MAX_CALLBACKS)
        result.findings += await trio.to_thread.run_sync(_judge_callbacks, waiting)
    result.total = sum(counts.values())
    result.next = Cursor("recordings")
    return result


def _judge_callbacks(rows: Sequence[tuple[str, str | None]]) -> list[TakeoverFinding]:
    return list(judge_callbacks(rows))


async def _check_recordings(sources: TakeoverSources, after: int) -> StepResult:
    rows = await open_recording_survey(sources).page(after, PAGE_ROWS)
    places = await trio.to_thread.run_sync(sources.files.where, [row.record_id for row in rows])
    findings = judge_recordings(rows, places, await _tar_ids(sources))
    following = Cursor("recordings", rows[-1].id) if len(rows) == PAGE_ROWS else Cursor("folders")
    return StepResult(findings, following, checked=len(rows))


async def _check_folder(sources: TakeoverSources, number: int) -> StepResult:
    folders = await trio.to_thread.run_sync(sources.files.folders)
    if number >= len(folders):
        return StepResult()
    folder = folders[number]
    names = await trio.to_thread.run_sync(sources.files.recordings_in, folder)
    known: set[str] = set()
    for chunk in in_chunks(names, _CHUNK):
        known |= await open_recording_survey(sources).known(chunk)
    findings = list(judge_strangers(folder, names, known, await _tar_ids(sources)))
    return StepResult(findings, Cursor("folders", number + 1))


async def _tar_ids(sources: TakeoverSources) -> Collection[str]:
    """Return the recordings whose tar waits in the spool, by its name."""
    names = await trio.to_thread.run_sync(sources.files.tars)
    return {name.partition(".")[0] for name in names}
