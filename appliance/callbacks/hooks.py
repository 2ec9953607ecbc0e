"""hooks/create, hooks/list and hooks/destroy: a front-end's web hooks.

A hook is registered on the servers immediately, as far as they answer, and later by the polls
(hook_sync.py). Source: documentation of bbb-webhooks.
"""

from __future__ import annotations

from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.meeting_id import read_meeting_id
from appliance.bbb.params import Params, get
from appliance.bbb.signed_request import Caller
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.hook_rules import (
    CREATE_ERROR_KEY,
    MAX_TEXT,
    MISSING_HOOK_ID,
    MISSING_URL,
    NO_SUCH_HOOK,
    TOO_LONG,
    TOO_MANY,
    Hook,
    refusal_of_private_url,
    render_created,
    render_destroyed,
    render_duplicate,
    render_hooks,
    visible_hooks,
)
from appliance.callbacks.hook_sync import sync_all_hooks
from appliance.callbacks.rules import refusal_of_url
from appliance.model import MeetingId


async def create_hook(deps: CallbackDeps, caller: Caller, params: Params) -> bytes:
    """Add a hook and return the answer. Raises ApiError, StoreDown."""
    url = (get(params, "callbackURL") or "").strip()
    if not url:
        raise ApiError(MISSING_URL)
    if any(len(value) > MAX_TEXT for _, value in params):
        raise ApiError(TOO_LONG)
    refusal = refusal_of_url(url)
    if refusal is None and deps.settings.callback_block_private:
        refusal = refusal_of_private_url(url)
    if refusal is not None:
        raise ApiError(Failure(CREATE_ERROR_KEY, f"The callbackURL cannot be used: {refusal}."))
    hook = Hook(
        id="",
        callback_url=url,
        meeting_id=_meeting_id(params),
        event_ids=get(params, "eventID") or None,
        raw=(get(params, "getRaw") or "").lower() == "true",
        tenant_id=caller.tenant_id,
    )
    added = await deps.hooks.add(hook)
    if added is None:
        raise ApiError(TOO_MANY)
    hook_id, new = added
    if not new:
        return render_duplicate(hook_id)
    deps.log.info("hook_created", hook=hook_id, tenant=hook.tenant_id, meeting=hook.meeting_id)
    await deps.hook_cache.refresh()
    await sync_all_hooks(deps, disabled_too=False)
    return render_created(Hook(hook_id, url, raw=hook.raw))


async def list_hooks(deps: CallbackDeps, caller: Caller, params: Params) -> bytes:
    """Return the answer with the caller's hooks. Raises ApiError, StoreDown."""
    meeting_id = _meeting_id(params)
    return render_hooks(visible_hooks(await deps.hooks.all(), caller.tenant_id, meeting_id))


async def destroy_hook(deps: CallbackDeps, caller: Caller, params: Params) -> bytes:
    """Remove a hook and its registrations on servers. Raises ApiError, StoreDown."""
    hook_id = get(params, "hookID")
    if not hook_id:
        raise ApiError(MISSING_HOOK_ID)
    if not await deps.hooks.remove(hook_id, caller.tenant_id):
        raise ApiError(NO_SUCH_HOOK)
    deps.log.info("hook_destroyed", hook=hook_id, tenant=caller.tenant_id)
    await deps.hook_cache.refresh()
    await sync_all_hooks(deps, disabled_too=True)
    return render_destroyed()


def _meeting_id(params: Params) -> MeetingId | None:
    """Return the meetingID as create stores it, None if none is given. Raises ApiError."""
    given = get(params, "meetingID")
    return read_meeting_id(given) if given and given.strip() else None
