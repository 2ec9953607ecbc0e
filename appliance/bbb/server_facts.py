"""Inspect a BigBlueButton server: does it answer, is the secret right, which time is its clock?

Judges nothing: doctor and takeover do. The index call, which is not signed, returns the version
and, as every HTTP response, the Date; a signed call without effect tests the secret.
Source: BigBlueButton API reference; RFC 9110, section 6.6.1 (Date).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
import trio

from appliance.bbb.client import BbbClient
from appliance.bbb.xml import MalformedAnswer, parse_version
from appliance.faults import BbbError
from appliance.http.client.dial import parse_origin
from appliance.http.client.message import Headers
from appliance.http.client.pool import ExchangeLimits, PoolTransport
from appliance.model import Target

ASK_S = 5.0
_MAX_BYTES = 64 * 1024
_NO_MEETING = (("meetingID", "scalelite-appliance-doctor"),)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """State of a BigBlueButton server."""

    failure: str = ""
    """Why it gave no usable answer; empty: it did."""
    secret_refused: bool = False
    version: str | None = None
    skew_s: float | None = None
    """Its Date minus the time of this host; None: no Date header."""


class ServerFactFinder:
    """Inspects servers over the connection pool of the appliance."""

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
        """Inspect one server; every failure is a fact."""
        try:
            with trio.fail_after(self._ask_s):
                version, skew_s = await self._ask_index(target)
                answer = await self._bbb.call(target, "isMeetingRunning", _NO_MEETING)
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
        limits = ExchangeLimits(self._ask_s, self._ask_s, _MAX_BYTES)
        began_ms = self._now_ms()
        answer = await self._pool.exchange(parse_origin(url), "GET", path, limits)
        local_s = (began_ms + self._now_ms()) / 2000
        if answer.status != 200:
            raise MalformedAnswer(f"HTTP status {answer.status}")
        return parse_version(answer.body), read_skew_s(answer.headers, local_s)


def read_skew_s(headers: Headers, local_s: float) -> float | None:
    """Return how far the Date of a response is ahead of the local time; None: no Date."""
    for name, value in headers:
        if name == b"date":
            try:
                date = parsedate_to_datetime(value.decode("ascii"))
            except (ValueError, UnicodeDecodeError):
                return None
            if date.tzinfo is None:
                date = date.replace(tzinfo=UTC)
            # The header counts whole seconds: on average half of one has passed.
            return date.timestamp() + 0.5 - local_s
    return None
