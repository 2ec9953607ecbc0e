"""Heal what the inspection found, where that is safe, in the same steps.

Files are moved and removed only if the database determines where they belong, under the lock of the
recording's row.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.pool.records import SWEEP_GRACE_MS
from appliance.recordings.administration import open_recordings, repair_recordings
from appliance.recordings.calls import empty_trash
from appliance.recordings.recording import is_deleted
from appliance.settings import Settings
from appliance.takeover.deps import TakeoverDeps, TakeoverSources
from appliance.takeover.findings import TakeoverFinding, Verdict, found, merge_findings
from appliance.takeover.inspection import (
    PAGE_ROWS,
    Cursor,
    StepResult,
    open_recording_survey,
    open_sources,
)
from appliance.takeover.pool_findings import judge_pool
from appliance.takeover.recording_findings import (
    DELETED_FILES,
    WRONG_PLACE,
    SurveyedRecording,
    judge_recordings,
    wrong_places,
)

_FAILED = "formats whose files could not be moved or removed"
_FAILED_ADVICE = "check the directories and their permissions, then heal again"


async def heal_step(deps: TakeoverDeps, who: str, cursor: Cursor, *, dry_run: bool) -> StepResult:
    """Repair one part, or with `dry_run` only return what would be repaired.

    The findings are what was done; those of Verdict.PERSON could not be done.
    Raises StoreDown, DatabaseDown, OSError, Refused.
    """
    match cursor.part:
        case "pool":
            return await _heal_pool(deps, who, dry_run=dry_run)
        case "recordings":
            return await _heal_recordings(deps, who, cursor.after, dry_run=dry_run)
    raise Refused(RefusalKind.INVALID, f"healing has no part {cursor.part!r}")


async def _heal_pool(deps: TakeoverDeps, who: str, *, dry_run: bool) -> StepResult:
    """Sweep, and report what it removed; a later sweep removes the rest."""
    sources, settings = open_sources(deps), deps.settings
    result = StepResult()
    if sources.recordings is not None:
        result.next = Cursor("recordings")
        result.total = sum((await sources.recordings.count_by_state()).values())
    before = await _self_healing(sources, settings)
    if dry_run:
        result.findings = before
        return result
    await deps.servers.store.sweep(now_ms=deps.now_ms(), grace_ms=SWEEP_GRACE_MS)
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


async def _self_healing(sources: TakeoverSources, settings: Settings) -> list[TakeoverFinding]:
    if sources.pool is None:
        return []
    findings = judge_pool(await sources.pool.read_pool(), multitenancy=settings.api.multitenancy)
    return [one for one in findings if one.verdict is Verdict.SELF]


async def _heal_recordings(
    deps: TakeoverDeps, who: str, after: int, *, dry_run: bool
) -> StepResult:
    sources = open_sources(deps)
    rows = await open_recording_survey(sources).page(after, PAGE_ROWS)
    places = await trio.to_thread.run_sync(sources.files.where, [row.record_id for row in rows])
    wanted = [one for one in judge_recordings(rows, places, ()) if one.verdict is Verdict.HEAL]
    result = StepResult(wanted, None, checked=len(rows))
    if len(rows) == PAGE_ROWS:
        result.next = Cursor("recordings", rows[-1].id)
    if not wanted or dry_run:
        return result
    result.findings = []
    for row in rows:
        if row.deleted and places.get(row.record_id):
            result.findings += await _remove_files(deps, row, sorted(places[row.record_id]))
        elif not row.deleted and wrong_places(row, places.get(row.record_id, {})):
            result.findings += await _move_files(deps, who, row)
    result.findings = merge_findings(result.findings)
    healed = [name for one in result.findings if one.verdict is Verdict.HEAL for name in one.names]
    deps.log.info(
        "takeover_healed", by=who, part="recordings", count=len(healed), formats=healed[:20]
    )
    return result


async def _remove_files(
    deps: TakeoverDeps, row: SurveyedRecording, formats: Sequence[str]
) -> list[TakeoverFinding]:
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


async def _move_files(
    deps: TakeoverDeps, who: str, row: SurveyedRecording
) -> list[TakeoverFinding]:
    """Move the formats of a recording to where they belong according to its row."""
    try:
        repair = await repair_recordings(
            deps.recordings, who, record_ids=[row.record_id], after=0, dry_run=False
        )
    except Refused as refusal:
        if refusal.kind is RefusalKind.NOT_FOUND:
            return []  # deleted meanwhile
        raise
    return [
        *found(Verdict.HEAL, WRONG_PLACE, repair.moved),
        *found(Verdict.PERSON, _FAILED, repair.failed, _FAILED_ADVICE),
    ]
