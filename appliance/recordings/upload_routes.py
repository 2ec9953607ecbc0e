"""`PUT /scalelite/api/recordings/{recordID}`: a BBB server delivers the tar of a recording.

Answers in plain text and with HTTP statuses, since a script reads them. A status of 2xx means that
the tar is on the appliance's disk, so that the sender may remove its own.
"""

from __future__ import annotations

from quart import Blueprint, Response, request

from appliance.http.messages import Chunks
from appliance.http.quart_app import text_response
from appliance.http.quart_exchange import current_exchange
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.import_model import DiskFull
from appliance.recordings.recording import is_record_id
from appliance.recordings.spool import Spool
from appliance.recordings.uploads import find_sender, receive_recording

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
        if sender is None:
            return text_response(401, "no valid token", {"www-authenticate": "Bearer"})
        max_bytes = deps.settings.recordings.max_bytes
        chunks = Chunks(current_exchange().request, max_bytes, limit_s=_UPLOAD_LIMIT_S)
        try:
            size = await receive_recording(deps, spool, record_id, sender, chunks)
        except DiskFull:
            return _refuse(deps, record_id, 507, "disk full")
        except OSError as error:
            return _refuse(deps, record_id, 503, error.strerror or "I/O error")
        if not size:
            return text_response(400, "no tar in the body")
        return text_response(201, f"{size} bytes")

    return blueprint


def _refuse(deps: RecordingDeps, record_id: str, status: int, reason: str) -> Response:
    deps.log.error("recording_upload_refused", record=record_id, reason=reason)
    cause = "the disk is full" if status == 507 else "the spool cannot be written"
    return text_response(status, f"{cause}, try again later")
