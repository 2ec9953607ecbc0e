"""The pages that are shown in place of a recording, in the language of the appliance.

Holds only the English texts that replace missing ones. Source: config/locales/*.yml, whose
structure is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from appliance.http.messages import Headers, Response

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
_RETRY = ((b"retry-after", b"10"),)
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)


class ErrorPages:
    """Pages in one language, rendered once."""

    def __init__(self, locale: str, texts: Texts) -> None:
        self.not_found = _render(404, locale, "recording_not_found", texts)
        self.unavailable = _render(503, locale, "recordings_unavailable", texts, _RETRY)


def _render(status: int, locale: str, name: str, texts: Texts, more: Headers = ()) -> Response:
    given, default = texts.get(name, {}), FALLBACK[name]
    title, info = (escape(given.get(key) or default[key]) for key in ("title", "info"))
    page = _PAGE.format(lang=escape(locale.replace("_", "-")), title=title, info=info)
    body = page.encode("utf-8", "replace")
    return Response(status, b"text/html; charset=utf-8", body, (*_HEADERS, *more))
