"""`PUT /scalelite/api/recordings/{recordID}`: a BBB server hands the tar of a recording over.

Answers in plain text and with HTTP statuses, since a script reads them. A status of 2xx means that
the tar is on our disk, so that the sender may remove its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from appliance.faults import StoreDown
from appliance.http.errors import HttpError
from appliance.http.messages import Chunks, Request, Response
from appliance.model import ServerId
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.import_model import DiskFull
from appliance.recordings.recording import is_record_id
from appliance.recordings.spool import Spool
from appliance.recordings.uploads import find_sender, receive_recording

UPLOAD_PREFIX = "/scalelite/api/recordings/"

_UPLOAD_LIMIT_S = 24 * 3600.0
"""A day's recording over a slow line."""


class UploadRoute:
    """Takes recordings from BBB servers."""

    def __init__(self, deps: RecordingDeps, uploads: Spool) -> None:
        self._deps = deps
        self._uploads = uploads

    async def handle(self, request: Request) -> Response:
        """Answer one request below UPLOAD_PREFIX."""
        record_id = request.path.removeprefix(UPLOAD_PREFIX)
        if not is_record_id(record_id):
            return _text(404, "not a recordID")
        if request.method != "PUT":
            return _text(405, "only PUT", (b"allow", b"PUT"))
        try:
            sender = await find_sender(self._deps, request.header(b"authorization"), record_id)
        except StoreDown as error:
            self._deps.faults.note("request_without_store", "redis", reason=str(error))
            return _text(503, "try again later")
        if sender is None:
            return _text(401, "no valid token", (b"www-authenticate", b"Bearer"))
        try:
            max_bytes = self._deps.settings.recordings.max_bytes
            chunks = Chunks(request, max_bytes, limit_s=_UPLOAD_LIMIT_S)
            return await self._receive(record_id, sender, chunks)
        except HttpError as error:
            return _text(error.status, error.reason)

    async def _receive(
        self, record_id: str, sender: ServerId, chunks: AsyncIterator[bytes]
    ) -> Response:
        try:
            size = await receive_recording(self._deps, self._uploads, record_id, sender, chunks)
        except DiskFull:
            self._deps.log.error("recording_upload_refused", record=record_id, reason="disk full")
            return _text(507, "the disk is full, try again later")
        except OSError as error:
            reason = error.strerror or "I/O error"
            self._deps.log.error("recording_upload_refused", record=record_id, reason=reason)
            return _text(503, "the spool cannot be written, try again later")
        return _text(201, f"{size} bytes") if size else _text(400, "no tar in the body")


def _text(status: int, text: str, *headers: tuple[bytes, bytes]) -> Response:
    return Response(status, b"text/plain; charset=utf-8", text.encode() + b"\n", headers)
