"""Lets a Quart-Trio application run correctly under hypercorn.trio.

After the last byte of a response hypercorn queues `http.disconnect` and, in the same task, makes
the connection ready for the next request. Quart-Trio answers that message by cancelling its
nursery, and so the very task that is at work: connections are then never closed or timed out.
Not to be switched off: nothing works rightly without it. It leans on ASGI, on nobody's inside.
Seen in hypercorn 0.17.3 and 0.18 with quart-trio 0.12 and 0.13 (docs/architecture.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from quart.wrappers import base

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_CLIENT_GONE: tuple[type[Exception], ...] = tuple(
    error for error in (getattr(base, "ClientDisconnectedError", None),) if error is not None
)
"""Quart 0.21 and later raise it when a client goes away; 0.20 has no such thing."""


class QuartShim:
    """Wraps the application; what is no HTTP request passes through as it is."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        finished = False

        async def send_and_watch(message: Message) -> None:
            nonlocal finished
            if message["type"] == "http.response.body" and not message.get("more_body"):
                finished = True
            await send(message)

        async def receive_unless_finished() -> Message:
            message = await receive()
            if finished and message["type"] == "http.disconnect":
                await trio.sleep_forever()  # Quart cancels this when it is done itself
            return message

        try:
            await self._app(scope, receive_unless_finished, send_and_watch)
        except* _CLIENT_GONE:
            pass  # nobody is left to answer, and it is no fault of ours
