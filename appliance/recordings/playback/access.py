"""Playback of recordings: access checks, targets of links, and the files to serve.

Every request for a file is checked against the recording, which is cached for a second or until
this process changes one, since a page of BBB's player requests a hundred files.

Source: docs/recordings.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from urllib.parse import urlsplit

import trio

from appliance.bbb.signed_request import Caller
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.file_response import OpenedFile
from appliance.http.messages import Request
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.playback.from_bucket import (
    COOKIES_S,
    ObjectFile,
    ObjectRedirect,
    parent_domain,
    render_cloudfront_cookie,
)
from appliance.recordings.playback.rules import (
    NotAFile,
    cookie_path,
    is_inline,
    is_shown,
    is_valid_cookie,
    is_valid_token,
    playback_target,
    player_page,
    render_cookie,
    sign_cookie,
)
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.recording import Recording, is_record_id
from appliance.recordings.store import RecordingStore

_KEEP_MS = 1000
_MAX_ENTRIES = 10_000
_CONDITIONS = (
    *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"),
)


class _PendingRead:
    """A running query, for whose end other tasks wait."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.failure: DatabaseDown | None = None


class RecordingLookup:
    """A cache of recordings by id, each read at most once a second and after a change here."""

    def __init__(self, store: RecordingStore | None, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, int, Recording | None]] = {}
        """(time of the query, number of changes before it, its result) by recordID."""
        self._pending: dict[str, _PendingRead] = {}

    async def find(self, record_id: str) -> Recording | None:
        """Return a recording in any state, None if it does not exist. Raises DatabaseDown."""
        if self._store is None or not is_record_id(record_id):
            return None
        while True:
            kept = self._kept.get(record_id)
            fresh = kept and 0 <= self._now_ms() - kept[0] < _KEEP_MS
            if kept and fresh and kept[1] == self._store.change_count:
                return kept[2]
            pending = self._pending.get(record_id)
            if pending is None:
                return await self._read(self._store, record_id)
            await pending.done.wait()
            if pending.failure is not None:
                raise DatabaseDown(str(pending.failure))

    async def _read(self, store: RecordingStore, record_id: str) -> Recording | None:
        pending = self._pending[record_id] = _PendingRead()
        # Both are of before the query, since the result may lack later changes.
        asked_ms, change_count = self._now_ms(), store.change_count
        try:
            recording = await store.find_recording(record_id)
        except DatabaseDown as error:
            pending.failure = error
            raise
        finally:
            del self._pending[record_id]
            pending.done.set()
        if len(self._kept) >= _MAX_ENTRIES:
            self._kept.clear()  # clients can send any number of ids
        self._kept[record_id] = asked_ms, change_count, recording
        return recording


@dataclass(frozen=True, slots=True)
class PlaybackLink:
    """The target of a link to a recording."""

    target: str
    """Path and query."""
    cookie: str | None = None
    """Value of a Set-Cookie header."""
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Viewer:
    """The client that requests a recording."""

    caller: Caller
    user_agent: str = ""
    cookies: Sequence[str] = ()
    """Values of its cookies for the recording."""
    token: str = ""
    """From the query: grants access to one file."""


async def open_link(
    deps: RecordingDeps,
    lookup: RecordingLookup,
    viewer: Viewer,
    record_id: str,
    format: str,
    *,
    token: str,
    consume: bool,
) -> PlaybackLink | None:
    """Return the target of a link to a recording; None: this viewer has no access.

    Without `consume` a token is verified but not used up, and no cookie is set. Raises
    DatabaseDown, StoreDown.
    """
    recording = await lookup.find(record_id)
    if recording is None or not is_shown(recording, format, viewer.caller.tenant_id):
        return None
    target = playback_target(recording, format)
    if target is None or not recording.protected:
        return None if target is None else PlaybackLink(target)
    if deps.tokens is None or not deps.secret_key_base:
        raise StoreDown("no store of tokens")
    read = deps.tokens.consume_token if consume else deps.tokens.find_token
    if not token or await read(token) != (record_id, format):
        return None
    if not consume:
        return PlaybackLink(target, protected=True)
    timeout_s = deps.settings.protected.cookie_timeout_s
    value = sign_cookie(
        format,
        record_id,
        secret=deps.secret_key_base,
        expires_s=deps.now_ms() // 1000 + timeout_s,
    )
    cookie = render_cookie(
        format, record_id, value, max_age_s=timeout_s, user_agent=viewer.user_agent
    )
    return PlaybackLink(target, cookie, protected=True)


async def find_playable(
    deps: RecordingDeps,
    lookup: RecordingLookup,
    viewer: Viewer,
    record_id: str,
    format: str,
    inside: Sequence[str],
) -> Recording | None:
    """Return a recording if this viewer has access to a file of a format, else None.

    The recording decides whether it is protected, not the setting. Raises DatabaseDown.
    """
    recording = await lookup.find(record_id)
    if recording is None or not is_shown(recording, format, viewer.caller.tenant_id):
        return None
    if not recording.protected:
        return recording
    now_s, secret = deps.now_ms() / 1000, deps.secret_key_base
    opened = any(
        is_valid_cookie(cookie, format, record_id, secret=secret, now_s=now_s)
        for cookie in viewer.cookies
    )
    path = "/".join((cookie_path(format, record_id), *inside))
    if inside and is_valid_token(viewer.token, path, secret=secret, now_s=now_s):
        opened = True
    return recording if opened else None


async def open_recording_file(
    files: ServedFiles, record_id: str, format: str, names: Sequence[str]
) -> OpenedFile | NotAFile:
    """Open a file of a published recording; the caller closes it. Raises OSError."""
    return await trio.to_thread.run_sync(files.open_published, format, record_id, names)


async def find_object(
    deps: RecordingDeps, request: Request, record_id: str, format: str, names: Sequence[str]
) -> ObjectFile | ObjectRedirect | NotAFile:
    """Return an object of a recording, or where the viewer gets it. Raises BucketFault."""
    objects = deps.objects
    if objects is None:
        return NotAFile.MISSING
    wanted: str | None = request.header(b"range") or ""
    if request.method != "GET" or any(name in request.headers for name in _CONDITIONS):
        wanted = None
    find = partial(
        objects.find,
        *(format, record_id, names),
        wanted_range=wanted,
        attachment=not is_inline(format),
        now_s=deps.now_ms() / 1000,
        head=request.method == "HEAD",
    )
    return await trio.to_thread.run_sync(find, limiter=objects.threads)


def set_cookies(deps: RecordingDeps, found: ObjectRedirect, host: str) -> list[tuple[str, str]]:
    """Return the Set-Cookie headers of a redirect to CloudFront."""
    domain = parent_domain(host, urlsplit(deps.settings.s3.cloudfront_url or "").hostname or "")
    expires = formatdate(deps.now_ms() / 1000 + COOKIES_S, usegmt=True)
    return [
        ("set-cookie", render_cloudfront_cookie(name, value, domain=domain, expires=expires))
        for name, value in found.cookies
    ]


async def open_player_file(files: ServedFiles, names: tuple[str, ...]) -> OpenedFile | NotAFile:
    """Open a file of the BBB player, or the page that replaces it. Raises OSError."""
    page = player_page(names)

    def work() -> OpenedFile | NotAFile:
        found = files.open_player(names)
        return files.open_player(page) if page and isinstance(found, NotAFile) else found

    return await trio.to_thread.run_sync(work)
