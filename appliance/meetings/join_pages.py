"""The pages for people whose join fails, in their language. Source: config/locales/*.yml."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.bbb.errors import LIMIT_REACHED, Failure
from appliance.http.messages import Response
from appliance.http.page import render_page
from appliance.meetings.join_failure import RETRY_S, WAITING_KEYS, choose_language

Texts = Mapping[str, Mapping[str, str]]

FALLBACK: Texts = {
    "join_not_started": {
        "title": "The meeting has not started yet",
        "info": "You will be taken to it as soon as it starts. You can leave this page open.",
        "action": "Try again now",
    },
    "join_moving": {
        "title": "The meeting is not available at the moment",
        "info": "Its server may be in the process of being replaced. This page tries again by "
        "itself and takes you to the meeting as soon as possible.",
        "action": "Try again now",
    },
    "join_full": {
        "title": "This meeting is full",
        "info": "The maximum number of people is reached. You can try again when someone has left.",
        "action": "Try again",
    },
    "join_all_full": {
        "title": "The maximum number of people is reached",
        "info": "No more people can be in meetings at the same time. You can try again when "
        "someone has left.",
        "action": "Try again",
    },
    "join_refused": {
        "title": "You cannot join this meeting",
        "info": "Please open the meeting again from where you found the link.",
        "action": "Try again",
    },
}
"""English texts that replace missing ones."""
_PAGES = {"notFound": "join_not_started", "userLimitReached": "join_full"}


class JoinPages:
    """Renders the page of a failure."""

    def __init__(self, texts: Mapping[str, Texts], default_language: str) -> None:
        self._texts = texts
        self._default = default_language

    def render(self, failure: Failure, accept_language: str) -> Response:
        """Return the page of a failure in the best language for a visitor."""
        language = choose_language(accept_language, ("en", *self._texts), self._default)
        waits = failure.key in WAITING_KEYS
        refused = "join_moving" if waits else "join_refused"
        name = _PAGES.get(failure.key, refused)
        if failure == LIMIT_REACHED["max_users"]:  # of all meetings of a tenant
            name = "join_all_full"
        given, default = self._texts.get(language, {}).get(name, {}), FALLBACK[name]
        title, info, action = (
            given.get(key) or default[key] for key in ("title", "info", "action")
        )
        return render_page(
            200, language, title, info, action=action, refresh_s=RETRY_S if waits else None
        )
