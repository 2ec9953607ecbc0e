"""What a create says about callbacks: the URL is taken out and kept until there is a recording.

A URL that cannot be kept or may not be called never stops a create. Truth: spec (recordings,
Callbacks).
"""

from __future__ import annotations

from appliance.core.callback_data import RECORDING_READY, KeptUrls
from appliance.core.callbacks import id_of_secret, refusal_of_url
from appliance.core.faults import DatabaseDown, StoreDown
from appliance.operations.resources import Caller, Resources


async def keep_ready_url(
    res: Resources, caller: Caller, meeting_id: str, url: str, secret: str
) -> None:
    """Keep who wants to know when a recording of the meeting is ready.

    Called when the server has created the meeting, before the front-end is told so: if we die in
    between, the front-end asks again. `secret` signed the create; "" if that is not known.
    """
    if res.settings.recordings.disabled:
        return  # there will never be one
    refusal = refusal_of_url(url)
    if refusal is not None:
        res.log.warning("callback_url_refused", meeting=meeting_id, reason=refusal)
        return
    kept = KeptUrls({RECORDING_READY: url}, id_of_secret(secret) if secret else None)
    try:
        await res.callback_urls.keep(meeting_id, caller.tenant_id, kept)
    except StoreDown as error:
        res.log.warning("callback_url_lost", meeting=meeting_id, reason=str(error))
        return
    res.later(flush_urls, res)


async def flush_urls(res: Resources) -> None:
    """Write what waits to the database, if it is there; else the sender does it later."""
    try:
        await res.callback_urls.flush()
    except (DatabaseDown, StoreDown) as error:
        res.log.debug("callback_urls_wait", reason=str(error))
