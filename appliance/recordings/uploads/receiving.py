"""Receives a recording over HTTP: authenticates the sender and writes the tar into the spool.

At most a megabyte of the tar is in memory. The importer then processes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import trio

from appliance.faults import StoreDown
from appliance.model import ServerId
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.imports.spool import Spool, Upload
from appliance.recordings.uploads.refused import RefusedUpload
from appliance.recordings.uploads.token import reason_of_refusal, server_of_upload

_BATCH_BYTES = 1 << 20
ABORT_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a recording."""

    server_id: ServerId | None
    """The server, maybe a retired one, that signed the token; None: the token is not valid."""
    name: str = ""
    """The name that the sender gives itself."""
    reason: str = ""
    """Why the token is not valid, for operators."""


async def find_sender(deps: RecordingDeps, authorization: str | None, record_id: str) -> Sender:
    """Return who signed the token for this recording. Raises StoreDown."""
    now_ms = deps.now_ms()
    servers = await deps.pool.records.list_servers()
    found = server_of_upload(servers, authorization, record_id, now_s=now_ms / 1000)
    if found is None:
        retired = [one.server for one in await deps.pool.retired.read_all(now_ms=now_ms)]
        found = server_of_upload(retired, authorization, record_id, now_s=now_ms / 1000)
        servers = [*servers, *retired]
    if found is not None:
        return Sender(found, found)
    reason, name = reason_of_refusal(servers, authorization, record_id)
    return Sender(None, name, reason)


async def note_refusal(
    deps: RecordingDeps, record_id: str, sender: Sender, client: str, status: int, reason: str
) -> None:
    """Report a recording that is not accepted, in the log and to `recordings imports --refused`."""
    fields = {"record": record_id, "server": sender.name, "client": client, "reason": reason}
    if status >= 500:
        deps.log.error("recording_upload_refused", **fields)
    else:
        deps.faults.note("recording_upload_refused", record_id, **fields)
    refused = RefusedUpload(record_id, sender.name, client, reason, status, deps.now_ms())
    with suppress(StoreDown):  # the log has it
        await deps.refused.note(refused)


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
    with suppress(StoreDown):
        await deps.refused.drop(record_id)
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
