"""A look at the stores of a Scalelite before a takeover, and the safe part of putting them right.

In steps of a bounded size, so that a large pool delays nothing and its progress can be shown: each
says where the next one begins. The look changes nothing. Healing moves and removes files only where
the database says where they belong, under the lock of the recording's row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.doctor.server_findings import ServerFacts
from appliance.model import Target
from appliance.recordings.administration import open_recordings, repair_recordings
from appliance.recordings.calls import empty_trash
from appliance.recordings.merge import is_deleted
from appliance.settings import Settings
from appliance.takeover.deps import TakeoverDeps
from appliance.takeover.findings import Finding, Verdict, found, merge_findings
from appliance.takeover.pool_findings import check_pool
from appliance.takeover.ports import RecordingSurvey, TakeoverSources
from appliance.takeover.reach_findings import check_reach, polled_servers
from appliance.takeover.recording_findings import (
    DELETED_FILES,
    WRONG_PLACE,
    SurveyedRecording,
    check_callbacks,
    check_directories,
    check_recordings,
    check_schema,
    check_strangers,
    check_tars,
    wrong_places,
)

PAGE_ROWS = 1000
_CHUNK = 1000
_ASKED_AT_ONCE = 32
MAX_CALLBACKS = 5000
_SWEEP_GRACE_MS = 60_000
NO_REDIS = "the Redis of the Scalelite"
NO_DATABASE = "the database of the Scalelite"
_FAILED = "formats whose files could not be moved or removed"
_FAILED_ADVICE = "see to the directories, and heal again"


@dataclass(frozen=True, slots=True)
class Step:
    """Where a step begins: a part of the look, and how far it is in it."""

    part: str = "pool"
    """`pool`, `servers`, `directories`, `database`, `recordings` or `folders`."""
    after: int = 0


@dataclass(slots=True)
class StepResult:
    """What a step found, or did."""

    findings: list[Finding] = field(default_factory=list)
    next: Step | None = None
    """None: that was the last."""
    checked: int = 0
    """Recordings that this step looked at."""
    total: int = 0
    """Recordings in all, where this step has counted them."""


async def check_step(sources: TakeoverSources, settings: Settings, step: Step) -> StepResult:
    """Look at one part. Raises StoreDown, DatabaseDown, OSError, Refused (no such part)."""
    match step.part:
        case "pool":
            return await _check_pool(sources, settings)
        case "servers":
            return await _check_servers(sources)
        case "directories":
            return await _check_directories(sources, settings)
        case "database":
            return await _check_database(sources, settings)
        case "recordings":
            return await _check_recordings(sources, step.after)
        case "folders":
            return await _check_folder(sources, step.after)
    raise Refused(RefusalKind.INVALID, f"no part of the look is called {step.part!r}")


async def _check_pool(sources: TakeoverSources, settings: Settings) -> StepResult:
    text = "remarks on the configuration (`config check`)"
    result = StepResult(found(Verdict.FINE, text, settings.warnings), Step("directories"))
    if sources.pool is None:
        advice = "REDIS_URL is not set: the appliance would run an empty Redis of its own"
        result.findings.append(Finding(Verdict.PERSON, NO_REDIS, advice=advice))
    else:
        state = await sources.pool.read_pool()
        result.findings += check_pool(state, multitenancy=settings.api.multitenancy)
        result.next = Step("servers")
    return result


async def _check_servers(sources: TakeoverSources) -> StepResult:
    """Ask every server that would be polled whether it answers from here."""
    if sources.pool is None:
        return StepResult(next=Step("directories"))
    targets = polled_servers(await sources.pool.read_pool())
    asked: dict[str, ServerFacts] = {}
    limiter = trio.CapacityLimiter(_ASKED_AT_ONCE)

    async def ask(target: Target) -> None:
        async with limiter:
            asked[target.id] = await sources.ask_server(target)

    async with trio.open_nursery() as nursery:
        for target in targets:
            nursery.start_soon(ask, target)
    findings = list(check_reach([(target, asked[target.id]) for target in targets]))
    return StepResult(findings, Step("directories"))


async def _check_directories(sources: TakeoverSources, settings: Settings) -> StepResult:
    result = StepResult()
    if settings.recordings.disabled:
        result.findings = [Finding(Verdict.FINE, "recordings, which RECORDING_DISABLED turns off")]
        return result
    result.next = Step("database")
    if settings.s3.enabled:
        text = "files of recordings in S3, which are not looked at"
        result.findings = [Finding(Verdict.FINE, text)]
        return result
    files = sources.files
    directories = await trio.to_thread.run_sync(files.directories)
    waiting = await trio.to_thread.run_sync(files.tars)
    failed = await trio.to_thread.run_sync(files.failed_tars)
    result.findings = [*check_directories(directories), *check_tars(waiting, failed)]
    return result


async def _check_database(sources: TakeoverSources, settings: Settings) -> StepResult:
    survey, result = sources.recordings, StepResult()
    if survey is None:
        if not settings.stores.database_disabled:
            advice = "DATABASE_URL is not set: the appliance would run an empty one of its own"
            result.findings = [Finding(Verdict.PERSON, NO_DATABASE, advice=advice)]
        return result
    schema = await survey.read_schema()
    result.findings = list(check_schema(schema))
    if not schema.readable:
        return result
    counts = await survey.count_by_state()
    result.findings += [
        Finding(Verdict.FINE, f"{state or 'stateless'} recordings", count=count)
        for state, count in sorted(counts.items())
    ]
    if "callback_data" in schema.columns:
        waiting = await survey.callbacks(MAX_CALLBACKS)
        result.findings += await trio.to_thread.run_sync(_judge_callbacks, waiting)
    result.total = sum(counts.values())
    result.next = None if settings.s3.enabled else Step("recordings")
    return result


def _judge_callbacks(rows: Sequence[tuple[str, str | None]]) -> list[Finding]:
    return list(check_callbacks(rows))


async def _check_recordings(sources: TakeoverSources, after: int) -> StepResult:
    rows = await _survey(sources).page(after, PAGE_ROWS)
    places = await trio.to_thread.run_sync(sources.files.where, [row.record_id for row in rows])
    findings = check_recordings(rows, places, await _tar_ids(sources))
    following = Step("recordings", rows[-1].id) if len(rows) == PAGE_ROWS else Step("folders")
    return StepResult(findings, following, checked=len(rows))


async def _check_folder(sources: TakeoverSources, number: int) -> StepResult:
    folders = await trio.to_thread.run_sync(sources.files.folders)
    if number >= len(folders):
        return StepResult()
    folder = folders[number]
    names = await trio.to_thread.run_sync(sources.files.recordings_in, folder)
    known: set[str] = set()
    for start in range(0, len(names), _CHUNK):
        known |= await _survey(sources).known(names[start : start + _CHUNK])
    findings = list(check_strangers(folder, names, known, await _tar_ids(sources)))
    return StepResult(findings, Step("folders", number + 1))


async def _tar_ids(sources: TakeoverSources) -> Collection[str]:
    """Return the recordings that wait in the spool, by their tars' names."""
    names = await trio.to_thread.run_sync(sources.files.tars)
    return {name.partition(".")[0] for name in names}


def _survey(sources: TakeoverSources) -> RecordingSurvey:
    if sources.recordings is None:
        raise Refused(RefusalKind.INVALID, "there are no recordings here")
    return sources.recordings


# --- healing -------------------------------------------------------------------------------------


def open_sources(deps: TakeoverDeps) -> TakeoverSources:
    """Return what there is to look at. Raises Refused."""
    if deps.sources is None:
        raise Refused(RefusalKind.INVALID, "there are no stores to look at")
    return deps.sources


async def heal_step(deps: TakeoverDeps, who: str, step: Step, *, dry_run: bool) -> StepResult:
    """Put one part right, or with `dry_run` only say what would be; findings: what was done.

    `person`: what could not be done. Raises StoreDown, DatabaseDown, OSError, Refused.
    """
    match step.part:
        case "pool":
            return await _heal_pool(deps, who, dry_run=dry_run)
        case "recordings":
            return await _heal_recordings(deps, who, step.after, dry_run=dry_run)
    raise Refused(RefusalKind.INVALID, f"no part of healing is called {step.part!r}")


async def _heal_pool(deps: TakeoverDeps, who: str, *, dry_run: bool) -> StepResult:
    """Sweep, and say what went with it; the rest goes when a later sweep has found it again."""
    sources, settings = open_sources(deps), deps.settings
    result = StepResult()
    if sources.recordings is not None and not settings.s3.enabled:
        result.next = Step("recordings")
        result.total = sum((await sources.recordings.count_by_state()).values())
    before = await _self_healing(sources, settings)
    if dry_run:
        result.findings = before
        return result
    await deps.servers.store.sweep(now_ms=deps.now_ms(), grace_ms=_SWEEP_GRACE_MS)
    if not before:
        return result
    healed: set[str] = set()
    left = {one.text: set(one.names) for one in await _self_healing(sources, settings)}
    for one in before:
        gone = set(one.names) - left.get(one.text, set())
        healed |= gone
        result.findings += found(Verdict.HEAL, one.text, gone)
        result.findings += found(Verdict.SELF, one.text, set(one.names) - gone)
    deps.log.info(
        "takeover_healed", by=who, part="pool", count=len(healed), entries=sorted(healed)[:20]
    )
    return result


async def _self_healing(sources: TakeoverSources, settings: Settings) -> list[Finding]:
    if sources.pool is None:
        return []
    findings = check_pool(await sources.pool.read_pool(), multitenancy=settings.api.multitenancy)
    return [one for one in findings if one.verdict is Verdict.SELF]


async def _heal_recordings(
    deps: TakeoverDeps, who: str, after: int, *, dry_run: bool
) -> StepResult:
    sources = open_sources(deps)
    rows = await _survey(sources).page(after, PAGE_ROWS)
    places = await trio.to_thread.run_sync(sources.files.where, [row.record_id for row in rows])
    wanted = [one for one in check_recordings(rows, places, ()) if one.verdict is Verdict.HEAL]
    result = StepResult(wanted, None, checked=len(rows))
    if len(rows) == PAGE_ROWS:
        result.next = Step("recordings", rows[-1].id)
    if not wanted or dry_run:
        return result
    result.findings = []
    for row in rows:
        if row.deleted and places.get(row.record_id):
            result.findings += await _remove_files(deps, row, sorted(places[row.record_id]))
        elif not row.deleted and wrong_places(row, places.get(row.record_id, {})):
            result.findings += await _put_right(deps, who, row)
    result.findings = merge_findings(result.findings)
    healed = [name for one in result.findings if one.verdict is Verdict.HEAL for name in one.names]
    deps.log.info(
        "takeover_healed", by=who, part="recordings", count=len(healed), formats=healed[:20]
    )
    return result


async def _remove_files(
    deps: TakeoverDeps, row: SurveyedRecording, formats: Sequence[str]
) -> list[Finding]:
    """Remove the files of a recording that is still deleted."""
    opened = open_recordings(deps.recordings)
    names = [f"{row.record_id}/{name}" for name in formats]
    if not is_deleted(await opened.store.find_recording(row.record_id)):
        return []
    try:
        await trio.to_thread.run_sync(opened.files.remove, row.record_id)
    except OSError as error:
        reason = error.strerror or "I/O error"
        named = [f"{name}: {reason}" for name in names]
        return found(Verdict.PERSON, _FAILED, named, _FAILED_ADVICE)
    deps.later(empty_trash, deps.recordings, opened.files)
    return found(Verdict.HEAL, DELETED_FILES, names)


async def _put_right(deps: TakeoverDeps, who: str, row: SurveyedRecording) -> list[Finding]:
    """Have the formats of a recording moved to where its row wants them."""
    try:
        repair = await repair_recordings(
            deps.recordings, who, record_ids=[row.record_id], after=0, dry_run=False
        )
    except Refused as refusal:
        if refusal.kind is RefusalKind.NOT_FOUND:
            return []  # deleted since
        raise
    return [
        *found(Verdict.HEAL, WRONG_PLACE, repair.moved),
        *found(Verdict.PERSON, _FAILED, repair.failed, _FAILED_ADVICE),
    ]
