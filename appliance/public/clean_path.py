"""The path of a request as it is routed: front-ends spell the same path in several ways.

Pure. Greenlight 3.0.0 to 3.0.2 and version 1.9 of the Ruby gem send `//`, others a slash at the
end, and Rails, which a Scalelite runs on, takes `.json` after the name of a call.
"""

from __future__ import annotations

import re

from appliance.admin_calls.call import PREFIX as ADMIN_PREFIX
from appliance.http.messages import Scope
from appliance.recordings.upload_routes import UPLOAD_PREFIX

_SLASHES = re.compile("//+")
_CALLS = ("/bigbluebutton/", "/scalelite/", "/health_check/", "/metrics/")
"""Paths that are the same without a slash at the end. A recording's are not: links in its pages
are relative to it."""
_JSON_CALLS = ADMIN_PREFIX + "/"
_NAMED_JSON = ADMIN_PREFIX + "/openapi.json"


def clean_scope(scope: Scope) -> Scope:
    """Return an ASGI scope of type `http` with its path cleaned."""
    path = clean_path(scope["path"])
    return scope if path == scope["path"] else {**scope, "path": path}


def clean_path(path: str) -> str:
    """Merge slashes; drop one at the end of a call, and `.json` after an admin call."""
    if not path.startswith("/"):  # `*`, or a whole URL that is not this host's
        return path
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.endswith("/") and path.startswith(_CALLS):
        path = path[:-1]
    if path.endswith(".json") and path.startswith(_JSON_CALLS) and path != _NAMED_JSON:
        return path if path.startswith(UPLOAD_PREFIX) else path.removesuffix(".json")
    return path
