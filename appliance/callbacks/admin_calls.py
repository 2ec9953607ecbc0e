"""The admin calls about the queue of callbacks and the kept reports of learning analytics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import Fields, RequiredText, RequiredTexts, Texts, limit, one_of
from appliance.admin_calls.secrets import Secret
from appliance.callbacks import analytics
from appliance.callbacks.analytics_files import StoredReport
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.queue import ChangedCallbacks
from appliance.callbacks.rules import CallbackKind, CallbackState, QueuedCallback, host_of_url

DEFAULT_LIMIT, MAX_LIMIT = 50, 10_000

Number = Annotated[int, Meta(ge=0)]
Timestamp = Annotated[int, Meta(ge=0, description="Milliseconds since the epoch.")]
FrontEndId = Annotated[str, Meta(description="The id that the front-end knows.")]
RunId = Annotated[str, Meta(description="BBB's internal meeting id, which names one run.")]


# --- requests ------------------------------------------------------------------------------------


class ListCallbacksRequest(Fields, frozen=True):
    """listCallbacks."""

    state: Annotated[
        str | None,
        Meta(description="Only those in this state."),
        one_of(*CallbackState, refusal=f"state must be one of {', '.join(CallbackState)}"),
    ] = None
    limit: Annotated[int, limit(DEFAULT_LIMIT, MAX_LIMIT)] = DEFAULT_LIMIT


class RetryCallbacksRequest(Fields, frozen=True):
    """retryCallbacks."""

    ids: Annotated[Texts, Meta(description="Default: all that failed.")] = ()


class DropCallbacksRequest(Fields, frozen=True):
    """dropCallbacks."""

    ids: Annotated[RequiredTexts, Meta(description="Of the callbacks, from listCallbacks.")]


class ListAnalyticsRequest(Fields, frozen=True):
    """listAnalytics."""

    limit: Annotated[int, limit(DEFAULT_LIMIT, MAX_LIMIT)] = DEFAULT_LIMIT


class ReportIdRequest(Fields, frozen=True):
    """A call about one report."""

    id: Annotated[RequiredText, Meta(description="As listAnalytics shows it.")]


# --- answers -------------------------------------------------------------------------------------

Problems = Annotated[
    list[str], Meta(description="Which of the queue's two stores could not be read, and why.")
]


class CallbackJson(Answer, frozen=True):
    """A callback, without its body and token."""

    id: str
    kind: CallbackKind
    state: Annotated[
        CallbackState,
        Meta(
            description="failed: refused for good (404, 410), not to be sent, or tried for a day."
        ),
    ]
    sending: Annotated[bool, Meta(description="An attempt is under way.")]
    receiver: Annotated[str, Meta(description="Scheme, host and port of the url.")]
    url: Annotated[
        Secret, Meta(description="From the front-end; it may hold a token of the front-end's.")
    ]
    tenant_id: str | None
    meeting_id: FrontEndId
    record_id: str | None
    attempts: Number
    created_ms: Timestamp
    next_in_s: Annotated[
        Number | None, Meta(description="Until the next attempt, of a pending callback.")
    ]
    last_status: Annotated[int | None, Meta(description="HTTP status of the last answer.")]
    last_error: Annotated[str | None, Meta(description="Why it is not done.")]


class CallbacksJson(Answer, frozen=True):
    """listCallbacks."""

    callbacks: list[CallbackJson]
    problems: Problems


class ChangedCallbacksJson(Answer, frozen=True):
    """retryCallbacks and dropCallbacks."""

    ids: Annotated[list[str], Meta(description="Those that were changed.")]
    unchanged: Annotated[
        list[str],
        Meta(
            description="The others: unknown, being sent, or in a state that excludes the change."
        ),
    ]
    problems: Problems


class StoredReportJson(Answer, frozen=True):
    """A kept report."""

    id: RunId
    meeting_id: FrontEndId
    customer: Annotated[str, Meta(description="The tenant's name; without tenants `scalelite`.")]
    received_ms: Timestamp
    bytes: Number


class StoredReportsJson(Answer, frozen=True):
    """listAnalytics."""

    analytics: list[StoredReportJson]


class ReportJson(Answer, frozen=True):
    """getAnalytics."""

    id: RunId
    report: Annotated[Any, Meta(description="In BBB's own format.")]


def callback_json(queued: QueuedCallback) -> CallbackJson:
    """Render a callback."""
    callback = queued.callback
    pending = queued.state is CallbackState.PENDING
    return CallbackJson(
        id=queued.id,
        kind=callback.kind,
        state=queued.state,
        sending=queued.sending,
        receiver=host_of_url(callback.url),
        url=callback.url,
        tenant_id=callback.tenant_id,
        meeting_id=callback.meeting_id,
        record_id=callback.record_id,
        attempts=queued.attempts,
        created_ms=queued.created_ms,
        next_in_s=round(queued.wait_s) if pending else None,
        last_status=queued.last_status,
        last_error=queued.last_error,
    )


def _changed_json(changed: ChangedCallbacks) -> ChangedCallbacksJson:
    return ChangedCallbacksJson(
        ids=list(changed.ids), unchanged=list(changed.unchanged), problems=list(changed.problems)
    )


def _stored_json(stored: StoredReport) -> StoredReportJson:
    return StoredReportJson(
        id=stored.id,
        meeting_id=stored.meeting_id,
        customer=stored.customer,
        received_ms=stored.received_ms,
        bytes=stored.bytes,
    )


# --- handlers ------------------------------------------------------------------------------------


async def _list(deps: CallbackDeps, call: Call[ListCallbacksRequest]) -> CallbacksJson:
    request = call.read()
    state = CallbackState(request.state) if request.state else None
    shown = await deps.queue.show(state, request.limit)
    return CallbacksJson(list(map(callback_json, shown.callbacks)), list(shown.problems))


async def _retry(deps: CallbackDeps, call: Call[RetryCallbacksRequest]) -> ChangedCallbacksJson:
    return _changed_json(await deps.queue.retry(call.who, call.read().ids or None))


async def _drop(deps: CallbackDeps, call: Call[DropCallbacksRequest]) -> ChangedCallbacksJson:
    return _changed_json(await deps.queue.drop(call.who, call.read().ids))


async def _list_analytics(
    deps: CallbackDeps, call: Call[ListAnalyticsRequest]
) -> StoredReportsJson:
    found = await analytics.list_reports(deps, call.read().limit)
    return StoredReportsJson(list(map(_stored_json, found)))


async def _get_analytics(deps: CallbackDeps, call: Call[ReportIdRequest]) -> ReportJson:
    report_id = call.read().id
    return ReportJson(report_id, await analytics.show_report(deps, report_id))


def _audited(state: str) -> Audited[CallbackDeps]:
    async def read(deps: CallbackDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
        changed = () if answer is None else answer.ids
        return {one: Snapshot(f"callback {one}", {"state": state}) for one in changed}

    return Audited(read, unchanged=False)


# --- the table -----------------------------------------------------------------------------------

_ID = "r50d858e0985ecc7f"
_RUN_ID = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
_CHANGED_EXAMPLE = ChangedCallbacksJson(ids=[_ID], unchanged=[], problems=[])

CALLBACK_CALLS: tuple[AdminCall[CallbackDeps], ...] = (
    AdminCall(
        name="listCallbacks",
        method="GET",
        handler=_list,
        group="callbacks",
        summary=(
            "The calls to front-ends that wait or were made in the last week, the newest first."
        ),
        example=CallbacksJson(
            callbacks=[
                CallbackJson(
                    id=_ID,
                    kind=CallbackKind.RECORDING_READY,
                    state=CallbackState.PENDING,
                    sending=False,
                    receiver="https://lms.example.org",
                    url="https://lms.example.org/ready",
                    tenant_id=None,
                    meeting_id="room-7",
                    record_id="5573e39b6600496d40f493d00ec7658479a19607-1700000000154",
                    attempts=3,
                    created_ms=1700003600000,
                    next_in_s=17,
                    last_status=503,
                    last_error="the receiver answered 503",
                )
            ],
            problems=[],
        ),
        request={"state": "pending", "limit": "50"},
        role=Role.VIEWER,
    ),
    AdminCall(
        name="retryCallbacks",
        method="POST",
        handler=_retry,
        group="callbacks",
        summary=(
            "Tries callbacks now, and for another day: those named, also if they wait or are done."
        ),
        example=_CHANGED_EXAMPLE,
        request={"ids": [_ID]},
        logs="callbacks_retried_by_hand",
        audited=_audited("pending"),
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="dropCallbacks",
        method="POST",
        handler=_drop,
        group="callbacks",
        summary=(
            "Takes callbacks that wait or failed out of the queue, so that they are never sent."
        ),
        example=_CHANGED_EXAMPLE,
        request={"ids": [_ID]},
        logs="callbacks_dropped",
        audited=_audited("dropped"),
        role=Role.ADMIN,
    ),
    AdminCall(
        name="listAnalytics",
        method="GET",
        handler=_list_analytics,
        group="analytics",
        summary="The reports about meetings that are kept (ANALYTICS_STORE), the newest first.",
        example=StoredReportsJson(
            [
                StoredReportJson(
                    id=_RUN_ID,
                    meeting_id="room-7",
                    customer="school",
                    received_ms=1700003600000,
                    bytes=20480,
                )
            ]
        ),
        request={"limit": "50"},
        deadline_s=LONG_S,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="getAnalytics",
        method="GET",
        handler=_get_analytics,
        group="analytics",
        summary="One report, as the server wrote it, with `customer`.",
        example=ReportJson(
            id=_RUN_ID,
            report={"version": "1.0", "meeting_id": "room-7", "customer": "school", "data": {}},
        ),
        request={"id": _RUN_ID},
        refusals={404: "No such report is kept."},
        deadline_s=LONG_S,
        role=Role.ADMIN,
    ),
)
