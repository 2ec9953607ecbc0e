"""Callers of admin calls and their roles, and the ASGI scope keys that name them.

`Actor.who` is the text of the log (`by=...`) and of the audit trail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.http.origin import shown_address
from appliance.model import TenantId

ACTOR_KEY = "appliance.actor"
"""Scope key: the Actor connected to the control socket."""
FILE_KEY = "appliance.file"
"""Scope key: returns the descriptor of a file that came over the control socket, or None."""


class Role(StrEnum):
    """The rights of a caller. Each role includes those before it."""

    VIEWER = "viewer"
    """Reads everything but secrets."""
    OPERATOR = "operator"
    """Also changes the states of servers, ends meetings, retries, publishes recordings."""
    ADMIN = "admin"
    """Everything, secrets included."""

    def includes(self, needed: Role) -> bool:
        """Return whether this role is enough where `needed` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """The caller of an admin call."""

    who: str
    role: Role = Role.ADMIN
    tenant_id: TenantId | None = None
    """The only tenant whose objects it sees and changes; None: the whole pool."""


def local_actor(uid: int, user_name: str | None) -> Actor:
    """Return the user connected to the control socket; None: the uid has no name here."""
    return Actor(f"uid={uid}" if user_name is None else f"uid={uid} ({user_name})")


def signed_actor(address: str) -> Actor:
    """Return the client of a signed request, which is known by its address only."""
    return Actor(f"checksum {shown_address(address)}")
