"""Erases metadata of a recording from its rows and from the metadata.xml of its formats.

nginx and buckets serve that file without the appliance, so it must not keep what was erased.
Source: docs/tenants.md, Privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.imports.metadata_xml import MalformedMetadata, without_metadata
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Storage


@dataclass(frozen=True, slots=True)
class MetadataTraces:
    """Metadata to be erased from a recording."""

    record_id: str
    keys: tuple[str, ...]
    """In the database."""
    value: str | None
    """In the files: the metadata with this value; None: all metadata."""


async def erase_metadata(
    deps: RecordingDeps, actor: str, traces: MetadataTraces, *, dry_run: bool
) -> bool:
    """Erase metadata, but not that of the tenant; return whether there were any.

    Raises Refused: a file cannot be changed, and then nothing is; DatabaseDown.
    """
    opened, record_id = open_recordings(deps), traces.record_id
    if dry_run:
        found = await opened.store.find_recording(record_id)
        return found is not None and await _erase(deps, opened.files, found, traces, dry_run=True)
    async with opened.store.lock_recordings([record_id], None) as locked:
        if not locked.recordings:  # deleted in the meantime
            return False
        removed = [(key, "") for key in traces.keys]
        await locked.update(locked.recordings[0], metadata=removed, protected=None)
        if deps.work is not None and not await locked.wait_for_objects(record_id):
            reason = f"the objects of {record_id} are being moved or replaced; try again later"
            raise Refused(RefusalKind.INVALID, reason)
        erased = await _erase(deps, opened.files, locked.recordings[0], traces, dry_run=False)
    if erased:
        deps.log.info(
            "recordings_changed",
            by=actor,
            record_ids=[record_id],
            publish=None,
            protect=None,
            metadata=list(traces.keys),
        )
    return erased


async def _erase(
    deps: RecordingDeps, files: Storage, recording: Recording, traces: MetadataTraces, *,
    dry_run: bool,
) -> bool:  # fmt: skip
    """Erase metadata from the files; return whether they or the rows have any."""
    record_id, found = recording.record_id, bool(traces.keys)

    def rewrite(body: bytes) -> bytes | None:
        nonlocal found
        rest = without_metadata(body, traces.value)
        found = found or rest is not None
        return None if dry_run else rest

    try:
        for shown in recording.formats:
            await deps.in_thread(partial(files.rewrite_metadata, record_id, shown.format, rewrite))
    except (OSError, MalformedMetadata) as error:
        reason = (error.strerror if isinstance(error, OSError) else str(error)) or "I/O error"
        raise Refused(
            RefusalKind.INVALID, f"the metadata.xml of {record_id} cannot be changed: {reason}"
        ) from error
    return found
