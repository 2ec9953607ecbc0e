"""The meetings that a server lists, as parsed values.

There are as many as meetings in the pool, so they are types that the garbage collector does not
look at, which stops everything: they refer to nothing that could refer to them.
"""

from __future__ import annotations

import msgspec


class ListedMeeting(msgspec.Struct, frozen=True, gc=False):
    """The fields of one `<meeting>` in a getMeetings answer for load, counts and usage.

    Source: BigBlueButton API reference.
    """

    id: str
    create_time_ms: int
    participants: int
    moderators: int
    videos: int
    is_breakout: bool
    name: str = ""
    tenant_id: str | None = None
    original_id: str | None = None
    """The front-end's id, where `id` holds only its hash (tenants/scoped_id.py)."""
    voice: int = 0
    listeners: int = 0
    dial_in: int = 0
    """Callers by telephone."""
    recorded: bool = False
    """It was created with record=true."""
    origin: str = ""
    """`meta_bbb-origin`: the kind of front-end."""
    origin_server: str = ""
    """`meta_bbb-origin-server-name`: the front-end."""
    parent_id: str = ""
    """Internal id of the parent of a breakout room."""


class ReadMeeting(msgspec.Struct, frozen=True, gc=False):
    """The parsed values of a `<meeting>` element."""

    listed: ListedMeeting | None
    """None: it has no id."""
    tenant_id: str | None
