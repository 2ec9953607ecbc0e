"""Playback of recordings: who may see one, what a link leads to, which file is served.

Every request for a file is checked anew, against a recording that was read at most a second ago:
a page of BBB's player asks for a hundred files at once. Truth: spec/recordings.md (Playback).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from appliance.bbb.caller import Caller
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.file_response import OpenedFile
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.playback_rules import (
    NotAFile,
    is_shown,
    opens,
    playback_target,
    player_page,
    render_cookie,
    sign_cookie,
)
from appliance.recordings.recording import Recording, is_record_id
from appliance.recordings.served_files import ServedFiles
from appliance.recordings.store import RecordingStore

_KEEP_MS = 1000
_MAX_ENTRIES = 10_000


class _Pending:
    """A look-up under way, on which others wait."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.failure: DatabaseDown | None = None


class RecordingLookup:
    """Recordings by id, each read at most once a second."""

    def __init__(self, store: RecordingStore | None, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._kept: dict[str, tuple[int, Recording | None]] = {}
        self._pending: dict[str, _Pending] = {}

    async def find(self, record_id: str) -> Recording | None:
        """Return a recording in whatever state. Raises DatabaseDown."""
        if self._store is None or not is_record_id(record_id):
            return None
        while True:
            kept = self._kept.get(record_id)
            if kept and 0 <= self._now_ms() - kept[0] < _KEEP_MS:
                return kept[1]
            pending = self._pending.get(record_id)
            if pending is None:
                return await self._read(self._store, record_id)
            await pending.done.wait()
            if pending.failure is not None:
                raise DatabaseDown(str(pending.failure))

    async def _read(self, store: RecordingStore, record_id: str) -> Recording | None:
        pending = self._pending[record_id] = _Pending()
        # By the time of the question: what was changed since may not be in the answer.
        asked_ms = self._now_ms()
        try:
            recording = await store.find_recording(record_id)
        except DatabaseDown as error:
            pending.failure = error
            raise
        finally:
            del self._pending[record_id]
            pending.done.set()
        if len(self._kept) >= _MAX_ENTRIES:
            self._kept.clear()  # ids come from outside: never let them pile up
        self._kept[record_id] = asked_ms, recording
        return recording


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads."""

    target: str
    """Path and query."""
    cookie: str | None = None
    """A Set-Cookie header."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who wants to see a recording."""

    caller: Caller
    user_agent: str = ""
    cookies: Sequence[str] = ()
    """Values of the cookies that may open it."""


async def open_link(
    deps: RecordingDeps,
    lookup: RecordingLookup,
    viewer: Viewer,
    record_id: str,
    format: str,
    *,
    token: str,
    consume: bool,
) -> Link | None:
    """Return where a link to a recording leads; None: nothing for this viewer.

    Unless `consume`, a token stays as it is and opens nothing. Raises DatabaseDown, StoreDown.
    """
    recording = await lookup.find(record_id)
    if recording is None or not is_shown(recording, format, viewer.caller.tenant_id):
        return None
    target = playback_target(recording, format)
    if target is None or not recording.protected:
        return None if target is None else Link(target)
    if not consume:
        return Link(target) if token else None
    if deps.tokens is None or not deps.secret_key_base:
        raise StoreDown("no store of tokens")
    if not token or await deps.tokens.consume_token(token) != (record_id, format):
        return None
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
    return Link(target, cookie)


async def find_playable(
    deps: RecordingDeps, lookup: RecordingLookup, viewer: Viewer, record_id: str, format: str
) -> Recording | None:
    """Return a recording whose files of a format this viewer may see now. Raises DatabaseDown.

    Whether it is protected decides the recording, not the setting (fault 14).
    """
    recording = await lookup.find(record_id)
    if recording is None or not is_shown(recording, format, viewer.caller.tenant_id):
        return None
    if not recording.protected:
        return recording
    now_s, secret = deps.now_ms() / 1000, deps.secret_key_base
    opened = any(
        opens(cookie, format, record_id, secret=secret, now_s=now_s) for cookie in viewer.cookies
    )
    return recording if opened else None


async def open_recording_file(
    files: ServedFiles, record_id: str, format: str, names: Sequence[str]
) -> OpenedFile | NotAFile:
    """Open a file of a published recording; the caller closes it. Raises OSError."""
    return await trio.to_thread.run_sync(files.open_published, format, record_id, names)


async def open_player_file(files: ServedFiles, names: tuple[str, ...]) -> OpenedFile | NotAFile:
    """Open a file of the BBB player, or the page that stands in for it. Raises OSError."""
    page = player_page(names)

    def work() -> OpenedFile | NotAFile:
        found = files.open_player(names)
        return files.open_player(page) if page and isinstance(found, NotAFile) else found

    return await trio.to_thread.run_sync(work)
