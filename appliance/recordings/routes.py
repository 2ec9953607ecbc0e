"""The recording calls of the BBB API.

The two text track calls are a blueprint of their own: they answer in JSON, errors too, as BBB's do.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from quart import Blueprint, Response

from appliance.bbb.errors import Failure
from appliance.bbb.signed_request import Accepts, Caller, SignedRequest
from appliance.bbb.xml import XML_TYPE
from appliance.http.quart_app import json_response
from appliance.http.streaming import stream_response
from appliance.recordings import calls as recordings
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.text_tracks import calls as text_tracks
from appliance.recordings.text_tracks.rules import TextTrack
from appliance.tenants.signed_calls import SignedCalls


def make_recording_blueprint(deps: RecordingDeps, calls: SignedCalls) -> Blueprint:
    """Return the calls that list and change recordings; errors are left to the application."""
    blueprint = Blueprint("recordings", __name__)

    async def get_recordings(caller: Caller, signed: SignedRequest) -> Response:
        listing = partial(recordings.list_recordings, deps, caller, signed.params)
        return await stream_response(listing, XML_TYPE)

    calls.add(blueprint, "getRecordings", get_recordings)
    for name, use_case in (
        ("publishRecordings", recordings.publish_recordings),
        ("updateRecordings", recordings.update_recordings),
        ("deleteRecordings", recordings.delete_recordings),
    ):
        calls.add_xml(blueprint, name, partial(use_case, deps))
    return blueprint


def make_text_track_blueprint(deps: RecordingDeps, calls: SignedCalls) -> Blueprint:
    """Return the calls about captions; errors are left to the application, as JSON."""
    blueprint = Blueprint("text_tracks", __name__)

    async def get_text_tracks(caller: Caller, signed: SignedRequest) -> Response:
        found = await text_tracks.list_tracks(deps, caller, signed.params)
        tracks = [_track(track, f"{caller.base_url}{address}") for address, track in found]
        return _json(returncode="SUCCESS", tracks=tracks)

    async def put_text_track(caller: Caller, signed: SignedRequest) -> Response:
        record_id, taken = await text_tracks.put_track(deps, caller, signed.params, signed.file)
        if taken:
            key, message = "upload_text_track_success", "Text track uploaded successfully"
        else:  # neither WebVTT nor SRT: a SUCCESS too, as in BBB
            key, message = "upload_text_track_failed", "Text track upload failed."
        return _json(messageKey=key, message=message, recordId=record_id, returncode="SUCCESS")

    calls.add(blueprint, "getRecordingTextTracks", get_text_tracks, accepts=Accepts.NOTHING)
    calls.add(
        blueprint,
        "putRecordingTextTrack",
        put_text_track,
        methods=("POST",),
        accepts=Accepts.FILE,
    )
    return blueprint


def in_json(failure: Failure) -> Response:
    """Return a FAILED response in JSON."""
    fields = {"messageKey": failure.key, "message": failure.message, "returncode": "FAILED"}
    return _json(failure.http_status, **fields)


def _track(track: TextTrack, href: str) -> dict[str, str]:
    return {
        "href": href,
        "kind": track.kind,
        "label": track.label,
        "lang": track.lang.replace("_", "-"),
        "source": track.source,
    }


def _json(status: int = 200, /, **content: Any) -> Response:
    return json_response({"response": content}, status)
