"""Why an administrative operation was not done, as one exception with a reason for people.

Rendered in one place by web. Holds no HTTP status: what a kind means there is web's matter.
"""

from __future__ import annotations

from enum import StrEnum


class RefusalKind(StrEnum):
    """What a caller can do about a refusal."""

    INVALID = "invalid"
    """Give another value."""
    NOT_FOUND = "not_found"
    CONFIRMATION_NEEDED = "confirmation_needed"
    """Ask the operator, then ask again with the confirmation."""
    UNREACHABLE = "unreachable"
    """A BBB server did not answer."""


class Refused(Exception):
    """The operation was not done; `str()` is one clear line, safe to show and to log."""

    def __init__(self, kind: RefusalKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def no_server(server_id: str) -> Refused:
    """Return the refusal for an unknown server, in Scalelite's words."""
    return Refused(RefusalKind.NOT_FOUND, f"Couldn't find server with id={server_id}")


def no_meeting(meeting_id: str) -> Refused:
    """Return the refusal for an unknown meeting."""
    return Refused(RefusalKind.NOT_FOUND, f"no meeting with id {meeting_id}")


def no_tenant(tenant_id: str) -> Refused:
    """Return the refusal for an unknown tenant, in Scalelite's words."""
    return Refused(RefusalKind.NOT_FOUND, f"Couldn't find Tenant with id={tenant_id}")


def no_tenant_setting(setting_id: str) -> Refused:
    """Return the refusal for an unknown setting of a tenant, in Scalelite's words."""
    return Refused(RefusalKind.NOT_FOUND, f"Couldn't find TenantSetting with id={setting_id}")
