"""Lets a Quart-Trio application run correctly under hypercorn.trio.

After the last byte of a response Hypercorn queues `http.disconnect` and, in the same task, prepares
the connection for the next request. Quart-Trio reacts to that message by cancelling its nursery,
and with it that very task: connections are then never closed and never time out.
Needed for correctness, so it cannot be switched off. It uses ASGI only.
Seen in Hypercorn 0.17.3 and 0.18 with Quart-Trio 0.12 and 0.13 (docs/architecture.md).
"""

from __future__ import annotations

import trio
from quart.wrappers import base

from appliance.http.messages import AsgiApp, Message, Receive, Scope, Send

CLIENT_GONE: tuple[type[Exception], ...] = tuple(
    error for error in (getattr(base, "ClientDisconnectedError", None),) if error is not None
)
"""Raised by Quart 0.21 and later when a client goes away; 0.20 has no such error."""


class QuartShim:
    """Wraps the application; scopes other than HTTP requests pass through unchanged."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
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
        except* CLIENT_GONE:
            pass  # there is no client to respond to, and nothing to log
