"""Who makes a change, in the words that the log shows (`by=...`).

Also names the ASGI scope's key under which the control listener tells the routes who is connected.
"""

from __future__ import annotations

SCOPE_KEY = "appliance.actor"
UNKNOWN = "unknown"
_MAX_ADDRESS = 64
"""It may be what a proxy wrote; longer no address is."""


def local_actor(uid: int, user_name: str | None) -> str:
    """Return who is connected to the control socket; None: the uid has no name here."""
    return f"uid {uid}" if user_name is None else f"uid {uid} ({user_name})"


def remote_actor(address: str) -> str:
    """Return who made a signed request over HTTP, as far as it is known: whence it came."""
    return f"address {address[:_MAX_ADDRESS] or UNKNOWN}"
