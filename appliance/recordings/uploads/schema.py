"""The description of the recording upload (routes.py) in the OpenAPI document. Pure."""

from __future__ import annotations

from typing import Any

from appliance.recordings.recording import RECORD_ID
from appliance.recordings.uploads.routes import UPLOAD_PREFIX

UPLOAD_PATH = f"{UPLOAD_PREFIX}{{recordID}}"
UPLOAD_SCHEME = "server"

UPLOAD_TOKEN: dict[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "HS256 with the secret of the BigBlueButton server that sends the recording. "
    "Claims: `sub`, the id or the host of the server; `recordID`, that of the address; `exp`, at "
    "most 10 minutes ahead.",
}

_ANSWERS = {
    201: "The tar is on the disk; it is imported now.",
    400: "There is no tar: the body is empty.",
    401: "The token is not valid.",
    404: "This is not a recordID, or recordings are disabled.",
    408: "The body did not arrive.",
    413: "The body is larger than RECORDING_MAX_BYTES.",
    503: "Redis is not reachable, or the spool cannot be written: try again later.",
    507: "The disk is full: try again later.",
}

UPLOAD: dict[str, Any] = {
    "put": {
        "operationId": "putRecording",
        "tags": ["recordings"],
        "summary": "Takes the tar of a recording from the BigBlueButton server that made it.",
        "security": [{UPLOAD_SCHEME: []}],
        "parameters": [
            {
                "name": "recordID",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{RECORD_ID.pattern}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "description": "`{format}/{recordID}/…` for each published format, with its "
            "metadata.xml; plain, or packed by gzip, xz or zstd. Of any size: it is streamed.",
            "content": {"application/x-tar": {}},
        },
        "responses": {
            str(status): {"description": meaning, "content": {"text/plain": {}}}
            for status, meaning in _ANSWERS.items()
        },
    }
}
