"""A call of the admin API: a row in the table of its feature (`admin_calls.py` of each).

The types of a request and of its answer are those in the signature of the handler, so they are
what mypy checks, what is read and written, and what the OpenAPI document shows.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import trio
from msgspec import Meta

from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.fields import Fields, Json, read_field, read_fields

PREFIX = "/scalelite/api"
ID_MISSING = " (id is missing)"
"""Follows `id=` in the refusal of a request without id, which Scalelite answers with 404."""

SHORT_S = 15.0
LONG_S = 600.0
"""For calls that ask many servers, some of which may be dead. ctl waits longer than each
of the two, so that it shows the answer (ctl/client.py)."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of an answer. Its class is called `…Json`; the document omits that suffix."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Time = Annotated[str | None, Meta(description="In UTC, as 2026-11-25T10:40:07Z.")]


def time_json(ms: int | None) -> str | None:
    """Render milliseconds since the epoch as `2026-11-25T10:40:07Z`."""
    if ms is None:
        return None
    return f"{_EPOCH + timedelta(seconds=ms // 1000):%Y-%m-%dT%H:%M:%SZ}"


Request = TypeVar("Request", bound=Fields, covariant=True)
Deps = TypeVar("Deps")


@dataclass(frozen=True, slots=True)
class Call(Generic[Request]):
    """One request: who makes it, and its fields from query and body."""

    actor: Actor
    fields: Json
    request_type: type[Request]
    file: int | None = None
    """Descriptor of a file that the client has passed; closed after the call."""

    @property
    def who(self) -> str:
        """Return who makes the call, for the log."""
        return self.actor.who

    def read(self) -> Request:
        """Read the request. Raises BadRequest, Refused."""
        return read_fields(self.request_type, self.fields)

    def read_id(self) -> str:
        """Read `id` alone. Raises as `read`.

        Scalelite answers an unknown id before it looks at the other fields.
        """
        found: str = read_field(self.request_type, self.fields, "id")
        return found


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An object at one moment, for the audit trail."""

    name: str
    """As the trail shows it: `server ID (bbb1.example.org)`."""
    values: Mapping[str, Any]
    """The values that can be changed. The trail hides secrets, which their names tell."""


@dataclass(frozen=True, slots=True)
class Audited(Generic[Deps]):
    """The objects of a call that the audit trail shows."""

    read: Callable[[Deps, Call[Any], Any], Awaitable[Mapping[str, Snapshot]]]
    """Returns the objects that the call is about, by their ids; missing ones are left out. It is
    called before the call, with None as answer, and after it, with the answer or None. The fields
    of the call have not been checked."""
    unchanged: bool = True
    """Whether to record the call although it changed nothing."""
    shows_fields: bool = True
    """Whether to record the fields of a request of which nothing better is known."""


@dataclass(frozen=True, slots=True)
class AdminCall(Generic[Deps]):
    """The declaration of a call."""

    name: str
    method: Literal["GET", "POST", "PUT"]
    handler: Callable[[Deps, Call[Any]], Awaitable[Any]]
    """Takes the dependencies of its feature and `call: Call[request type]`."""
    group: str
    """Heading under which the call is documented."""
    summary: str
    example: Any
    """An answer."""
    role: Role = field(kw_only=True)
    """The lowest role that may make it; with secrets in the answer, those of type Secret are hidden
    from all but admins."""
    of_tenants: bool = field(kw_only=True, default=False)
    """Whether a tenant's token may make it: then the handler sees and changes only what belongs to
    `call.actor.tenant_id`."""
    request: Mapping[str, Any] = field(kw_only=True, default_factory=dict)
    """The fields of an example: parameters of a GET, body of a POST."""
    status: int = field(kw_only=True, default=200)
    """Of the answer."""
    known_status: int | None = field(kw_only=True, default=None)
    """Of an answer whose field `new` is false."""
    refusals: Mapping[int, str] = field(kw_only=True, default_factory=dict)
    """Other statuses and their meaning, besides those that every call may have."""
    logs: str = field(kw_only=True, default="")
    """The event that records the change and who made it; empty: the call changes nothing. The audit
    trail records every call that has one."""
    audited: Audited[Deps] | None = field(kw_only=True, default=None)
    """None: the trail shows the fields of the request."""
    deadline_s: float = field(kw_only=True, default=SHORT_S)
    csv: Callable[[Any, Json], str] | None = field(kw_only=True, default=None)
    """Renders the answer to a request with `format=csv`, of which it gets the fields."""
    local: bool = field(kw_only=True, default=False)
    """Only on the control socket: for an operator of this machine, or it refers to a file there."""

    def status_of(self, answer: Any) -> int:
        """Return the status of an answer."""
        if self.known_status is not None and not answer.new:
            return self.known_status
        return self.status

    @property
    def request_type(self) -> type[Fields]:
        """Return the type of its fields."""
        (found,) = typing.get_args(self._hints["call"])
        kind: type[Fields] = found
        return kind

    @property
    def answer_type(self) -> Any:
        """Return the type of its answer."""
        return self._hints["return"]

    @property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self.handler, include_extras=True)

    def bind(self, deps: Deps) -> BoundAdminCall:
        """Return the call with the dependencies of its feature."""
        request_type = self.request_type

        async def run(actor: Actor, fields: Json, file: int | None = None) -> Any:
            with trio.fail_after(self.deadline_s):
                return await self.handler(deps, Call(actor, fields, request_type, file))

        async def observe(actor: Actor, fields: Json, answer: Any) -> Mapping[str, Snapshot]:
            if self.audited is None:
                return {}
            return await self.audited.read(deps, Call(actor, fields, request_type), answer)

        return BoundAdminCall(self, run, observe)


@dataclass(frozen=True, slots=True)
class BoundAdminCall:
    """A call that can be made."""

    declaration: AdminCall[Any]
    run: Callable[..., Awaitable[Any]]
    """Takes the actor, the fields, and the descriptor of a passed file or None.

    Raises BadRequest, Refused, ErrorAnswer, StoreDown, DatabaseDown; trio.TooSlowError after the
    deadline.
    """
    observe: Callable[[Actor, Json, Any], Awaitable[Mapping[str, Snapshot]]]
    """Takes the actor, the fields and the answer or None; see Audited. Raises anything."""
