"""Who makes a change, in the words of the log (`by=...`), and the ASGI scope keys that say it."""

from __future__ import annotations

ACTOR_KEY = "appliance.actor"
"""Scope key: the user connected to the control socket."""
CLIENT_KEY = "appliance.client"
"""Scope key: the address of a client of the public listener, as trusted proxies report it."""
FILE_KEY = "appliance.file"
"""Scope key: returns the descriptor of a file that came over the control socket, or None."""
UNKNOWN = "unknown"
_MAX_ADDRESS = 64
"""A proxy may have written it; no address is longer."""


def local_actor(uid: int, user_name: str | None) -> str:
    """Describe the user connected to the control socket; None: the uid has no name here."""
    return f"uid {uid}" if user_name is None else f"uid {uid} ({user_name})"


def remote_actor(address: str) -> str:
    """Describe the client of a signed request, which is known by its address only."""
    return f"address {address[:_MAX_ADDRESS] or UNKNOWN}"
