"""/recording/…, /{format}/{recordID}/… and /playback/…: parses, calls one operation, renders.

People see what is answered here, so failures are pages and not XML. What does not exist and what
may not be seen get the same page. Source: docs/recordings.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import parse_qs, quote

import trio
from quart import Blueprint, Response, request

from appliance.http.content_types import HTML, content_type_of
from appliance.http.file_response import ServedFile, file_response
from appliance.http.quart_exchange import current_exchange
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.playback import access as playback
from appliance.recordings.playback.access import RecordingLookup, Viewer
from appliance.recordings.playback.error_pages import ErrorPages
from appliance.recordings.playback.from_bucket import ObjectRedirect
from appliance.recordings.playback.plain_page import ASSETS, PLAIN_FORMAT, PLAIN_PAGE, PlainPage
from appliance.recordings.playback.rules import (
    NotAFile,
    accel_path,
    cookie_name,
    cookie_path,
    cookies_named,
    is_inline,
    moved_address,
    needs_player,
    recording_of_page,
    split_path,
)
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.recording import Recording, is_format, is_record_id
from appliance.tenants.signed_calls import find_caller

_LINK, _PLAYER = "recording", "playback"
_SCREENSHARE = "screenshare"
_RESERVED = frozenset({"bigbluebutton", "scalelite", _LINK, _PLAYER})
"""First names of other routes, which no format of the settings may replace."""

Headers = Sequence[tuple[str, str]]


def make_playback_blueprint(
    deps: RecordingDeps, files: ServedFiles, pages: ErrorPages
) -> Blueprint:
    """Return what browsers request to play a recording; most errors are left to the application."""
    blueprint = Blueprint("playback", __name__)
    views = _Views(deps, files, pages)
    methods = ("GET", "HEAD")
    blueprint.add_url_rule(f"/{_LINK}/<rest:path>", "link", views.follow_link, methods=methods)
    blueprint.add_url_rule(f"/{_PLAYER}/<rest:path>", "player", views.show_player, methods=methods)
    for format in frozenset(deps.settings.recordings.playback_formats) - _RESERVED:
        blueprint.add_url_rule(
            f"/{format}/<rest:path>",
            "recording",
            views.show_recording,
            methods=methods,
            defaults={"format": format},
        )

    @blueprint.errorhandler(OSError)
    async def show_unavailable(error: OSError) -> Response:
        if isinstance(error, BucketFault):  # an outage that ends by itself
            deps.faults.note(
                "object_not_opened", deps.settings.s3.bucket or "", reason=error.strerror
            )
        else:
            deps.log.error("file_not_opened", path=request.path, reason=error.strerror)
        return pages.unavailable()

    return blueprint


class _Views:
    """The views, with what they share."""

    def __init__(self, deps: RecordingDeps, files: ServedFiles, pages: ErrorPages) -> None:
        self._deps = deps
        self._files = files
        self._pages = pages
        self._lookup = RecordingLookup(deps.store, deps.now_ms)
        self._plain = PlainPage(deps.settings, deps.log)
        self._accel = deps.settings.recordings.x_accel_redirect

    async def follow_link(self, path: str) -> Response:
        """Redirect from a link of getRecordings to the player or the file."""
        names = split_path(path)
        if names is None:
            return self._pages.not_found()
        if names[0] == _SCREENSHARE and len(names) > 1:
            # BBB's links to screenshares begin so; Scalelite's nginx leads them to the files.
            return _redirect(307, "/" + "/".join(quote(name) for name in names))
        if len(names) == 3 and not names[2]:
            names = names[:2]
        exchange = current_exchange()
        caller = await find_caller(self._deps.tenants, exchange.origin, exchange.request)
        if caller is None or len(names) != 2 or not _are_names(*names):
            return self._pages.not_found()
        record_id, format = names
        query = parse_qs(request.query_string.decode("latin-1"))
        link = await playback.open_link(
            self._deps,
            self._lookup,
            Viewer(caller, user_agent=request.headers.get("user-agent", "")),
            record_id,
            format,
            token=query.get("token", [""])[0],
            consume=request.method == "GET",
        )
        if link is None:
            return self._pages.not_found()
        cookie = () if link.cookie is None else (("set-cookie", link.cookie),)
        target = link.target
        if link.protected and needs_player(target) and not await self._has_player():
            # Where browsers send the cookie, which they do not below /playback/.
            target = f"{cookie_path(format, record_id)}/{PLAIN_PAGE}"
        return _redirect(307, target, (("cache-control", "no-store"), *cookie))

    async def show_recording(self, format: str, path: str) -> Response:
        """Send a file of a recording."""
        names = split_path(path)
        if names is None:
            return self._pages.not_found()
        record_id, inside = names[0], names[1:]
        found = await self._find(record_id, format, inside)
        if found is None:
            return self._pages.not_found()
        if not inside:
            return _redirect(301, _with_slash())
        if format == PLAIN_FORMAT and inside == (PLAIN_PAGE,):
            return await self._render_plain(found)
        headers = _headers_of(found, format)
        if self._deps.objects is not None:
            return await self._show_from_either(record_id, format, inside, headers)
        if self._accel:
            to_nginx = ("x-accel-redirect", accel_path(format, record_id, inside))
            content_type = content_type_of(inside[-1])
            return _empty(200, (to_nginx, *headers), content_type)
        file = await playback.open_recording_file(self._files, record_id, format, inside)
        return self._show(file, headers)

    async def _find(self, record_id: str, format: str, inside: tuple[str, ...]) -> Recording | None:
        """Return a recording if the client has access to a file of it."""
        exchange = current_exchange()
        caller = await find_caller(self._deps.tenants, exchange.origin, exchange.request)
        if caller is None or not _are_names(record_id, format):
            return None
        cookies = cookies_named(request.headers.get("cookie", ""), cookie_name(format, record_id))
        token = parse_qs(request.query_string.decode("latin-1")).get("token", [""])[0]
        viewer = Viewer(caller, cookies=cookies, token=token)
        return await playback.find_playable(
            self._deps, self._lookup, viewer, record_id, format, inside
        )

    async def _show_from_either(
        self, record_id: str, format: str, inside: tuple[str, ...], headers: Headers
    ) -> Response:
        """Send a file from the disk or, if it is not there, from the bucket."""
        file = await playback.open_recording_file(self._files, record_id, format, inside)
        if not isinstance(file, NotAFile) and self._accel:
            file.close()
            to_nginx = ("x-accel-redirect", accel_path(format, record_id, inside))
            return _empty(200, (to_nginx, *headers), content_type_of(inside[-1]))
        if file is not NotAFile.MISSING:
            return self._show(file, headers)
        exchange = current_exchange()
        found = await playback.find_object(self._deps, exchange.request, record_id, format, inside)
        if not isinstance(found, ObjectRedirect):
            threads = None if self._deps.objects is None else self._deps.objects.threads
            return self._show(found, headers, threads)
        cookies = playback.set_cookies(self._deps, found, exchange.origin.host)
        return _redirect(found.status, found.url, (("cache-control", "no-store"), *cookies))

    async def show_player(self, path: str) -> Response:
        """Send a file of the BBB player, or the plain page in place of the player."""
        names = split_path(path)
        if names is None or any(name.startswith(".") for name in names):
            return self._pages.not_found()
        if names[0] == ASSETS:
            asset = await trio.to_thread.run_sync(self._plain.asset, names[1:])
            return asset or self._pages.not_found()
        file = await playback.open_player_file(self._files, names)
        if isinstance(file, NotAFile):
            record_id = recording_of_page(names)
            if record_id is not None:
                found = await self._find(record_id, PLAIN_FORMAT, (PLAIN_PAGE,))
                return self._pages.not_found() if found is None else await self._render_plain(found)
            moved = moved_address(names, request.query_string.decode("latin-1"))
            if moved is not None:
                return _redirect(307, moved)
        return self._show(file, ())

    async def _has_player(self) -> bool:
        return await trio.to_thread.run_sync(self._files.has_player)

    async def _render_plain(self, recording: Recording) -> Response:
        render = partial(self._plain.render, recording, request.accept_languages)
        return await trio.to_thread.run_sync(render)

    def _show(
        self,
        file: ServedFile | NotAFile,
        headers: Headers,
        threads: trio.CapacityLimiter | None = None,
    ) -> Response:
        if file is NotAFile.DIRECTORY:
            return _redirect(301, _with_slash(), headers)
        if isinstance(file, NotAFile):
            return self._pages.not_found()
        return file_response(file, headers, self._deps.log, threads=threads)


def _are_names(record_id: str, format: str) -> bool:
    return is_record_id(record_id) and is_format(format)


def _headers_of(recording: Recording, format: str) -> Headers:
    headers: list[tuple[str, str]] = []
    if not is_inline(format):
        headers.append(("content-disposition", "attachment"))
    if recording.protected:
        # Not cached by a proxy; the browser's copy is revalidated each time.
        headers.append(("cache-control", "private, no-cache"))
    return headers


def _redirect(status: int, target: str, headers: Headers = ()) -> Response:
    return _empty(status, (("location", target), *headers), HTML)


def _empty(status: int, headers: Headers, content_type: str) -> Response:
    response = Response(b"", status, content_type=content_type)
    response.headers.extend(headers)
    return response


def _with_slash() -> str:
    """Return the address of a directory. It begins with a route's name: never with two slashes."""
    query = quote(request.query_string, safe="/?&=%~!$'()*+,;:@")
    return quote(request.path) + "/" + (f"?{query}" if query else "")
