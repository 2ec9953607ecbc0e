"""The requests of the admin calls about servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from appliance.admin_calls.call import ID_MISSING
from appliance.admin_calls.fields import (
    FLAG_VALUES,
    BadRequest,
    Fields,
    Flag,
    OptionalNumber,
    OptionalText,
    OptionalWhole,
    Text,
    flag,
    nested,
    one_of,
    reads,
    text,
    whole,
)
from appliance.admin_calls.refusal import no_server
from appliance.model import ServerState
from appliance.servers.values import MAX_LIMIT, MAX_PORT, NewServer, ServerChange

STATES = {
    "enable": ServerState.ENABLED,
    "cordon": ServerState.CORDONED,
    "disable": ServerState.DISABLED,
}
"""Scalelite's words in updateServer."""


def _read_id(fields: Mapping[str, Any], name: str) -> str:
    found = text(fields, name) or text(nested(fields, "server"), name)
    if not found:
        raise no_server(ID_MISSING)
    return found


def _read_flag(fields: Mapping[str, Any], name: str) -> bool:
    return flag({**fields, **nested(fields, "server")}, name)


IdField = Annotated[
    str, Meta(min_length=1, description="The id, as the lists show it."), reads(_read_id)
]
"""May stand beside or inside `server`."""
FlagField = Annotated[bool, reads(_read_flag, FLAG_VALUES)]
"""May stand beside or inside `server`."""
MultiplierField = Annotated[
    OptionalNumber, Meta(description="Greater than 0; a server with 2 counts each user twice.")
]
TagField = Annotated[
    OptionalText, Meta(description="The tag that meta_server-tag requests; empty: none.")
]
MaximumField = Annotated[
    OptionalWhole,
    Meta(description="0: no limit."),
    reads(whole, {"minimum": 0, "maximum": MAX_LIMIT}),
]

DialInField = Annotated[
    OptionalText,
    Meta(description="Template of dial strings (docs/dial-in.md); empty: FSAPI_BRIDGE."),
]
PortField = Annotated[
    OptionalWhole,
    Meta(description="The port for dial-in; 0: 5060."),
    reads(whole, {"minimum": 0, "maximum": MAX_PORT}),
]


class ServerIdRequest(Fields, frozen=True):
    """A call about one server."""

    id: IdField


class ValueFields(Fields, frozen=True, kw_only=True):
    """Values that a server has unless it is given others."""

    load_multiplier: MultiplierField = None
    tag: TagField = None
    max_meetings: MaximumField = None
    max_users: MaximumField = None
    dial_in: DialInField = None
    dial_in_port: PortField = None


class NewServerFields(ValueFields, frozen=True):
    """A server to be added."""

    url: Annotated[Text, Meta(min_length=1, description="Its API endpoint, http or https.")]
    secret: Annotated[
        Text, Meta(min_length=1, description="Its secret, as `bbb-conf --secret` shows it.")
    ]
    id: Annotated[OptionalText, Meta(description="Default: a new one.")] = None

    def parse(self) -> NewServer:
        """Return the server. Raises BadRequest."""
        if not self.url or not self.secret:
            raise BadRequest("Server needs a URL and a secret")
        # Scalelite takes a load multiplier of 0 for "not given" here, and only here.
        return NewServer(**{name: value for name, value in asdict(self).items() if value})


class AddServerRequest(Fields, frozen=True):
    """addServer."""

    server: NewServerFields


class ServerChangeFields(ValueFields, frozen=True):
    """Changes of a server; an empty field leaves a value as it is, except tag and dial_in."""

    state: Annotated[str | None, one_of(*STATES, refusal="Invalid state parameter: {}")] = None
    url: Annotated[OptionalText, Meta(description="Its API endpoint, http or https.")] = None
    secret: OptionalText = None

    def parse(self) -> ServerChange:
        """Return the change of the values; the state is another step."""
        values = {name: value for name, value in asdict(self).items() if name != "state"}
        return ServerChange(**{**values, "url": self.url or None, "secret": self.secret or None})


class UpdateServerRequest(Fields, frozen=True):
    """updateServer."""

    id: IdField
    server: ServerChangeFields = msgspec.field(default_factory=ServerChangeFields)


class DeleteServerRequest(Fields, frozen=True):
    """deleteServer."""

    id: IdField
    force: Annotated[Flag, Meta(description="Forget its meetings, which run on.")] = False


class PanicServerRequest(Fields, frozen=True):
    """panicServer."""

    id: IdField
    keep_state: Annotated[FlagField, Meta(description="Do not disable it.")] = False
    skip_end_calls: Annotated[FlagField, Meta(description="Only forget the meetings.")] = False


class DisableServerRequest(Fields, frozen=True):
    """disableServer."""

    id: IdField
    confirmed: Flag = False
