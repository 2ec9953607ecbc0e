"""The pages that are shown in place of a recording, in the language of the browser.

Holds only the English texts that replace missing ones. Source: config/locales/*.yml, whose
structure is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Mapping

import quart

from appliance.http.messages import Headers
from appliance.http.page import render_page
from appliance.http.quart_app import to_quart
from appliance.recordings.playback.rules import best_language

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
    """Renders the page for the current request."""

    def __init__(self, locale: str, texts: Mapping[str, Texts]) -> None:
        """`locale`: of browsers that want no language that `texts` has."""
        self._locale = locale
        self._texts = texts

    def not_found(self) -> quart.Response:
        """Return the page for what does not exist, or may not be seen."""
        return self._render(404, "recording_not_found")

    def unavailable(self) -> quart.Response:
        """Return the page for what cannot be read at the moment."""
        return self._render(503, "recordings_unavailable", _RETRY)

    def _render(self, status: int, name: str, more: Headers = ()) -> quart.Response:
        wanted = [tag for tag, quality in quart.request.accept_languages if quality > 0]
        language = best_language(wanted, self._texts, self._locale)
        given, default = self._texts.get(language, {}).get(name, {}), FALLBACK[name]
        title, info = (given.get(key) or default[key] for key in ("title", "info"))
        return to_quart(render_page(status, language, title, info, headers=more))
