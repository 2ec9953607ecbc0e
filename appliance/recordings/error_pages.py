"""The pages that are shown in place of a recording, in the language of the appliance.

Holds only the English texts that replace missing ones. Source: config/locales/*.yml, whose
structure is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from quart import Response

from appliance.http.content_types import HTML

Texts = Mapping[str, Mapping[str, str]]
"""`{"recording_not_found": {"title": …, "info": …}, …}`."""

FALLBACK: Texts = {
    "recording_not_found": {
        "title": "Recording Not Found",
        "info": "The recording does not exist, or you may not see it.",
    },
    "recordings_unavailable": {
        "title": "Recordings Not Available",
        "info": "Recordings cannot be played at the moment. Please try again later.",
    },
}

_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 20vh auto 0; max-width: 32rem;
  padding: 0 1rem; text-align: center; color: #222; background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1b1b1b; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{info}</p>
</body>
</html>
"""
_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}


class ErrorPages:
    """Pages in one language, rendered once."""

    def __init__(self, locale: str, texts: Texts) -> None:
        self._not_found = _render(locale, "recording_not_found", texts)
        self._unavailable = _render(locale, "recordings_unavailable", texts)

    def not_found(self) -> Response:
        """Return the page for what does not exist, or may not be seen."""
        return Response(self._not_found, 404, _HEADERS, content_type=HTML)

    def unavailable(self) -> Response:
        """Return the page for what cannot be read at the moment."""
        headers = {**_HEADERS, "retry-after": "10"}
        return Response(self._unavailable, 503, headers, content_type=HTML)


def _render(locale: str, name: str, texts: Texts) -> bytes:
    given, fallback = texts.get(name, {}), FALLBACK[name]
    title, info = (escape(given.get(key) or fallback[key]) for key in ("title", "info"))
    page = _PAGE.format(lang=escape(locale.replace("_", "-")), title=title, info=info)
    return page.encode("utf-8", "replace")
