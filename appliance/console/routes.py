"""Everything below /scalelite/ but the admin API: who may see it, its headers, the pages.

A request is answered only over a private connection and with a session; a change needs a
POST from the console itself (Origin) with the CSRF token of the session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, quote

from quart import Blueprint, Response, request

from appliance.admin.routes import make_admin_calls
from appliance.admin_calls.actors import Role
from appliance.console.core import (
    AGAIN_S,
    ChangeFailed,
    Console,
    Done,
    LivePage,
    Notice,
    PageFailed,
    Route,
    View,
    Visit,
    html_response,
)
from appliance.console.live import MAX_STREAMS, Follower, Live, encode_event
from appliance.console.pages import LIVE_PAGES, NOTHING, PAGES
from appliance.console.pages.shared import redirect_to
from appliance.console.sessions import COOKIE, COOKIE_PATH, LOGIN_FORM_S, NOTICE_COOKIE, SESSION_S
from appliance.console.sign_in import SignedInViewer, is_own_origin, is_private
from appliance.console.templating import PREFIX
from appliance.console.texts import Texts, load_languages
from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features
from appliance.http.errors import HttpError
from appliance.http.messages import read_body
from appliance.http.origin import client_of
from appliance.http.quart_app import text_response
from appliance.http.quart_exchange import current_exchange

MAX_FORM_BYTES = 256 * 1024
_FORM_S = 10.0
_CHECK_S = 3.0
"""How often an open stream looks its session up: a revoked token ends it within 5 s."""
_NO_SLASH = PREFIX.encode()
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'self';"
        " frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def make_console(features: Features) -> Console:
    """Return the console of an appliance; `live.run` is to be run beside it."""
    languages = load_languages(features.settings.locale, features.log)
    return Console(features, make_admin_calls(features), languages, Live(features))


def make_console_blueprint(console: Console) -> Blueprint:
    """Return the console.

    Its application puts the address of the client, as trusted proxies report it, into the scope
    under CLIENT_KEY.
    """
    views = _PageViews(console)
    blueprint = Blueprint("console", __name__, url_prefix=PREFIX)
    blueprint.after_request(_add_headers)

    def add(path: str, name: str, view: Callable[..., Awaitable[Any]], *methods: str) -> None:
        blueprint.add_url_rule(path, name, view, methods=methods or ("GET",), strict_slashes=False)

    add("/static/<name>", "static", views.static)
    add("/stream", "stream", views.stream)
    add("/", "log_in", views.log_in, "POST")
    add("/logout", "log_out", views.log_out, "POST")
    for route in PAGES:
        add(route.path, route.endpoint, views.make(route), route.method)
    add("/<path:rest>", "nothing", views.nothing, "GET", "POST")
    return blueprint


async def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("cache-control", "no-store")
    return response


class _PageViews:
    """The views of the blueprint."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def make(self, route: Route) -> Callable[..., Awaitable[Response]]:
        """Return the view of a page or a change."""

        async def view(**path: str) -> Response:
            return await self._guard(lambda texts: self._serve(route, texts, path))

        return view

    async def _guard(self, serve: Callable[[Texts], Awaitable[Response]]) -> Response:
        """Answer a request unless it may not be; turn failures into pages."""
        texts = self._console.languages.choose(request.headers.get("accept-language", ""))
        exchange = current_exchange()
        if not is_private(exchange.request, exchange.origin, client_of(request.scope)):
            line = "The console is not served over plain HTTP: use https."
            return text_response(403, line)
        try:
            return await serve(texts)
        except (StoreDown, DatabaseDown) as error:
            status, reason = 503, texts.t(self._note_store(error))
        except HttpError as error:
            status, reason = error.status, error.reason
        except PageFailed as error:
            status, reason = error.status, texts.t(str(error))
        if _wants_notice():
            failed = Notice(reason, "failed")
            return self._notice(View("", texts, Role.VIEWER), failed, status)
        return self._broken(texts, reason) if status == 503 else text_response(status, reason)

    def _note_store(self, error: StoreDown | DatabaseDown) -> str:
        """Log that a store is away; return the message that says which one."""
        store, name = (
            ("redis", "Redis") if isinstance(error, StoreDown) else ("postgres", "PostgreSQL")
        )
        self._console.features.faults.note("request_without_store", store, reason=str(error))
        return f"{name} does not answer"

    def _broken(self, texts: Texts, reason: str) -> Response:
        """Say that a store is away, on a page that tries again by itself."""
        html = self._console.templates.get_template("broken.html").render(
            x=texts, t=texts.t, reason=reason
        )
        response = html_response(html, 503)
        response.headers["retry-after"] = response.headers["refresh"] = str(AGAIN_S)
        return response

    async def _serve(self, route: Route, texts: Texts, path: dict[str, str]) -> Response:
        console = self._console
        form: dict[str, list[str]] = {}
        if request.method == "POST":
            _check_origin()
            form = await _read_form()
        viewer = await console.sign_in.find(current_exchange().request)
        if viewer is None:
            return self._ask_to_log_in(texts)
        given = {name: request.args[name] for name in route.params if request.args.get(name)}
        params = tuple(sorted({**given, **path}.items()))
        view = View(route.page, texts, viewer.token.role, viewer.token.tenant_id, params)
        visit = Visit(viewer, view, form)
        try:
            if request.method == "POST":
                self._check_csrf(viewer, form)
            _check_viewer(route, viewer)
            done = await route.handler(console, visit)
        except (PageFailed, ChangeFailed) as error:
            return await self._finish(visit, error)
        except (StoreDown, DatabaseDown) as error:
            return await self._finish(visit, PageFailed(503, self._note_store(error)))
        return done if isinstance(done, Response) else await self._finish(visit, done)

    async def _finish(self, visit: Visit, done: Done | PageFailed | ChangeFailed) -> Response:
        """Answer a change: with the next page, or with the notice alone for console.js."""
        console = self._console
        if isinstance(done, Done):
            console.live.forget()
            notice, status = done.notice, 200
        else:
            notice, status = Notice(visit.texts.translate(str(done)), "failed"), done.status
        if _wants_notice():
            csrf = console.signer.csrf_token(visit.viewer.session)
            return self._notice(visit.view, notice, status, csrf)
        if not isinstance(done, Done):
            again = status == 503 and request.method == "GET"
            return await console.page(
                visit, "failed.html", status, reason=notice.text, again=again, incomplete=again
            )
        response = redirect_to(done.to)
        self._set_cookie(response, NOTICE_COOKIE, console.sign_notice(notice), 60)
        return response

    def _notice(self, view: View, notice: Notice, status: int, csrf: str = "") -> Response:
        html = self._console.part("notice", view, notice=notice, csrf=csrf)
        return html_response(html, status)

    def _set_cookie(self, response: Response, name: str, value: str, life_s: int) -> None:
        response.set_cookie(
            name,
            value,
            max_age=life_s,
            path=COOKIE_PATH,
            secure=True,
            httponly=True,
            samesite="Strict",
        )

    def _check_csrf(self, viewer: SignedInViewer, form: dict[str, list[str]]) -> None:
        given = request.headers.get("x-csrf-token") or form.get("csrf_token", [""])[0]
        if not self._console.signer.is_csrf_token(viewer.session, given):
            raise PageFailed(403, "The form is not of this session: load the page again")

    # --- sessions ---------------------------------------------------------------------------------

    def _ask_to_log_in(self, texts: Texts) -> Response:
        if request.method == "POST":
            return self._login_page(texts, 401, "Log in first")
        if cast(dict[str, Any], request.scope).get("raw_path", b"").partition(b"?")[0] == _NO_SLASH:
            return redirect_to(f"{PREFIX}/")  # where the cookie is sent
        if request.path.rstrip("/") == PREFIX:
            return self._login_page(texts, 200, "")
        target = f"{PREFIX}/?next={quote(request.full_path.rstrip('?'), safe='/')}"
        return redirect_to(target)

    def _login_page(self, texts: Texts, status: int, problem: str) -> Response:
        console = self._console
        until_s = console.features.now_ms() / 1000 + LOGIN_FORM_S
        html = console.templates.get_template("login.html").render(
            x=texts,
            t=texts.t,
            problem=texts.t(problem) if problem else "",
            csrf=console.signer.sign_until("login", "", until_s=until_s),
            next=_own_path(request.args.get("next", "")),
        )
        return html_response(html, status)

    async def log_in(self) -> Response:
        """Open a session with a token or ADMIN_SECRET."""
        return await self._guard(self._log_in)

    async def _log_in(self, texts: Texts) -> Response:
        console, client = self._console, client_of(request.scope)
        try:
            _check_origin()
        except PageFailed as error:
            return self._login_page(texts, error.status, str(error))
        form = await _read_form()
        wait_s = console.sign_in.limiter.wait_s(client)
        if wait_s > 0:
            response = self._login_page(texts, 429, "Too many attempts: wait a minute")
            response.headers["retry-after"] = str(int(wait_s) + 1)
            return response
        csrf = form.get("csrf_token", [""])[0]
        now_s = console.features.now_ms() / 1000
        if csrf and console.signer.read_until("login", csrf, now_s=now_s) is None:
            return self._login_page(texts, 403, "The form was too old: try again")
        viewer = await console.sign_in.open(form.get("token", [""])[0], client)
        if viewer is None:
            return self._login_page(texts, 401, "This token is wrong, has expired or was revoked")
        response = redirect_to(_own_path(form.get("next", [""])[0]))
        self._set_cookie(response, COOKIE, console.signer.sign_session(viewer.session), SESSION_S)
        return response

    async def log_out(self) -> Response:
        """End the session."""

        async def leave(texts: Texts) -> Response:
            console = self._console
            _check_origin()
            form = await _read_form()
            viewer = await console.sign_in.find(current_exchange().request)
            if viewer is not None:
                self._check_csrf(viewer, form)
                await console.sign_in.close(viewer)
            response = redirect_to(f"{PREFIX}/")
            response.delete_cookie(COOKIE, path=COOKIE_PATH, secure=True, samesite="Strict")
            return response

        return await self._guard(leave)

    # --- files and streams ------------------------------------------------------------------------

    async def static(self, name: str) -> Response:
        """Serve a file of the console; its address changes with its content."""
        asset = self._console.assets.get(name)
        if asset is None:
            return text_response(404, "There is no such file.")
        response = Response(asset.body, content_type=asset.content_type)
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response

    async def stream(self) -> Response:
        """Send the changes of a page until the viewer leaves."""
        return await self._guard(self._stream)

    async def _stream(self, texts: Texts) -> Response:
        console = self._console
        viewer = await console.sign_in.find(current_exchange().request)
        page = LIVE_PAGES.get(request.args.get("page", ""))
        if viewer is None or page is None:
            return text_response(401 if viewer is None else 404, "There is no such stream.")
        if viewer.token.tenant_id is not None and not page.for_tenants:
            return text_response(403, "This page is not for the token of a tenant.")
        if console.live.streams >= MAX_STREAMS:
            return text_response(503, "Too many viewers.")
        params = {name: request.args[name] for name in page.params if request.args.get(name)}
        view = View(
            page.name,
            texts,
            viewer.token.role,
            viewer.token.tenant_id,
            tuple(sorted(params.items())),
        )
        current_exchange().watch_client()
        response = Response(self._follow(viewer, page, view), content_type="text/event-stream")
        response.headers["x-accel-buffering"] = "no"
        return response

    async def _follow(
        self, viewer: SignedInViewer, page: LivePage, view: View
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream; ends with the session, and when the appliance stops."""
        console = self._console
        with console.live.watch(
            view.key, partial(console.parts, page, view), page.interval_s
        ) as channel:
            yield b"retry: 2000\n\n"
            follower = Follower(channel, console.live.stopping)
            while not console.live.stopping.is_set():
                message = await follower.next(_CHECK_S)
                if message:
                    yield message
                if await self._has_ended(viewer):
                    yield encode_event("ended", {})
                    return

    async def _has_ended(self, viewer: SignedInViewer) -> bool:
        try:
            return await self._console.sign_in.recheck(viewer.session) is None
        except StoreDown:
            return False  # as soon as Redis answers again

    async def nothing(self, rest: str) -> Response:
        """Answer an address that no page has."""
        return await self._guard(lambda texts: self._serve(NOTHING, texts, {}))


def _wants_notice() -> bool:
    """Whether console.js sends a change, and shows its answer on the page."""
    return "x-fragment" in request.headers


def _check_origin() -> None:
    """Refuse a change that another site's page sends. Raises PageFailed."""
    given = request.headers.get("origin")
    if given is not None and not is_own_origin(given, current_exchange().origin):
        raise PageFailed(403, "This request comes from another site")


def _check_viewer(route: Route, viewer: SignedInViewer) -> None:
    if viewer.token.tenant_id is not None and not route.for_tenants:
        raise PageFailed(403, "This page is not for the token of a tenant")
    if not viewer.may(route.role):
        raise PageFailed(403, "Your token has not the role that this needs")


def _own_path(path: str) -> str:
    """Return a path of the console, never another site's address."""
    safe = path.startswith(f"{PREFIX}/") and "\\" not in path and path.isprintable()
    return path if safe else f"{PREFIX}/"


async def _read_form() -> dict[str, list[str]]:
    """Return the fields of a form. Raises HttpError, ClientGone."""
    body = await read_body(current_exchange().request, MAX_FORM_BYTES, limit_s=_FORM_S)
    try:
        return parse_qs(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=5000
        )
    except ValueError:
        raise HttpError(400, "The form cannot be read.") from None
