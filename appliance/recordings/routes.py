"""The recording calls of the BBB API: parses, calls one operation, renders.

The two text track calls answer in JSON, errors too, as BBB's do.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from appliance.bbb.api_call import XML, ApiCall
from appliance.bbb.caller import Caller
from appliance.bbb.errors import Failure
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Accepts, SignedRequest
from appliance.http.messages import Response
from appliance.http.streaming import StreamedResponse
from appliance.recordings import calls as recordings
from appliance.recordings import text_tracks
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.text_track_rules import TextTrack

JSON = b"application/json; charset=utf-8"

Change = Callable[[RecordingDeps, Caller, Params], Awaitable[bytes]]


async def get_recordings(
    deps: RecordingDeps, caller: Caller, request: SignedRequest
) -> StreamedResponse:
    """Answer getRecordings."""
    return StreamedResponse(XML, partial(recordings.list_recordings, deps, caller, request.params))


async def publish_recordings(
    deps: RecordingDeps, caller: Caller, request: SignedRequest
) -> Response:
    """Answer publishRecordings."""
    return await _change(recordings.publish_recordings, deps, caller, request)


async def update_recordings(
    deps: RecordingDeps, caller: Caller, request: SignedRequest
) -> Response:
    """Answer updateRecordings."""
    return await _change(recordings.update_recordings, deps, caller, request)


async def delete_recordings(
    deps: RecordingDeps, caller: Caller, request: SignedRequest
) -> Response:
    """Answer deleteRecordings."""
    return await _change(recordings.delete_recordings, deps, caller, request)


async def _change(
    change: Change, deps: RecordingDeps, caller: Caller, request: SignedRequest
) -> Response:
    return Response(200, XML, await change(deps, caller, request.params))


async def get_text_tracks(deps: RecordingDeps, caller: Caller, request: SignedRequest) -> Response:
    """Answer getRecordingTextTracks."""
    found = await text_tracks.list_tracks(deps, caller, request.params)
    tracks = [_track(track, f"{caller.base_url}{address}") for address, track in found]
    return _json(returncode="SUCCESS", tracks=tracks)


async def put_text_track(deps: RecordingDeps, caller: Caller, request: SignedRequest) -> Response:
    """Answer putRecordingTextTrack. What is neither WebVTT nor SRT is a SUCCESS too, as in BBB."""
    record_id, taken = await text_tracks.put_track(deps, caller, request.params, request.file)
    if taken:
        key, message = "upload_text_track_success", "Text track uploaded successfully"
    else:
        key, message = "upload_text_track_failed", "Text track upload failed."
    return _json(messageKey=key, message=message, recordId=record_id, returncode="SUCCESS")


def json_failure(failure: Failure) -> Response:
    """Return a FAILED answer in JSON."""
    return _json(
        failure.http_status,
        messageKey=failure.key,
        message=failure.message,
        returncode="FAILED",
    )


def _track(track: TextTrack, href: str) -> dict[str, str]:
    return {
        "href": href,
        "kind": track.kind,
        "label": track.label,
        "lang": track.lang.replace("_", "-"),
        "source": track.source,
    }


def _json(status: int = 200, /, **content: Any) -> Response:
    return Response(status, JSON, json.dumps({"response": content}).encode())


RECORDING_CALLS: Mapping[str, ApiCall[RecordingDeps]] = {
    "getRecordings": ApiCall(get_recordings),
    "publishRecordings": ApiCall(publish_recordings),
    "updateRecordings": ApiCall(update_recordings),
    "deleteRecordings": ApiCall(delete_recordings),
    "getRecordingTextTracks": ApiCall(get_text_tracks, accepts=Accepts.NOTHING, json=True),
    "putRecordingTextTrack": ApiCall(put_text_track, frozenset({"POST"}), Accepts.FILE, json=True),
}
