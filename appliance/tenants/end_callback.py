"""The URL in the place of a front-end's meta_endCallbackUrl where a scoped id must be hidden.

How it is signed and answered is in callbacks/end_callback_url.py; here is how it is recognised, so
that front-ends are shown their own URL. Pure.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from appliance.bbb.params import get, parse_query

END_CALLBACK_CALL = "end_callback"
"""Name of the call, below the path of the API."""
END_CALLBACK_KEY = "endcallbackurl"
"""BBB writes the names of metadata in lower case."""

_PATH = f"/bigbluebutton/api/{END_CALLBACK_CALL}"
RELAY_URL_HINT = f"{_PATH}?"


def original_url(text: str) -> str:
    """Return the URL that the front-end gave, where this is ours in its place; else the text."""
    if not is_relay_url(text):
        return text
    query = urlsplit(text.strip()).query
    return get(parse_query(query.encode("utf-8", "surrogateescape")), "url") or text


def is_relay_url(text: str) -> bool:
    """Whether a URL is the one that the appliance put in the place of a front-end's."""
    try:
        return urlsplit(text.strip()).path == _PATH
    except ValueError:
        return False
