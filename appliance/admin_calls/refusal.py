"""Why an admin call was not done, as exceptions with a reason for the operator.

`appliance.admin.errors` turns them into answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType


class RefusalKind(StrEnum):
    """Kinds of refusals, by what a client can do about them."""

    INVALID = "invalid"
    """Give another value."""
    NOT_FOUND = "not_found"
    CONFIRMATION_NEEDED = "confirmation_needed"
    """Ask the operator, then repeat the call with the confirmation."""
    UNREACHABLE = "unreachable"
    """A BBB server did not answer."""


class ErrorJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why the call was not done."""

    error: Annotated[str, Meta(description="The reason, in one line.")]
    message: Annotated[
        str, Meta(description="The reason in Scalelite's words, where it has this field.")
    ] = ""
    kind: Annotated[
        RefusalKind | UnsetType,
        Meta(description="What can be done about it, where that is known."),
    ] = UNSET
    problems: Annotated[
        tuple[str, ...], Meta(description="All problems, one by one, where there are several.")
    ] = ()


class Refused(Exception):
    """The operation was not done; `str()` is one clear line, safe to show and to log."""

    def __init__(self, kind: RefusalKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class ErrorAnswer(Exception):
    """Ends a call with a status and a document of its own, such as one of Scalelite's."""

    def __init__(self, status: int, document: ErrorJson) -> None:
        super().__init__(document.error)
        self.status = status
        self.document = document


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
