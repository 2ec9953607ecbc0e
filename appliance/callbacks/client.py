"""Calls the receivers of callbacks: one request, its status, nothing else of the answer.

Holds no rule about what a status means. Receivers are chosen by front-ends, so nothing of theirs is
trusted: answers are read to a limit and thrown away, in limited time; redirects are followed on the
same host only; connections go to the very address that was judged.
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
"""Read, so that a receiver is not cut off while it answers; what is longer is cut off."""
MAX_REDIRECTS = 3
MAX_PER_RECEIVER = 8
IDLE_S = 5.0
_USER_AGENT = {"User-Agent": "scalelite-appliance"}


def open_callback_pool(*, block_private: bool) -> PoolTransport:
    """Return the connections to receivers: the system's CAs, and CALLBACK_BLOCK_PRIVATE."""
    allows: Callable[[str], bool] | None = is_public_address if block_private else None
    return PoolTransport(
        open_ssl_context(), max_per_origin=MAX_PER_RECEIVER, idle_s=IDLE_S, allows=allows
    )


class CallbackClient:
    """Makes calls through one pool."""

    def __init__(
        self, pool: PoolTransport, *, connect_timeout_s: float, response_timeout_s: float
    ) -> None:
        self._pool = pool
        self._connect_s = connect_timeout_s
        self._response_s = response_timeout_s

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Make one call, with the redirects that may be followed, and return the status.

        Raises CallFailed: no answer in time; CallRefused: the URL or its address may not be called.
        """
        refusal = refusal_of_url(url)
        if refusal is not None:
            raise CallRefused(refusal)
        limit_s = self._connect_s + 2 * self._response_s
        with trio.move_on_after(limit_s) as patience:
            status = await self._follow(method, url, {**_USER_AGENT, **headers}, body)
        if patience.cancelled_caught:
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
        """Return the status and where it redirects to."""
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
            # The chain is cut: it may hold what h11 or the system quote of the request.
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
        """Read the body, within the limits; the status has said all there is to know."""
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
