"""/recording/…, /{format}/{recordID}/… and /playback/…: parses, calls one operation, renders.

People see what is answered here, so failures are pages and not XML. Nothing tells apart what does
not exist from what somebody may not see. Truth: spec/recordings.md (Playback).
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from appliance.bbb.caller import Caller
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.content_types import content_type_of
from appliance.http.file_response import FileResponse, OpenedFile, make_file_response
from appliance.http.messages import Headers, Request, Response
from appliance.http.origin import RequestOrigin
from appliance.recordings import playback
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.error_pages import ErrorPages
from appliance.recordings.playback import RecordingLookup, Viewer
from appliance.recordings.playback_rules import (
    NotAFile,
    accel_path,
    cookie_name,
    cookies_named,
    is_inline,
    moved_address,
    split_path,
)
from appliance.recordings.recording import Recording, is_format, is_record_id
from appliance.recordings.served_files import ServedFiles

_HTML = b"text/html; charset=utf-8"
_LINK, _PLAYER = "recording", "playback"
_SCREENSHARE = "screenshare"
_RESERVED = frozenset({"bigbluebutton", "scalelite"})
"""First names of other routes, which no format of the settings may take over."""
_NOT_ALLOWED = Response(
    405, b"text/plain; charset=utf-8", b"GET only.\n", ((b"allow", b"GET, HEAD"),)
)


class PlaybackRoutes:
    """Answers what browsers ask for to play a recording."""

    def __init__(self, deps: RecordingDeps, files: ServedFiles) -> None:
        self._deps = deps
        self._files = files
        self._lookup = RecordingLookup(deps.store, deps.now_ms)
        self._pages = ErrorPages(deps.settings.locale, deps.error_texts)
        self._accel = deps.settings.recordings.x_accel_redirect
        formats = frozenset(deps.settings.recordings.playback_formats) - _RESERVED
        self._first_names = formats | {_LINK, _PLAYER}

    def serves(self, path: str) -> bool:
        """Whether a path is one of ours."""
        first, slash, _ = path[1:].partition("/")
        return bool(slash) and first in self._first_names

    async def handle(self, request: Request, origin: RequestOrigin) -> Response | FileResponse:
        """Answer a request for a path that `serves` knows."""
        if request.method not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        first, _, rest = request.path[1:].partition("/")
        names = split_path(rest)
        if names is None:
            return self._pages.not_found
        try:
            if first == _LINK:
                return await self._follow_link(request, origin, names)
            if first == _PLAYER:
                return await self._serve_player(request, names)
            return await self._serve_recording(request, origin, first, names)
        except StoreDown as error:
            self._deps.faults.note("request_without_store", "redis", reason=str(error))
        except DatabaseDown as error:
            self._deps.faults.note("request_without_store", "postgres", reason=str(error))
        except OSError as error:
            self._deps.log.error("file_not_opened", path=request.path, reason=error.strerror)
        return self._pages.unavailable

    async def _follow_link(
        self, request: Request, origin: RequestOrigin, names: tuple[str, ...]
    ) -> Response:
        if names[0] == _SCREENSHARE and len(names) > 1:
            # BBB's links to screenshares begin so; Scalelite's nginx leads them to the files.
            return _redirect(307, "/" + "/".join(quote(name) for name in names))
        if len(names) == 3 and not names[2]:
            names = names[:2]
        caller = await self._caller(origin)
        if caller is None or len(names) != 2 or not _are_names(*names):
            return self._pages.not_found
        record_id, format = names
        query = parse_qs(request.query.decode("latin-1"))
        link = await playback.open_link(
            self._deps,
            self._lookup,
            Viewer(caller, user_agent=request.header(b"user-agent") or ""),
            record_id,
            format,
            token=query.get("token", [""])[0],
            consume=request.method == "GET",
        )
        if link is None:
            return self._pages.not_found
        cookie = () if link.cookie is None else ((b"set-cookie", link.cookie.encode()),)
        return _redirect(307, link.target, ((b"cache-control", b"no-store"), *cookie))

    async def _serve_recording(
        self, request: Request, origin: RequestOrigin, format: str, names: tuple[str, ...]
    ) -> Response | FileResponse:
        record_id, inside = names[0], names[1:]
        caller = await self._caller(origin)
        if caller is None or not _are_names(record_id, format):
            return self._pages.not_found
        cookies = cookies_named(request.header(b"cookie") or "", cookie_name(format, record_id))
        token = parse_qs(request.query.decode("latin-1")).get("token", [""])[0]
        viewer = Viewer(caller, cookies=cookies, token=token)
        found = await playback.find_playable(
            self._deps, self._lookup, viewer, record_id, format, inside
        )
        if found is None:
            return self._pages.not_found
        if not inside:
            return _redirect(301, _with_slash(request))
        headers = _headers_of(found, format)
        if self._accel:
            to_nginx = (b"x-accel-redirect", accel_path(format, record_id, inside).encode())
            content_type = content_type_of(inside[-1]).encode()
            return Response(200, content_type, b"", (to_nginx, *headers))
        file = await playback.open_recording_file(self._files, record_id, format, inside)
        return self._answer(request, file, headers)

    async def _serve_player(
        self, request: Request, names: tuple[str, ...]
    ) -> Response | FileResponse:
        file = await playback.open_player_file(self._files, names)
        if isinstance(file, NotAFile):
            moved = moved_address(names, request.query.decode("latin-1"))
            if moved is not None:
                return _redirect(307, moved)
        return self._answer(request, file, ())

    def _answer(
        self, request: Request, file: OpenedFile | NotAFile, headers: Headers
    ) -> Response | FileResponse:
        if file is NotAFile.DIRECTORY:
            return _redirect(301, _with_slash(request), headers)
        if isinstance(file, NotAFile):
            return self._pages.not_found
        return make_file_response(request, file, headers)

    async def _caller(self, origin: RequestOrigin) -> Caller | None:
        """Return whose host was asked; None: nobody's."""
        if not self._deps.settings.api.multitenancy:
            return Caller(base_url=origin.base_url)
        tenant = await self._deps.tenants.cache.find(origin.host.partition(".")[0])
        return None if tenant is None else Caller(tenant, origin.base_url)


def _are_names(record_id: str, format: str) -> bool:
    return is_record_id(record_id) and is_format(format)


def _headers_of(recording: Recording, format: str) -> Headers:
    headers: list[tuple[bytes, bytes]] = []
    if not is_inline(format):
        headers.append((b"content-disposition", b"attachment"))
    if recording.protected:
        # Kept by nobody between us and the browser, and by the browser only to ask again.
        headers.append((b"cache-control", b"private, no-cache"))
    return tuple(headers)


def _redirect(status: int, target: str, headers: Headers = ()) -> Response:
    return Response(status, _HTML, b"", ((b"location", target.encode("ascii")), *headers))


def _with_slash(request: Request) -> str:
    """Return the address of a directory. It begins with a name of ours: never with two slashes."""
    query = quote(request.query, safe="/?&=%~!$'()*+,;:@")
    return quote(request.path) + "/" + (f"?{query}" if query else "")
