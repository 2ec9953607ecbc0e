"""The admin calls about the queue of callbacks. Knows no rule and no store."""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest, Json
from appliance.callbacks import admin_schema as about
from appliance.callbacks.admin_schema import DEFAULT_LIMIT, MAX_LIMIT
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.queue import ChangedCallbacks
from appliance.callbacks.rules import CallbackState, QueuedCallback, host_of_url


def callback_json(queued: QueuedCallback) -> Json:
    """Render a callback; what it carries and the token are not shown."""
    callback = queued.callback
    return {
        "id": queued.id,
        "kind": callback.kind.value,
        "state": queued.state.value,
        "sending": queued.sending,
        "receiver": host_of_url(callback.url),
        "url": callback.url,
        "tenant_id": callback.tenant_id,
        "meeting_id": callback.meeting_id,
        "record_id": callback.record_id,
        "attempts": queued.attempts,
        "created_ms": queued.created_ms,
        "next_in_s": round(queued.wait_s) if queued.state is CallbackState.PENDING else None,
        "last_status": queued.last_status,
        "last_error": queued.last_error,
    }


async def _list(deps: CallbackDeps, call: Call) -> Answer:
    shown = await deps.queue.show(
        _state(call.fields), form.limit(call.fields, DEFAULT_LIMIT, MAX_LIMIT)
    )
    return {
        "callbacks": [callback_json(queued) for queued in shown.callbacks],
        "problems": list(shown.problems),
    }, 200


async def _retry(deps: CallbackDeps, call: Call) -> Answer:
    ids = form.texts(call.fields, "ids")
    return _changed_json(await deps.queue.retry(call.who, ids or None)), 200


async def _drop(deps: CallbackDeps, call: Call) -> Answer:
    ids = form.texts(call.fields, "ids")
    if not ids:
        raise BadRequest("ids is missing")
    return _changed_json(await deps.queue.drop(call.who, ids)), 200


def _changed_json(changed: ChangedCallbacks) -> Json:
    return {
        "ids": list(changed.ids),
        "unchanged": list(changed.unchanged),
        "problems": list(changed.problems),
    }


def _state(fields: Json) -> CallbackState | None:
    word = form.text(fields, "state")
    if not word:
        return None
    try:
        return CallbackState(word)
    except ValueError:
        raise BadRequest(f"state must be one of {', '.join(CallbackState)}") from None


CALLBACK_CALLS: tuple[AdminCall[CallbackDeps], ...] = (
    AdminCall("listCallbacks", "GET", _list, about=about.LIST_CALLBACKS),
    AdminCall("retryCallbacks", "POST", _retry, about=about.RETRY_CALLBACKS),
    AdminCall("dropCallbacks", "POST", _drop, about=about.DROP_CALLBACKS),
)
