"""The appliance's own page for recordings of the format presentation, without BBB's player.

The page holds what the database knows of the recording; everything else it reads by script from the
recording's files, with the rights that the viewer has there (static/plain_page.js). Its texts are
English, translated by the section `playback` of config/locales/*.yml.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from quart import Response
from werkzeug.datastructures import LanguageAccept

from appliance.http.content_types import HTML, content_type_of
from appliance.http.page_texts import load_texts
from appliance.log import Log
from appliance.recordings.playback.rules import best_language
from appliance.recordings.recording import Recording
from appliance.settings import Settings
from appliance.settings.model import S3Settings

PLAIN_FORMAT = "presentation"
PLAIN_PAGE = "playback.html"
"""Its name below the recording's files, where the cookie of a protected one is sent."""
ASSETS = "plain"
"""Its script and style sheet are below /playback/plain/."""

_HOME = Path(__file__).parent
_ENGLISH = "en"


@dataclass(frozen=True)
class _Loaded:
    """The parts of every page, read once."""

    template: Template
    assets: Mapping[str, bytes]
    texts: Mapping[str, Mapping[str, str]]


class PlainPage:
    """Renders the page of a recording."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log

    def render(self, recording: Recording, languages: LanguageAccept) -> Response:
        """Return the page in the language that a browser likes best."""
        texts = self._loaded.texts
        # Not `best_match`, which takes en, not de, for "de-AT, en;q=0.5".
        wanted = [tag for tag, quality in languages if quality > 0]
        known = [name for name, words in texts.items() if words]
        language = best_language(wanted, known, self._settings.locale)
        words = texts[language]
        began = _began(recording.start_ms)
        page = self._loaded.template.render(
            language=language,
            t=lambda text: words.get(text, text),
            title=recording.name or words.get("Recording", "Recording"),
            titled="yes" if recording.name else "",
            began="" if began is None else began.isoformat(),
            began_text="" if began is None else f"{began:%Y-%m-%d %H:%M} UTC",
            files=f"/{PLAIN_FORMAT}/{quote(recording.record_id)}/",
        )
        response = Response(page, content_type=HTML)
        response.headers["cache-control"] = "private, no-cache"
        response.headers["vary"] = "accept-language"
        response.headers["content-security-policy"] = self._policy
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "same-origin"
        return response

    def asset(self, names: tuple[str, ...]) -> Response | None:
        """Return the script or the style sheet; None: it is no file of the page."""
        content = self._loaded.assets.get("/".join(names))
        if content is None:
            return None
        response = Response(content, content_type=content_type_of(names[-1]))
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        response.headers["x-content-type-options"] = "nosniff"
        return response

    @cached_property
    def _loaded(self) -> _Loaded:
        assets = {path.name: path.read_bytes() for path in sorted((_HOME / "static").iterdir())}
        environment = Environment(
            loader=FileSystemLoader(_HOME / "templates"),
            autoescape=True,
            auto_reload=False,
            trim_blocks=True,
            undefined=StrictUndefined,
        )
        environment.globals["asset"] = lambda name: (
            f"/playback/{ASSETS}/{name}?v={hashlib.sha256(assets[name]).hexdigest()[:16]}"
        )
        texts = {_ENGLISH: {}, **load_texts("playback", self._log)}
        return _Loaded(environment.get_template("plain_page.html"), assets, texts)

    @cached_property
    def _policy(self) -> str:
        """Return the page's Content-Security-Policy. It may be shown in a frame of a front-end."""
        origins = " ".join(("'self'", *media_origins(self._settings.s3)))
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none';"
            f" form-action 'none'; img-src data: {origins}; media-src blob: {origins};"
            f" connect-src {origins}"
        )


def media_origins(s3: S3Settings) -> tuple[str, ...]:
    """Return where browsers are sent for files of recordings, besides the appliance."""
    if not s3.enabled:
        return ()
    url = s3.cloudfront_url if s3.serve == "cloudfront" else s3.endpoint_url
    if url is None:
        return ("https://*.amazonaws.com", "https://*.amazonaws.com.cn")
    parts = urlsplit(url)
    here = f"{parts.scheme}://{parts.netloc}"
    if s3.serve == "cloudfront" or s3.bucket is None:
        return (here,)
    # Path or virtual-hosted addresses (S3_ADDRESSING).
    return here, f"{parts.scheme}://{s3.bucket}.{parts.netloc}"


def _began(start_ms: int | None) -> datetime | None:
    try:
        return None if start_ms is None else datetime.fromtimestamp(start_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
