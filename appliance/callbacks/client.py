"""The HTTP client for callbacks and hooks: one request, of whose answer only the status is used.

rules.py decides what a status means. Front-ends choose the receivers, so these are not trusted:
answers are read within limits of size and time and discarded, redirects are followed on the same
host only, and connections go to the address that was checked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import cast

import httpx
import trio

from appliance.callbacks.address_rules import is_public_address
from appliance.callbacks.rules import redirect_target, refusal_of_url
from appliance.faults import CallFailed, CallRefused
from appliance.http.client.dial import RefusedAddressError, open_ssl_context
from appliance.http.client.message import UnusableResponseError
from appliance.http.client.pool import PoolTransport

MAX_ANSWER_BYTES = 64 * 1024
"""Bytes of an answer that are read, so that the receiver can finish sending it."""
MAX_REDIRECTS = 3
MAX_CONNECTIONS = 8
"""To one receiver; of these the queue uses MAX_PER_RECEIVER (sender.py)."""
IDLE_S = 5.0
_USER_AGENT = {"User-Agent": "scalelite-appliance"}


def open_callback_pool(*, block_private: bool) -> PoolTransport:
    """Return a pool that trusts the system's CAs; `block_private` is CALLBACK_BLOCK_PRIVATE."""
    allows: Callable[[str], bool] | None = is_public_address if block_private else None
    return PoolTransport(
        open_ssl_context(), max_per_origin=MAX_CONNECTIONS, idle_s=IDLE_S, allows=allows
    )


class OutboundClient:
    """Calls front-ends, or the hook of an autoscaler, through one connection pool."""

    def __init__(
        self, pool: PoolTransport, *, connect_timeout_s: float, response_timeout_s: float
    ) -> None:
        self._pool = pool
        self._connect_s = connect_timeout_s
        self._response_s = response_timeout_s

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send one request, following permitted redirects, and return the status.

        Raises CallFailed: no answer in time; CallRefused: the URL or address must not be called.
        """
        refusal = refusal_of_url(url)
        if refusal is not None:
            raise CallRefused(refusal)
        limit_s = self._connect_s + 2 * self._response_s
        with trio.move_on_after(limit_s) as deadline:
            status = await self._follow(method, url, {**_USER_AGENT, **headers}, body)
        if deadline.cancelled_caught:
            raise CallFailed(f"no answer within {limit_s:g} s")
        return status

    async def _follow(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        for _ in range(MAX_REDIRECTS):
            status, location = await self._call(method, url, headers, body)
            target = redirect_target(method, url, status, location)
            if target is None:
                return status
            url = target
        return (await self._call(method, url, headers, body))[0]

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str]:
        """Return the status and the Location header."""
        try:
            request = self._request(method, url, headers, body)
            response = await self._pool.handle_async_request(request)
        except UnusableResponseError as error:
            if error.status:
                return error.status, ""
            raise CallFailed(str(error)) from None
        except (RefusedAddressError, httpx.UnsupportedProtocol) as error:
            raise CallRefused(str(error)) from None
        except httpx.InvalidURL:
            raise CallRefused("not a valid URL") from None
        except httpx.HTTPError as error:
            # The exception chain is cut, since h11 or the system may quote the request.
            raise CallFailed(str(error) or type(error).__name__) from None
        try:
            await self._drain(response)
        finally:
            await response.aclose()
        return response.status_code, response.headers.get("location", "")

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Request:
        timeouts = {"connect": self._connect_s, "read": self._response_s}
        return httpx.Request(
            method, url, headers=headers, content=body or None, extensions={"timeout": timeouts}
        )

    async def _drain(self, response: httpx.Response) -> None:
        """Read and discard the body, within the limits."""
        stream = cast(
            "AsyncGenerator[bytes]", aiter(cast("httpx.AsyncByteStream", response.stream))
        )
        size = 0
        with trio.move_on_after(self._response_s):
            try:
                async with aclosing(stream) as parts:
                    async for part in parts:
                        size += len(part)
                        if size > MAX_ANSWER_BYTES:
                            return
            except httpx.HTTPError:
                return
