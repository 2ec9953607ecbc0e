"""Recognises the URL that replaces a front-end's meta_endCallbackUrl to hide a scoped id.

So answers show front-ends their own URL. callbacks/end_callback_url.py makes and reads the URL.
Pure.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from appliance.bbb.params import get, parse_query

END_CALLBACK_CALL = "end_callback"
"""Name of the call, below the path of the API."""
END_CALLBACK_KEY = "endcallbackurl"
"""BBB writes the names of metadata in lower case."""
END_CALLBACK_PARAM = f"meta_{END_CALLBACK_KEY}"
"""In lower case; front-ends may spell it otherwise."""

_PATH = f"/bigbluebutton/api/{END_CALLBACK_CALL}"
RELAY_URL_HINT = f"{_PATH}?"


def original_url(text: str) -> str:
    """Return the front-end's URL if `text` is the URL that replaces it, else `text`."""
    if not is_relay_url(text):
        return text
    query = urlsplit(text.strip()).query
    return get(parse_query(query.encode("utf-8", "surrogateescape")), "url") or text


def is_relay_url(text: str) -> bool:
    """Whether a URL is one by which the appliance replaces a front-end's."""
    try:
        return urlsplit(text.strip()).path == _PATH
    except ValueError:
        return False
