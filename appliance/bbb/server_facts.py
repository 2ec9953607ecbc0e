"""Collects facts about a BigBlueButton server for doctor: reachability, secret, version, clock.

The index call, which is not signed, has the version and the Date header; a signed call without
effect tests the secret. doctor/server_findings.py evaluates the facts. Source: BigBlueButton API
reference; RFC 9110 section 6.6.1 (Date).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
import trio

from appliance.bbb.client import BbbClient
from appliance.bbb.xml import MalformedAnswer, parse_version
from appliance.doctor.server_findings import ServerFacts
from appliance.faults import BbbError
from appliance.http.client_dial import parse_origin
from appliance.http.client_message import Headers
from appliance.http.client_pool import Limits, PoolTransport
from appliance.model import Target

ASK_S = 5.0
_MAX_BYTES = 64 * 1024
_UNUSED_MEETING = (("meetingID", "scalelite-appliance-doctor"),)


class ServerFactFinder:
    """Asks servers over the appliance's connection pool."""

    def __init__(
        self,
        pool: PoolTransport,
        bbb: BbbClient,
        now_ms: Callable[[], int],
        *,
        ask_s: float = ASK_S,
    ) -> None:
        self._pool = pool
        self._bbb = bbb
        self._now_ms = now_ms
        self._ask_s = ask_s

    async def read(self, target: Target) -> ServerFacts:
        """Ask one server. Never raises: a failure is a fact too."""
        try:
            with trio.fail_after(self._ask_s):
                version, skew_s = await self._ask_index(target)
                answer = await self._bbb.call(target, "isMeetingRunning", _UNUSED_MEETING)
        except trio.TooSlowError:
            return ServerFacts(failure=f"no answer within {self._ask_s:g} s")
        except BbbError as error:
            return ServerFacts(failure=error.reason)
        except (httpx.HTTPError, httpx.InvalidURL, MalformedAnswer) as error:
            return ServerFacts(failure=str(error) or type(error).__name__)
        refused = not answer.succeeded
        if refused and answer.message_key != "checksumError":
            return ServerFacts(failure=f"the server answered FAILED ({answer.message_key})")
        return ServerFacts(secret_refused=refused, version=version, skew_s=skew_s)

    async def _ask_index(self, target: Target) -> tuple[str | None, float | None]:
        url = httpx.URL(target.url)
        path = url.raw_path.partition(b"?")[0].rstrip(b"/") or b"/"
        limits = Limits(self._ask_s, self._ask_s, _MAX_BYTES)
        began_ms = self._now_ms()
        answer = await self._pool.exchange(parse_origin(url), "GET", path, limits)
        local_s = (began_ms + self._now_ms()) / 2000
        if answer.status != 200:
            raise MalformedAnswer(f"HTTP status {answer.status}")
        return parse_version(answer.body), read_skew_s(answer.headers, local_s)


def read_skew_s(headers: Headers, local_s: float) -> float | None:
    """Return by how many seconds the Date header is ahead of `local_s`; None: no valid header."""
    for name, value in headers:
        if name == b"date":
            try:
                remote = parsedate_to_datetime(value.decode("ascii"))
            except (ValueError, UnicodeDecodeError):
                return None
            if remote.tzinfo is None:
                remote = remote.replace(tzinfo=UTC)
            # The header has whole seconds; on average half a second has passed.
            return remote.timestamp() + 0.5 - local_s
    return None
