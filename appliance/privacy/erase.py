"""Erases the traces of a person, a meeting or a tenant.

A meeting that still runs leaves its record at its end, so its traces are erased after that.
Source: docs/tenants.md, Privacy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.callbacks.analytics_rules import TENANT_ID
from appliance.privacy.deps import PrivacyDeps
from appliance.privacy.rules import without_person
from appliance.privacy.store import Subject, TraceKind
from appliance.recordings.erasure import MetadataTraces, erase_metadata
from appliance.usage.writer import write_waiting


@dataclass(frozen=True, slots=True)
class Erased:
    """How many things were erased, or would be."""

    runs: int = 0
    analytics: int = 0
    """Reports, deleted or without the person."""
    recordings: int = 0
    """Recordings whose metadata were changed."""
    callbacks: int = 0


async def erase(
    deps: PrivacyDeps, actor: str, subject: Subject, tenant_name: str, *, dry_run: bool
) -> Erased:
    """Erase what is about the subject; `tenant_name` is that of a tenant, else empty.

    Raises Refused: nothing is named, or files cannot be changed; StoreDown, DatabaseDown.
    """
    if not subject.value.strip():
        raise Refused(RefusalKind.INVALID, "name a meeting, a user or a tenant")
    analytics = await _erase_reports(deps, subject, tenant_name, dry_run)
    if deps.usage is not None and not dry_run:
        await write_waiting(deps.usage)  # what would be written after the deletion
    meetings = await deps.store.find_meetings(subject)
    runs = await deps.store.erase_runs(subject, dry_run=dry_run)
    callbacks = await deps.store.erase_callbacks(subject, dry_run=dry_run)
    if not dry_run:
        await deps.store.forget(subject, meetings)
    # The last, since a broken file or a bucket that is away ends it.
    recordings = await _erase_metadata(deps, actor, subject, dry_run)
    erased = Erased(runs, analytics, recordings, callbacks)
    if not dry_run:
        # Without the name, which would be a new trace.
        deps.log.info(
            "traces_erased",
            by=actor,
            kind=subject.kind.value,
            runs=erased.runs,
            analytics=erased.analytics,
            recordings=erased.recordings,
            callbacks=erased.callbacks,
        )
    return erased


async def _erase_metadata(deps: PrivacyDeps, actor: str, subject: Subject, dry_run: bool) -> int:
    """Remove metadata of recordings, also from their files; return the number of recordings."""
    if deps.recordings.admin is None:
        return 0
    value = subject.value if subject.kind is TraceKind.USER else None
    number = 0
    for record_id, keys in await deps.store.find_metadata(subject):
        erased = MetadataTraces(record_id, tuple(keys), value)
        number += await erase_metadata(deps.recordings, actor, erased, dry_run=dry_run)
    return number


async def _erase_reports(
    deps: PrivacyDeps, subject: Subject, tenant_name: str, dry_run: bool
) -> int:
    """Delete stored analytics, or remove a person from them; return the number of reports."""
    change: Callable[[Any], Any] = {
        TraceKind.MEETING: lambda one: None if one.get("meeting_id") == subject.value else one,
        TraceKind.USER: lambda one: without_person(one, subject.value),
        TraceKind.TENANT: lambda one: None if _is_tenants(one, subject.value, tenant_name) else one,
    }[subject.kind]

    def work() -> int:
        number = 0
        for name, _, _ in deps.reports.names(1_000_000):
            body = deps.reports.read(name)
            try:
                before = json.loads(body or b"")
            except ValueError:
                continue
            after = change(before) if isinstance(before, dict) else before
            if after != before:
                number += 1
                if not dry_run and after is None:
                    deps.reports.remove(name)
                elif not dry_run:
                    deps.reports.rewrite(name, json.dumps(after, ensure_ascii=False).encode())
        return number

    try:
        return await trio.to_thread.run_sync(work)
    except OSError as error:
        raise Refused(
            RefusalKind.INVALID, f"stored analytics cannot be changed: {error.strerror}"
        ) from error


def _is_tenants(report: Mapping[str, Any], tenant_id: str, tenant_name: str) -> bool:
    """Return whether a report is a tenant's: by its id, which older reports do not have."""
    if TENANT_ID in report:
        return bool(report[TENANT_ID] == tenant_id)
    return report.get("customer") == tenant_name
