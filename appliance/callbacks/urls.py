"""The callback URLs in a create: removed from its parameters and stored for later callbacks.

A create never fails because a URL cannot be stored or must not be called. Source:
docs/callbacks.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.bbb.params import Params, get
from appliance.bbb.signed_request import Caller
from appliance.callbacks.analytics import set_report_url
from appliance.callbacks.analytics_rules import extract_analytics_url
from appliance.callbacks.attributes_yaml import (
    ANALYTICS,
    RECORDING_READY,
    KeptUrls,
    extract_ready_url,
)
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.hook_rules import refusal_of_private_url
from appliance.callbacks.rules import id_of_secret, refusal_of_url
from appliance.faults import DatabaseDown, StoreDown
from appliance.tenants.end_callback import END_CALLBACK_KEY, END_CALLBACK_PARAM


def extract_callback_urls(
    deps: CallbackDeps, caller: Caller, params: Params
) -> tuple[Params, dict[str, str]]:
    """Return a create's parameters without the front-end's URLs, and those by attribute name.

    If analytics are requested, the parameters get a URL of the appliance instead. With
    CALLBACK_BLOCK_PRIVATE they lose a private meta_endCallbackUrl, which the server would call.
    """
    if deps.settings.callback_block_private:
        params = _without_private_end_callback(deps, params)
    params, ready_url = extract_ready_url(params)
    params, report_url = extract_analytics_url(params)
    given = {RECORDING_READY: ready_url, ANALYTICS: report_url}
    if deps.settings.recordings.disabled:
        del given[RECORDING_READY]  # there are no recordings
    urls = {}
    for name, url in given.items():
        refusal = refusal_of_url(url) if url else None
        if refusal is not None:
            meeting_id = get(params, "meetingID")
            note_url_refusal(deps, meeting_id, name, refusal)
        elif url:
            urls[name] = url
    return set_report_url(deps, caller, params, asked=ANALYTICS in urls), urls


def _without_private_end_callback(deps: CallbackDeps, params: Params) -> Params:
    kept = []
    for name, value in params:
        url = value.strip() if name.lower() == END_CALLBACK_PARAM else ""
        refusal = (refusal_of_url(url) or refusal_of_private_url(url)) if url else None
        if refusal is None:
            kept.append((name, value))
        else:
            note_url_refusal(deps, get(params, "meetingID"), END_CALLBACK_KEY, refusal)
    return tuple(kept)


def note_url_refusal(deps: CallbackDeps, meeting_id: str | None, name: str, reason: str) -> None:
    """Log that a URL of a create must not be called, rate-limited like every fault."""
    deps.faults.note("callback_url_refused", f"{name}: {reason}", meeting=meeting_id)


async def keep_callback_urls(
    deps: CallbackDeps, caller: Caller, meeting_id: str, urls: Mapping[str, str], secret: str
) -> None:
    """Store the callback URLs of a create.

    Called after the server created the meeting and before the front-end gets the answer, so that
    after a crash the front-end repeats the create. `secret` signed the create; "" if unknown.
    """
    kept = KeptUrls(urls, id_of_secret(secret) if secret else None)
    try:
        await deps.urls.keep(meeting_id, caller.tenant_id, kept)
    except StoreDown as error:
        deps.log.warning("callback_url_lost", meeting=meeting_id, reason=str(error))
        return
    deps.later(flush_urls, deps)


async def flush_urls(deps: CallbackDeps) -> None:
    """Write stored URLs to the database; if it is down, the sender does it later."""
    try:
        await deps.urls.flush_soon()
    except (DatabaseDown, StoreDown) as error:
        deps.log.debug("callback_urls_wait", reason=str(error))
