"""What a create says about callbacks: URLs are taken out and kept until there is something to tell.

A URL that cannot be kept or may not be called never stops a create. Truth: spec (recordings,
Callbacks).
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.bbb.caller import Caller
from appliance.bbb.params import Params, get
from appliance.callbacks.analytics import put_our_url
from appliance.callbacks.analytics_rules import take_analytics_url
from appliance.callbacks.attributes_yaml import ANALYTICS, RECORDING_READY, KeptUrls, take_ready_url
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.rules import id_of_secret, refusal_of_url
from appliance.faults import DatabaseDown, StoreDown


def take_callback_urls(
    deps: CallbackDeps, caller: Caller, params: Params
) -> tuple[Params, dict[str, str]]:
    """Take the front-end's URLs out of a create, by their names in callback_data.

    Where it wants analytics, the server gets a URL of ours.
    """
    params, ready_url = take_ready_url(params)
    params, analytics_url = take_analytics_url(params)
    given = {RECORDING_READY: ready_url, ANALYTICS: analytics_url}
    if deps.settings.recordings.disabled:
        del given[RECORDING_READY]  # there will never be one
    urls = {}
    for name, url in given.items():
        refusal = refusal_of_url(url) if url else None
        if refusal is not None:
            meeting_id = get(params, "meetingID")
            note_refusal(deps, meeting_id, name, refusal)
        elif url:
            urls[name] = url
    return put_our_url(deps, caller, params, asked=ANALYTICS in urls), urls


def note_refusal(deps: CallbackDeps, meeting_id: str | None, name: str, reason: str) -> None:
    """Log that a URL of a create may not be called; its front-end gives one with every create."""
    deps.faults.note("callback_url_refused", f"{name}: {reason}", meeting=meeting_id)


async def keep_callback_urls(
    deps: CallbackDeps, caller: Caller, meeting_id: str, urls: Mapping[str, str], secret: str
) -> None:
    """Keep what a create has asked for.

    Called when the server has created the meeting, before the front-end is told so: if we die in
    between, the front-end asks again. `secret` signed the create; "" if that is not known.
    """
    kept = KeptUrls(urls, id_of_secret(secret) if secret else None)
    try:
        await deps.urls.keep(meeting_id, caller.tenant_id, kept)
    except StoreDown as error:
        deps.log.warning("callback_url_lost", meeting=meeting_id, reason=str(error))
        return
    deps.later(flush_urls, deps)


async def flush_urls(deps: CallbackDeps) -> None:
    """Write what waits to the database, if it is there; else the sender does it later."""
    try:
        await deps.urls.flush_soon()
    except (DatabaseDown, StoreDown) as error:
        deps.log.debug("callback_urls_wait", reason=str(error))
