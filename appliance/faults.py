"""Failures of stores and servers, as the use cases distinguish them.

The clients of Redis, PostgreSQL, BBB servers and callback receivers translate every foreign error
into one of these; the use cases turn them into answers. A type exists only where a caller treats it
differently.
"""

from __future__ import annotations

from appliance.model import ServerId


class StoreDown(Exception):
    """The meeting store (Redis) cannot be used now. `str()` is safe to log.

    `sent`: the last command may have been carried out.
    """

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent


class DatabaseDown(Exception):
    """The recording store (PostgreSQL) cannot be used now. `str()` is safe to log."""


class CallFailed(Exception):
    """A callback got no usable answer. `str()` is safe to log."""


class CallRefused(Exception):
    """A callback must not be sent to this URL or address. `str()` is safe to log."""


class BbbError(Exception):
    """A call to a BBB server gave no usable answer. `str()` is safe to log.

    `body_started`: bytes of a streamed request body were taken from its source, so that the same
    request cannot be made to another server. `own_limit`: it failed for lack of descriptors, memory
    or connections of this process, which says nothing about the server.
    """

    def __init__(
        self,
        server_id: ServerId,
        reason: str,
        *,
        body_started: bool = False,
        own_limit: bool = False,
    ) -> None:
        super().__init__(f"{server_id}: {reason}")
        self.server_id = server_id
        self.reason = reason
        self.body_started = body_started
        self.own_limit = own_limit


class NotSent(BbbError):
    """The server received no byte of the request: refused, connect timeout, DNS or TLS failure."""


class Ambiguous(BbbError):
    """The server may have carried out the request: no answer in time, connection lost, 504."""


class ServerFault(BbbError):
    """The server's answer cannot be used; `status` is its HTTP status."""

    def __init__(
        self, server_id: ServerId, reason: str, *, status: int, body_started: bool = False
    ) -> None:
        super().__init__(server_id, reason, body_started=body_started)
        self.status = status

    @property
    def refused_by_server(self) -> bool:
        """Whether the server itself failed (5xx), so that another server may succeed."""
        return 500 <= self.status < 600
