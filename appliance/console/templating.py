"""The templates of the console with what they may call, and its static files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from appliance import __version__
from appliance.admin_calls.actors import Role
from appliance.console.charts import draw_bar, draw_day, draw_skyline, draw_sparkline
from appliance.console.sign_in import SignedInViewer
from appliance.console.texts import ENGLISH, Texts

HOME = Path(__file__).parent
PREFIX = "/scalelite"


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


def read_assets() -> dict[str, Asset]:
    """Return the static files by name."""
    return {
        path.name: Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted((HOME / "static").iterdir())
        if path.suffix in _TYPES
    }


def make_environment(assets: Mapping[str, Asset]) -> Environment:
    """Return the environment of the templates."""
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
        translate=_translate,
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


_COMMAND = re.compile("`([^`]+)`")


def _translate(texts: Texts, text: str) -> Markup:
    """Return a text of the appliance in the viewer's language, else marked as English."""
    translated = texts.translate(text)
    shown = Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(translated))))
    if translated == text and texts.language != ENGLISH:
        return Markup(f'<span lang="{ENGLISH}">{shown}</span>')
    return shown


_PAGES = (
    ("overview", "Overview", "/scalelite/", Role.VIEWER, False),
    ("servers", "Servers", "/scalelite/servers", Role.VIEWER, False),
    ("meetings", "Meetings", "/scalelite/meetings", Role.VIEWER, True),
    ("recordings", "Recordings", "/scalelite/recordings", Role.VIEWER, True),
    ("tenants", "Tenants", "/scalelite/tenants", Role.VIEWER, True),
    ("limits", "Limits", "/scalelite/limits", Role.VIEWER, False),
    ("callbacks", "Callbacks", "/scalelite/callbacks", Role.VIEWER, False),
    ("audit", "Audit", "/scalelite/audit", Role.VIEWER, False),
    ("doctor", "Doctor", "/scalelite/doctor", Role.VIEWER, False),
    ("what-if", "What if", "/scalelite/what-if", Role.VIEWER, False),
)


def _navigation(viewer: SignedInViewer, multitenancy: bool) -> list[tuple[str, str, str]]:
    """Return the pages that a viewer may see: name, title, address."""
    return [
        (name, title, href)
        for name, title, href, role, for_tenants in _PAGES
        if viewer.may(role)
        and (for_tenants or viewer.token.tenant_id is None)
        and name != ("limits" if multitenancy else "tenants")
    ]
