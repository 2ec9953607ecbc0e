"""The console as its pages use it: who looks, what they ask for, how a page is made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio
from markupsafe import Markup
from quart import Response

from appliance.admin.dispatch import AdminCalls
from appliance.admin.errors import answer_error
from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.refusal import ErrorJson
from appliance.console.live import Live, Parts
from appliance.console.problems import find_store_problems
from appliance.console.sessions import COOKIE_PATH, NOTICE_COOKIE, Signer
from appliance.console.sign_in import SignedInViewer, SignIn, read_cookies
from appliance.console.snapshot import PoolSnapshot
from appliance.console.templating import make_environment, read_assets
from appliance.console.texts import Languages, Texts
from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features
from appliance.http.messages import ClientGone
from appliance.http.quart_exchange import current_exchange
from appliance.model import TenantId

AGAIN_S = 5
"""When a page is loaded again that could not show everything."""
_NOTICE_S = 60
_NO_PROBLEM = '<div data-part="stores"></div>'
_MAX_CACHED = 20_000


class ChangeFailed(Exception):
    """An admin call was refused or failed; `str()` is one line for the operator."""

    def __init__(self, status: int, document: ErrorJson) -> None:
        super().__init__(document.error)
        self.status = status
        self.document = document


@dataclass(frozen=True, slots=True)
class View:
    """A variant of a page; viewers with the same one share what is rendered."""

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
    """The result of a change, shown once above the page."""

    text: str
    kind: str = "done"
    """done or failed."""
    undo: str = ""
    """The name that an Undo button sends to take the change back; see pages/undo.py."""
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
        self.assets = read_assets()
        self.templates = make_environment(self.assets)
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

    async def call(self, caller: Visit | View, name: str, **fields: Any) -> Any:
        """Make an admin call as the viewer and return its answer. Raises ChangeFailed."""
        actor = caller.viewer.actor if isinstance(caller, Visit) else caller.actor
        try:
            return await self.calls.make(name, actor, fields)
        except ClientGone:
            raise
        except Exception as error:
            declaration = self.calls.find(name)
            assert declaration is not None
            failed = answer_error(declaration, error, self.features.faults, self.features.log)
            raise ChangeFailed(failed.status, failed.document) from error

    async def try_call(self, caller: Visit | View, name: str, **fields: Any) -> tuple[Any, str]:
        """Return the answer of a call, or None and why it failed."""
        try:
            return await self.call(caller, name, **fields), ""
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

    async def parts(self, page: LivePage, view: View, seen: PoolSnapshot) -> Parts:
        """Render the parts of a page, and what every page says: which store is away."""
        stores = self._stores(view, seen)
        try:
            parts = await page.parts(self, view, seen)
        except (StoreDown, DatabaseDown):
            return Parts({"stores": stores})  # the page keeps what it had
        return replace(parts, html={**parts.html, "stores": stores})

    def _stores(self, view: View, seen: PoolSnapshot) -> str:
        """Return what a page says above its content while a store is away."""
        # The overview says it in its own words.
        problems = [] if view.page == "overview" else find_store_problems(seen)
        return self.part("stores", view, problems=problems) if problems else _NO_PROBLEM

    async def page(
        self,
        visit: Visit,
        template: str,
        status: int = 200,
        *,
        incomplete: bool = False,
        **values: Any,
    ) -> Response:
        """Render a whole page for a viewer; one that is `incomplete` is soon loaded again."""
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
            **{"stream": [("page", "still")], "stores": self._stores(view, snapshot), **values},
        )
        response = html_response(html, status)
        if incomplete:
            response.headers["refresh"] = str(AGAIN_S)
        if NOTICE_COOKIE in read_cookies(current_exchange().request):
            response.delete_cookie(NOTICE_COOKIE, path=COOKIE_PATH)
        return response

    async def live_page(self, visit: Visit, page: LivePage, **values: Any) -> Response:
        """Render a page with its parts, and the address of the stream of its changes."""
        parts = await page.parts(self, visit.view, await self.live.snapshot())
        shown = {**{key: Markup(html) for key, html in parts.html.items()}, **parts.lists}
        query = [("page", page.name), *visit.view.params]
        return await self.page(visit, f"{page.name}.html", parts=shown, stream=query, **values)

    def sign_notice(self, notice: Notice) -> str:
        """Return a notice as the value of a cookie."""
        until_s = self.features.now_ms() / 1000 + _NOTICE_S
        made = [notice.text[:400], notice.kind, notice.undo, [d[:200] for d in notice.details[:5]]]
        return self.signer.sign_until("notice", made, until_s=until_s)

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


def html_response(html: str, status: int = 200) -> Response:
    """Return a page."""
    body = html.encode("utf-8", "replace")
    return Response(body, status, content_type="text/html; charset=utf-8")
