"""What can go wrong outside, in the words that the operations decide by.

Adapters translate every foreign error into one of these; operations turn them into answers.
A type exists only where a caller treats it differently.
"""

from __future__ import annotations

from appliance.model import ServerId


class StoreDown(Exception):
    """The meeting store (Redis) cannot be used now. `str()` is safe to log."""


class DatabaseDown(Exception):
    """The recording store (PostgreSQL) cannot be used now. `str()` is safe to log."""


class CallFailed(Exception):
    """A callback got no answer that says anything. `str()` is safe to log."""


class CallRefused(Exception):
    """A callback that must not be made, for its URL or its address. `str()` is safe to log."""


class BbbError(Exception):
    """A call to a BBB server gave no usable answer. `str()` is safe to log.

    `body_started` says whether any byte of a streamed request body was taken from its source,
    so whether the same request can still be made to another server.
    """

    def __init__(self, server_id: ServerId, reason: str, *, body_started: bool = False) -> None:
        super().__init__(f"{server_id}: {reason}")
        self.server_id = server_id
        self.reason = reason
        self.body_started = body_started


class NotSent(BbbError):
    """The server has seen no byte of the request: refused, not connected in time, DNS, TLS."""


class Ambiguous(BbbError):
    """Nobody knows what the server did: no answer in time, connection lost, 504."""


class ServerFault(BbbError):
    """An answer came and cannot be used; `status` is its HTTP status."""

    def __init__(
        self, server_id: ServerId, reason: str, *, status: int, body_started: bool = False
    ) -> None:
        super().__init__(server_id, reason, body_started=body_started)
        self.status = status

    @property
    def refused_by_server(self) -> bool:
        """Whether the server itself failed (5xx), so that another one may do better."""
        return 500 <= self.status < 600
