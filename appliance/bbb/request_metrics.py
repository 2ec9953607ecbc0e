"""Counts requests by call and result, and logs them at debug level.

Runs for every request, so it must be cheap. The names of calls are a fixed set, so that no client
can add metrics.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from appliance.http.messages import Request
from appliance.instruments import Metrics
from appliance.log import Log

OK, REFUSED, ERROR = "ok", "refused", "error"

_HEAD_BYTES = 200
"""Enough of a response to hold its returncode and messageKey."""
_PREFIXES = (
    ("/bigbluebutton/api", "unsupported"),
    ("/scalelite/api/recordings/", "upload"),
    ("/scalelite/api/", "admin"),
    ("/scalelite", "console"),
    ("/recording/", "playback"),
    ("/playback/", "playback"),
)


class CallNames:
    """The names of calls by path."""

    def __init__(self, prefix: str, calls: Iterable[str]) -> None:
        self._names = {f"{prefix}/{name}": name for name in calls}
        self._names |= {prefix: "index", f"{prefix}/": "index", "/bigbluebutton": "index"}
        self._names["/health_check"] = "health_check"
        self._names |= {"/fsapi": "fsapi", "/fsapi/": "fsapi", "/metrics": "metrics"}
        self._names["/"] = "health_check"

    def of(self, path: str) -> str:
        """Return the name of the call; `other` is mostly files of recordings."""
        name = self._names.get(path)
        if name is not None:
            return name
        return next((name for prefix, name in _PREFIXES if path.startswith(prefix)), "other")


def result_of(status: int, body: bytes) -> str:
    """Return the result that a response reports, from its status and the beginning of its body.

    `error`: the appliance or a BBB server failed (`internalError`); `refused`: a bad request.
    """
    if status >= 500:
        return ERROR
    if status >= 400:
        return REFUSED
    head = body[:_HEAD_BYTES]
    if b"<returncode>FAILED" in head or (head[:1] == b"{" and b'"FAILED"' in head):
        return ERROR if b"internalError" in head else REFUSED
    return OK


def count_request(
    metrics: Metrics, log: Log, request: Request, began_s: float, call: str, result: str
) -> None:
    """Count a request after its response; `began_s` is on Trio's clock."""
    took_s = trio.current_time() - began_s
    metrics.requests.observe(took_s, call, result)
    ms = round(took_s * 1000, 2)
    log.debug("request", call=call, result=result, ms=ms, **request.log_fields)
