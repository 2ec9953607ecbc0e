"""The error that ends a request which the application cannot read."""

from __future__ import annotations


class HttpError(Exception):
    """Ends a request with an HTTP status; each application renders it as its clients expect.

    Raised here for a body that is too large (413) or does not arrive in time (408).
    """

    def __init__(self, status: int, reason: str) -> None:
        """`reason` is shown to the client."""
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason
