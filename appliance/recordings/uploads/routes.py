"""`PUT /scalelite/api/recordings/{recordID}`: a BBB server delivers the tar of a recording.

Answers in plain text and with HTTP statuses, since a script reads them. A status of 2xx means that
the tar is on the appliance's disk, so that the sender may remove its own.
"""

from __future__ import annotations

from functools import partial

from quart import Blueprint, Response, request

from appliance.http.errors import HttpError
from appliance.http.messages import Chunks
from appliance.http.origin import client_of
from appliance.http.quart_app import text_response
from appliance.http.quart_exchange import current_exchange
from appliance.model import ServerId
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.imports.model import DiskFull
from appliance.recordings.imports.spool import Spool
from appliance.recordings.recording import is_record_id
from appliance.recordings.uploads.receiving import find_sender, note_refusal, receive_recording

UPLOAD_PREFIX = "/scalelite/api/recordings/"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UPLOAD_LIMIT_S = 24 * 3600.0
"""A day's recording over a slow line."""


def make_upload_blueprint(deps: RecordingDeps, spool: Spool) -> Blueprint:
    """Return the upload of recordings; errors are left to the application."""
    blueprint = Blueprint("uploads", __name__)

    # With all methods, as the admin API takes what is left of its prefix.
    @blueprint.route(f"{UPLOAD_PREFIX}<rest:record_id>", methods=_METHODS)
    async def put_recording(record_id: str) -> Response:
        if not is_record_id(record_id):
            return text_response(404, "not a recordID")
        if request.method != "PUT":
            return text_response(405, "PUT only.", {"allow": "PUT"})
        sender = await find_sender(deps, request.headers.get("authorization"), record_id)
        refuse = partial(note_refusal, deps, record_id, sender, client_of(request.scope))
        if sender.server_id is None:
            await refuse(401, sender.reason)
            return text_response(401, "no valid token", {"www-authenticate": "Bearer"})
        try:
            status, text, reason = await _receive(deps, spool, record_id, sender.server_id)
        except HttpError as error:
            await refuse(error.status, error.reason)
            raise
        if reason:
            await refuse(status, reason)
        return text_response(status, text)

    return blueprint


async def _receive(
    deps: RecordingDeps, spool: Spool, record_id: str, server_id: ServerId
) -> tuple[int, str, str]:
    """Take the tar; return status and text of the answer, and why it was refused or ''."""
    max_bytes = deps.settings.recordings.max_bytes
    chunks = Chunks(current_exchange().request, max_bytes, limit_s=_UPLOAD_LIMIT_S)
    try:
        size = await receive_recording(deps, spool, record_id, server_id, chunks)
    except DiskFull:
        return 507, "the disk is full, try again later", "disk full"
    except OSError as error:
        reason = error.strerror or "I/O error"
        return 503, "the spool cannot be written, try again later", reason
    if not size:
        return 400, "no tar in the body", "there was no tar in it"
    return 201, f"{size} bytes", ""
