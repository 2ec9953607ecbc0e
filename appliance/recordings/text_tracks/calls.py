"""The captions of recordings: getRecordingTextTracks and putRecordingTextTrack.

Tracks belong to the presentation format, whose player displays them. Source: BigBlueButton API
reference; BBB's answers in tests/data/bbb-responses.
"""

from __future__ import annotations

from functools import partial

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.params import Params, get
from appliance.bbb.signed_request import Caller
from appliance.bbb.xml_text import drop_forbidden
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.playback.rules import cookie_path, sign_path
from appliance.recordings.recording import Recording, is_deleted
from appliance.recordings.storage import Storage
from appliance.recordings.text_tracks.language_names import language_name
from appliance.recordings.text_tracks.rules import (
    KINDS,
    UPLOADED,
    TextTrack,
    canonical_lang,
    to_webvtt,
)

FORMAT = "presentation"
_MAX_LABEL = 200


async def list_tracks(
    deps: RecordingDeps, caller: Caller, params: Params
) -> list[tuple[str, TextTrack]]:
    """Return the tracks of a recording, each with its path and query on this host.

    Raises ApiError, DatabaseDown.
    """
    store, files = deps.require_stores()
    record_id = _require(params, "recordID")
    recording = await store.find_recording(record_id)
    if recording is None or is_deleted(recording) or not _belongs(caller, recording):
        raise ApiError(errors.no_recording(record_id))
    try:
        tracks = await deps.in_thread(partial(files.read_tracks, record_id, FORMAT))
    except OSError as error:
        deps.log.error("text_tracks_not_read", record_id=record_id, reason=error.strerror)
        raise ApiError(errors.INTERNAL_ERROR) from error
    return [(_address(deps, recording, track), track) for track in tracks]


def _address(deps: RecordingDeps, recording: Recording, track: TextTrack) -> str:
    """Return path and query of a track; that of a protected recording has a token.

    A front-end, which has no cookie, may download it as long as a viewer may watch.
    """
    path = f"{cookie_path(FORMAT, recording.record_id)}/{track.file_name}"
    if not recording.protected or not deps.secret_key_base:
        return path
    expires_s = deps.now_ms() // 1000 + deps.settings.protected.cookie_timeout_s
    return f"{path}?token={sign_path(path, secret=deps.secret_key_base, expires_s=expires_s)}"


async def put_track(
    deps: RecordingDeps, caller: Caller, params: Params, uploaded: bytes | None
) -> tuple[str, bool]:
    """Add or replace a track; return the recordID and whether the track was accepted.

    `uploaded` is WebVTT, SRT or SSA/ASS. Raises ApiError, DatabaseDown.
    """
    store, files = deps.require_stores()
    record_id, track = _require(params, "recordID"), _read_track(params)
    if not uploaded or not uploaded.strip():
        raise ApiError(errors.EMPTY_TEXT_TRACK)
    async with store.lock_recordings([record_id], caller.tenant_id) as locked:
        if not locked.recordings:
            raise ApiError(errors.no_recording(record_id))
        save = partial(_save, files, record_id, track, uploaded)
        try:
            free = deps.work is None or await locked.wait_for_objects(record_id)
            taken = free and await deps.in_thread(save)
        except OSError as error:
            deps.log.error("text_track_not_written", record_id=record_id, reason=error.strerror)
            taken = False
    if taken:
        deps.log.info("text_track_written", record_id=record_id, lang=track.lang)
    return record_id, taken


def _save(files: Storage, record_id: str, track: TextTrack, uploaded: bytes) -> bool:
    webvtt = to_webvtt(uploaded)
    return webvtt is not None and files.write_track(record_id, FORMAT, track, webvtt)


def _read_track(params: Params) -> TextTrack:
    kind, lang = _require(params, "kind"), _require(params, "lang")
    if kind not in KINDS:
        raise ApiError(errors.INVALID_KIND)
    canonical = canonical_lang(lang)
    if canonical is None:
        raise ApiError(errors.INVALID_LANG)
    label = drop_forbidden(get(params, "label") or "").strip()[:_MAX_LABEL]
    return TextTrack(canonical, label or language_name(canonical), kind, UPLOADED)


def _require(params: Params, name: str) -> str:
    value = get(params, name)
    if not value:
        raise ApiError(_missing(name))
    return value


def _missing(name: str) -> Failure:
    return Failure("missingParameter", f"Missing param {name}.")


def _belongs(caller: Caller, recording: Recording) -> bool:
    return caller.tenant_id is None or recording.tenant_id == caller.tenant_id
