"""The admin calls about the retention of recordings.

They work in steps: the client repeats the call with `next_after` of the answer until it is null.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.fields import Fields
from appliance.recordings import retention
from appliance.recordings.admin_types import (
    RECORD_ID,
    SUMMARY_EXAMPLE,
    After,
    Days,
    NextAfter,
    RecordingSummaryJson,
    RetentionJson,
    rules_json,
    summary_json,
)
from appliance.recordings.audited import PRUNED_RECORDINGS
from appliance.recordings.deps import RecordingDeps

_PAGE = 1000


class RetentionRequest(Fields, frozen=True):
    """getExpiredRecordings and pruneRecordings."""

    days: Days = None
    after: After = 0


class ExpiredJson(Answer, frozen=True):
    """getExpiredRecordings."""

    recordings: list[RecordingSummaryJson]
    next_after: NextAfter
    retention: RetentionJson


class PrunedJson(Answer, frozen=True):
    """pruneRecordings."""

    deleted: Annotated[list[str], Meta(description="recordIDs.")]
    failed: Annotated[
        list[str], Meta(description="Those whose files could not be moved; the log says why.")
    ]
    next_after: NextAfter
    retention: RetentionJson


async def _get_expired(deps: RecordingDeps, call: Call[RetentionRequest]) -> ExpiredJson:
    request = call.read()
    rules = await retention.read_rules(deps, request.days)
    found = await retention.list_expired(deps, rules, after=request.after, limit=_PAGE)
    return ExpiredJson(
        recordings=list(map(summary_json, found)),
        next_after=found[-1].id if len(found) == _PAGE else None,
        retention=rules_json(rules),
    )


async def _prune(deps: RecordingDeps, call: Call[RetentionRequest]) -> PrunedJson:
    request = call.read()
    rules = await retention.read_rules(deps, request.days)
    pruned = await retention.prune_batch(deps, call.who, rules, after=request.after)
    return PrunedJson(
        deleted=pruned.deleted,
        failed=pruned.failed,
        next_after=pruned.next_after,
        retention=rules_json(rules),
    )


_RETENTION_EXAMPLE = RetentionJson(days=365.0, tenants={}, unreadable={})

RETENTION_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall(
        name="getExpiredRecordings",
        method="GET",
        handler=_get_expired,
        group="recordings",
        summary="The recordings that are too old, step by step: ask again with `next_after`.",
        example=ExpiredJson(
            recordings=[SUMMARY_EXAMPLE], next_after=None, retention=_RETENTION_EXAMPLE
        ),
        request={"days": "365", "after": "0"},
        deadline_s=LONG_S,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="pruneRecordings",
        method="POST",
        handler=_prune,
        group="recordings",
        summary="Deletes the next recordings that are too old: ask again with `next_after`.",
        example=PrunedJson(
            deleted=[RECORD_ID], failed=[], next_after=None, retention=_RETENTION_EXAMPLE
        ),
        request={"days": 365},
        logs="recordings_expired",
        deadline_s=LONG_S,
        audited=PRUNED_RECORDINGS,
        role=Role.ADMIN,
    ),
)
