"""Deletes recordings that are older than the retention time of the appliance or their tenant.

As deleteRecordings does: the files are moved to the trash, the rows of formats and metadata
deleted, and the state is `deleted`. In batches, so that locks are held briefly. Recordings of a
tenant with an invalid setting are kept. Source: docs/recordings.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.recordings.administration import OpenedRecordings, open_recordings
from appliance.recordings.calls import delete_locked, empty_trash, open_change
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.summary import RecordingSummary
from appliance.tenants.retention import PARAM, RetentionRules, retention_rules

BATCH = 50
KEEP_JOURNAL_S = 90 * 86400.0
"""How long journal entries of successful imports are kept; failed ones are not deleted."""
KEEP_URLS_S = 180 * 86400.0
"""How long callback URLs of a meeting are kept after its last create: servers with a backlog may
take weeks to process a recording."""


@dataclass(slots=True)
class Pruned:
    """Result of one batch."""

    deleted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Recordings whose files could not be moved; the reasons are logged."""
    next_after: int | None = None
    """`after` of the next batch; None: this was the last."""


async def read_rules(deps: RecordingDeps, days: float | None = None) -> RetentionRules:
    """Return the current rules; `days`, if given, replaces RECORDING_RETENTION_DAYS.

    Raises StoreDown.
    """
    default = deps.settings.retention_days if days is None else days
    settings = await deps.tenants.store.list_settings() or ()
    own = [(one.tenant_id, one.value) for one in settings if one.param == PARAM]
    return retention_rules(default, own)


async def list_expired(
    deps: RecordingDeps, rules: RetentionRules, *, after: int, limit: int
) -> list[RecordingSummary]:
    """Return the recordings that `prune_batch` would delete. Raises Refused, DatabaseDown."""
    table = open_recordings(deps).admin.table
    if rules.keep_all:
        return []
    return await table.list_expired(rules, now_ms=deps.now_ms(), after=after, limit=limit)


async def prune_batch(
    deps: RecordingDeps, actor: str, rules: RetentionRules, *, after: int = 0
) -> Pruned:
    """Delete the next batch of recordings that are too old. Raises Refused, DatabaseDown."""
    opened = open_recordings(deps)
    pruned = Pruned()
    if rules.keep_all:
        return pruned
    await _delete(deps, opened, rules, after, pruned)
    if pruned.deleted:
        record_ids = pruned.deleted
        deps.log.info("recordings_expired", by=actor, count=len(record_ids), record_ids=record_ids)
    if pruned.next_after is None:
        deps.later(empty_trash, deps, opened.files)
    return pruned


async def _delete(
    deps: RecordingDeps, opened: OpenedRecordings, rules: RetentionRules, after: int, pruned: Pruned
) -> None:
    expired = opened.admin.table.lock_expired(rules, now_ms=deps.now_ms(), after=after, limit=BATCH)
    async with open_change(deps, expired) as locked:
        for one in locked.recordings:
            done = await delete_locked(deps, opened.files, locked, one)
            (pruned.deleted if done else pruned.failed).append(one.record_id)
        if len(locked.recordings) == BATCH:
            pruned.next_after = locked.recordings[-1].id


async def run_retention(deps: RecordingDeps, actor: str) -> int:
    """Delete recordings, journal entries and callback URLs that are too old.

    Return the number of deleted recordings. The rules are read again for each batch, so that a
    change of a setting takes effect immediately. Raises Refused, DatabaseDown, StoreDown.
    """
    deleted, after = 0, 0
    while True:
        rules = await read_rules(deps)
        pruned = await prune_batch(deps, actor, rules, after=after)
        deleted += len(pruned.deleted)
        if pruned.next_after is None:
            break
        after = pruned.next_after
    forgotten = await open_recordings(deps).admin.history.forget_old(KEEP_JOURNAL_S)
    if forgotten:
        deps.log.info("import_journal_pruned", lines=forgotten)
    forgotten = await deps.callbacks.urls.prune(KEEP_URLS_S)
    if forgotten:
        deps.log.info("callback_urls_pruned", meetings=forgotten)
    return deleted
