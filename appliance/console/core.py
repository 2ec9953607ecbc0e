"""The console as its pages use it: who looks, what they ask for, how a page is made of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import trio
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from quart import Response

from appliance import __version__
from appliance.admin.dispatch import AdminCalls
from appliance.admin.errors import answer_error
from appliance.admin_calls.actors import Actor, Role
from appliance.console.charts import draw_bar, draw_day, draw_skyline, draw_sparkline
from appliance.console.live import Live, Parts
from appliance.console.sessions import COOKIE_PATH, NOTICE_COOKIE, UNDO_S, Signer
from appliance.console.sign_in import SignedInViewer, SignIn, read_cookies
from appliance.console.snapshot import PoolSnapshot
from appliance.console.texts import Languages, Texts
from appliance.features import Features
from appliance.http.messages import ClientGone
from appliance.http.quart_exchange import current_exchange
from appliance.model import TenantId

HOME = Path(__file__).parent
PREFIX = "/scalelite"
_NOTICE_S = 60
_MAX_CACHED = 20_000


class ChangeFailed(Exception):
    """An admin call was refused or failed; `str()` is one line for the operator."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class View:
    """What decides how a page looks, besides the pool: viewers with the same view share it."""

    page: str
    texts: Texts
    role: Role
    tenant_id: TenantId | None = None
    params: tuple[tuple[str, str], ...] = ()

    @property
    def actor(self) -> Actor:
        """Return whom the parts of a page that several viewers share are read for."""
        return Actor("console", self.role, self.tenant_id)

    def param(self, name: str, default: str = "") -> str:
        """Return a parameter of the address."""
        return dict(self.params).get(name, default)

    @property
    def key(self) -> tuple[object, ...]:
        """Return what identifies the view."""
        return self.page, self.texts.language, self.role, self.tenant_id, self.params


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a logged-in viewer."""

    viewer: SignedInViewer
    view: View
    form: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def texts(self) -> Texts:
        """Return the language of the answer."""
        return self.view.texts

    def field(self, name: str) -> str:
        """Return a field of the form that was sent; empty: it was not."""
        return self.form.get(name, [""])[-1].strip()


@dataclass(frozen=True, slots=True)
class Notice:
    """What has come of a change, shown once above the page."""

    text: str
    kind: str = "done"
    """done or failed."""
    undo: str = ""
    """A signed document that takes the change back; see pages/servers.py."""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A change was made: what to say, and the page to go on with."""

    notice: Notice
    to: str


class PageFailed(Exception):
    """A request is refused; `str()` is a message of the locale files."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Route:
    """A page, or a change that is sent from one."""

    path: str
    """Below /scalelite."""
    handler: Callable[[Console, Visit], Awaitable[Response | Done]]
    """Raises PageFailed, ChangeFailed."""
    method: str = "GET"
    page: str = ""
    """The entry of the navigation that it belongs to."""
    role: Role = Role.VIEWER
    params: tuple[str, ...] = ()
    """The parameters of its address that it reads, besides those in the path."""
    for_tenants: bool = False
    """Whether the token of a tenant may use it."""

    @property
    def endpoint(self) -> str:
        """Return a name that no other route has."""
        return f"{self.method.lower()}{self.path}".replace("/", "_").replace(".", "_")


@dataclass(frozen=True, slots=True)
class LivePage:
    """A page whose parts change by themselves."""

    name: str
    parts: Callable[[Console, View, PoolSnapshot], Awaitable[Parts]]
    interval_s: float = 1.0
    params: tuple[str, ...] = ()
    """Those of its address on which its parts depend."""
    for_tenants: bool = False
    """Whether the token of a tenant may see it."""


class Console:
    """Everything that the pages need."""

    def __init__(
        self, features: Features, calls: AdminCalls, languages: Languages, live: Live
    ) -> None:
        self.features = features
        self.settings = features.settings
        self.calls = calls
        self.languages = languages
        self.live = live
        self.signer = Signer.of(features.recordings.secret_key_base)
        self.sign_in = SignIn(features, self.signer)
        self.assets = _read_assets()
        self.templates = _make_environment(self.assets)
        self.simulations = trio.CapacityLimiter(1)
        """One simulation at a time."""
        self._rendered: dict[Hashable, tuple[Hashable, str]] = {}

    def cached(self, place: Hashable, state: Hashable, render: Callable[[], str]) -> str:
        """Return the HTML at a place; it is rendered only when its state has changed."""
        known = self._rendered.get(place)
        if known is None or known[0] != state:
            if len(self._rendered) > _MAX_CACHED:
                self._rendered.clear()
            known = self._rendered[place] = state, render()
        return known[1]

    async def call(self, visit: Visit | SignedInViewer, name: str, **fields: Any) -> Any:
        """Make an admin call as the viewer and return its answer. Raises ChangeFailed."""
        viewer = visit.viewer if isinstance(visit, Visit) else visit
        try:
            return await self.calls.make(name, viewer.actor, fields)
        except ClientGone:
            raise
        except Exception as error:
            declaration = self.calls.find(name)
            assert declaration is not None
            failed = answer_error(declaration, error, self.features.faults, self.features.log)
            raise ChangeFailed(failed.status, failed.document.error) from error

    async def try_call(
        self, visit: Visit | SignedInViewer, name: str, **fields: Any
    ) -> tuple[Any, str]:
        """Return the answer of a call, or None and why it failed."""
        try:
            return await self.call(visit, name, **fields), ""
        except ChangeFailed as error:
            return None, str(error)

    def part(self, name: str, view: View, **values: Any) -> str:
        """Render one part of a page."""
        template = self.templates.get_template(f"parts/{name}.html")
        return template.render(
            x=view.texts,
            t=view.texts.t,
            n=view.texts.n,
            may=_Permits(view.role),
            tenant_id=view.tenant_id,
            multitenancy=self.settings.api.multitenancy,
            **values,
        )

    async def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Response:
        """Render a whole page for a viewer."""
        snapshot = await self.live.snapshot()
        view, texts = visit.view, visit.texts
        html = self.templates.get_template(template).render(
            x=texts,
            t=texts.t,
            n=texts.n,
            may=_Permits(view.role),
            viewer=visit.viewer,
            tenant_id=view.tenant_id,
            view=view,
            csrf=self.signer.csrf_token(visit.viewer.session),
            notice=self._take_notice(),
            multitenancy=self.settings.api.multitenancy,
            snapshot=snapshot,
            **values,
        )
        response = html_response(html, status)
        if NOTICE_COOKIE in read_cookies(current_exchange().request):
            response.delete_cookie(NOTICE_COOKIE, path=COOKIE_PATH)
        return response

    async def live_page(self, visit: Visit, page: LivePage, **values: Any) -> Response:
        """Render a page with its parts, and the address of the stream of its changes."""
        snapshot = await self.live.snapshot()
        parts = await page.parts(self, visit.view, snapshot)
        shown = {**{key: Markup(html) for key, html in parts.html.items()}, **parts.lists}
        query = [("page", page.name), *visit.view.params]
        return await self.page(visit, f"{page.name}.html", parts=shown, stream=query, **values)

    def sign_notice(self, notice: Notice) -> str:
        """Return a notice as the value of a cookie."""
        until_s = self.features.now_ms() / 1000 + _NOTICE_S
        made = [notice.text[:400], notice.kind, notice.undo, [d[:200] for d in notice.details[:5]]]
        return self.signer.sign_until("notice", made, until_s=until_s)

    def sign_undo(self, document: Any) -> str:
        """Return what an Undo button sends; it is taken for UNDO_S."""
        until_s = self.features.now_ms() / 1000 + UNDO_S + 2
        return self.signer.sign_until("undo", document, until_s=until_s)

    def _take_notice(self) -> Notice | None:
        cookie = read_cookies(current_exchange().request).get(NOTICE_COOKIE)
        now_s = self.features.now_ms() / 1000
        found = self.signer.read_until("notice", cookie or "", now_s=now_s)
        if found is None:
            return None
        text, kind, undo, details = found
        return Notice(text, kind, undo, tuple(details))


@dataclass(frozen=True, slots=True)
class _Permits:
    """Which buttons a role has, for templates."""

    role: Role

    @property
    def operate(self) -> bool:
        """Whether it changes states and ends meetings."""
        return self.role.includes(Role.OPERATOR)

    @property
    def administer(self) -> bool:
        """Whether it changes everything and sees secrets."""
        return self.role.includes(Role.ADMIN)


@dataclass(frozen=True)
class Asset:
    """A static file, kept in memory."""

    body: bytes
    content_type: str

    @cached_property
    def tag(self) -> str:
        """Return what names this version of the file."""
        return hashlib.sha256(self.body).hexdigest()[:16]


_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def _read_assets() -> dict[str, Asset]:
    return {
        path.name: Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted((HOME / "static").iterdir())
        if path.suffix in _TYPES
    }


def _make_environment(assets: Mapping[str, Asset]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HOME / "templates"),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(
        asset=lambda name: f"{PREFIX}/static/{name}?v={assets[name].tag}",
        bar=draw_bar,
        sparkline=draw_sparkline,
        day_chart=draw_day,
        skyline=draw_skyline,
        mark=_mark,
        navigation=_navigation,
        version=__version__,
    )
    environment.filters["pattern"] = lambda text: re.sub(r"([.*+?^${}()|\[\]\\/])", r"\\\1", text)
    return environment


_SHAPES = {
    "ok": '<circle cx="8" cy="8" r="6"/>',
    "half": '<path d="M8 2a6 6 0 0 0 0 12z"/><circle class="ring" cx="8" cy="8" r="5.25"/>',
    "off": '<circle class="ring" cx="8" cy="8" r="5.25"/>',
    "warn": '<path d="M8 1.5 15 14H1z"/>',
    "fail": '<path d="M4 2l4 4 4-4 2 2-4 4 4 4-2 2-4-4-4 4-2-2 4-4-4-4z"/>',
}
"""State by shape as well as by colour."""


def _mark(kind: str) -> Markup:
    return Markup(
        f'<svg class="mark {kind}" viewBox="0 0 16 16" aria-hidden="true">{_SHAPES[kind]}</svg>'
    )


_PAGES = (
    ("overview", "Overview", "/scalelite/", Role.VIEWER, False),
    ("servers", "Servers", "/scalelite/servers", Role.VIEWER, False),
    ("meetings", "Meetings", "/scalelite/meetings", Role.VIEWER, True),
    ("recordings", "Recordings", "/scalelite/recordings", Role.VIEWER, True),
    ("tenants", "Tenants", "/scalelite/tenants", Role.VIEWER, True),
    ("callbacks", "Callbacks", "/scalelite/callbacks", Role.VIEWER, False),
    ("audit", "Audit", "/scalelite/audit", Role.VIEWER, False),
    ("doctor", "Doctor", "/scalelite/doctor", Role.VIEWER, False),
    ("what-if", "What if", "/scalelite/what-if", Role.VIEWER, False),
)


def _navigation(
    viewer: SignedInViewer, may: object, multitenancy: bool
) -> list[tuple[str, str, str]]:
    """Return the pages that a viewer may see: name, title, address."""
    return [
        (name, title, href)
        for name, title, href, role, for_tenants in _PAGES
        if viewer.may(role)
        and (for_tenants or viewer.token.tenant_id is None)
        and (multitenancy or name != "tenants")
    ]


def html_response(html: str, status: int = 200) -> Response:
    """Return a page."""
    body = html.encode("utf-8", "replace")
    return Response(body, status, content_type="text/html; charset=utf-8")
