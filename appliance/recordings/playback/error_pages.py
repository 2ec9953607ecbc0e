"""The pages that are shown in place of a recording, in the language of the appliance.

Holds only the English texts that replace missing ones. Source: config/locales/*.yml, whose
structure is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Mapping

import quart

from appliance.http.messages import Headers, Response
from appliance.http.page import render_page
from appliance.http.quart_app import to_quart

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

_RETRY = ((b"retry-after", b"10"),)


class ErrorPages:
    """Pages in one language, rendered once."""

    def __init__(self, locale: str, texts: Texts) -> None:
        self._not_found = _render(404, locale, "recording_not_found", texts)
        self._unavailable = _render(503, locale, "recordings_unavailable", texts, _RETRY)

    def not_found(self) -> quart.Response:
        """Return the page for what does not exist, or may not be seen."""
        return to_quart(self._not_found)

    def unavailable(self) -> quart.Response:
        """Return the page for what cannot be read at the moment."""
        return to_quart(self._unavailable)


def _render(status: int, locale: str, name: str, texts: Texts, more: Headers = ()) -> Response:
    given, default = texts.get(name, {}), FALLBACK[name]
    title, info = (given.get(key) or default[key] for key in ("title", "info"))
    return render_page(status, locale, title, info, headers=more)
