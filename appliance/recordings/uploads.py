"""Receives a recording over HTTP: authenticates the sender and writes the tar into the spool.

At most a megabyte of the tar is in memory. The importer then processes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import trio

from appliance.model import ServerId
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.spool import Spool, Upload
from appliance.recordings.upload_token import server_of_upload

_BATCH_BYTES = 1 << 20
ABORT_LIMIT_S = 10.0


async def find_sender(
    deps: RecordingDeps, authorization: str | None, record_id: str
) -> ServerId | None:
    """Return the server that signed the token for this recording; None: the token is not valid.

    Raises StoreDown.
    """
    if not authorization:
        return None
    servers = await deps.pool.records.list_servers()
    return server_of_upload(servers, authorization, record_id, now_s=deps.now_ms() / 1000)


async def receive_recording(
    deps: RecordingDeps,
    uploads: Spool,
    record_id: str,
    sender: ServerId,
    chunks: AsyncIterator[bytes],
) -> int:
    """Write a tar durably into the spool and return its size in bytes; 0: the body was empty.

    On an error nothing is left in the spool. Raises DiskFull, OSError, and exceptions of `chunks`.
    """
    upload = await trio.to_thread.run_sync(uploads.open_upload, record_id)
    whole = False
    try:
        size = await _copy(upload, chunks)
        if not size:
            return 0
        await trio.to_thread.run_sync(upload.finish)
        whole = True
    finally:
        if not whole:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + ABORT_LIMIT_S):
                await trio.to_thread.run_sync(upload.abort)
    deps.log.info("recording_received", record=record_id, server=sender, bytes=size)
    return size


async def _copy(upload: Upload, chunks: AsyncIterator[bytes]) -> int:
    size, waiting, waiting_bytes = 0, [], 0
    async for chunk in chunks:
        waiting.append(chunk)
        waiting_bytes += len(chunk)
        if waiting_bytes >= _BATCH_BYTES:
            await trio.to_thread.run_sync(partial(upload.write, b"".join(waiting)))
            size, waiting, waiting_bytes = size + waiting_bytes, [], 0
    await trio.to_thread.run_sync(partial(upload.write, b"".join(waiting)))
    return size + waiting_bytes
