"""Queues the recording-ready callback in the transaction that writes the recording.

A front-end gets one callback for the new formats of an import, and none when the same formats are
imported again. BBB sends one for each format, Scalelite one for each tar.
"""

from __future__ import annotations

from appliance.callbacks.attributes_yaml import RECORDING_READY
from appliance.callbacks.postgres_queue import insert_callback
from appliance.callbacks.rules import recording_ready, refusal_of_url
from appliance.callbacks.url_store import find_urls
from appliance.log import Log
from appliance.model import TenantId
from appliance.postgres.database import Connection
from appliance.recordings.imports.merge import ImportOutcome, ImportResult
from appliance.recordings.recording import Recording

_MAX_INTEGER = 2**31
_LINK = """
UPDATE public.callback_data SET recording_id = $2, updated_at = now() AT TIME ZONE 'UTC'
WHERE id = $1
"""


async def queue_recording_ready(
    connection: Connection, recording: Recording, result: ImportResult, import_id: int, log: Log
) -> bool:
    """Link an imported recording to the callback URLs of its create, and queue the callback.

    False: no callback is queued.
    """
    meeting_id, tenant_id = recording.meeting_id, recording.tenant_id
    if result.outcome is ImportOutcome.DELETED or not meeting_id:
        return False
    found = await find_urls(connection, meeting_id, tenant_id, log)
    if found is None:
        return False
    if result.id < _MAX_INTEGER:  # the column is an integer, the primary key a bigint
        await connection.execute(_LINK, found.row_id, result.id)
    url = found.kept.urls.get(RECORDING_READY)
    if not url or not result.new_formats:
        return False
    refusal = refusal_of_url(url)
    if refusal is not None:
        log.warning("callback_url_refused", recording=recording.record_id, reason=refusal)
        return False
    callback = recording_ready(
        url,
        meeting_id=meeting_id,
        record_id=recording.record_id,
        tenant_id=TenantId(tenant_id) if tenant_id else None,
        secret_id=found.kept.secret_id,
    )
    formats = ",".join(sorted(result.new_formats))
    key = f"recording_ready:{recording.record_id}:{formats}:{import_id}"
    return await insert_callback(connection, callback, key)
