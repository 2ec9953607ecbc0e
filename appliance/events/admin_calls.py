"""The admin calls `getEvents` and `followEvents`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import Count, Fields, limit
from appliance.events.journal import KEPT, Event, EventJournal
from appliance.events.texts import Kind


class EventsRequest(Fields, frozen=True):
    """getEvents."""

    limit: Annotated[int, limit(default=100, maximum=KEPT)] = 100
    since_ms: Annotated[Count, Meta(description="Only from then on: ms since the epoch.")] = 0


class FollowRequest(Fields, frozen=True):
    """followEvents."""

    limit: Count = 0
    """How many old ones come first."""
    since_ms: Count = 0


class EventJson(Answer, frozen=True):
    """An event."""

    id: str
    time: Annotated[str, Meta(description="ISO 8601, UTC.")]
    time_ms: int
    kind: Annotated[Kind, Meta(description="What it is about; `access`: calls that were refused.")]
    level: Annotated[str, Meta(description="`info`, `warning`, or `error`: an operator must act.")]
    event: Annotated[str, Meta(description="Its name in the log.")]
    text: str
    appliance: Annotated[str, Meta(description="Host name of the appliance that reports it.")]
    fields: Annotated[dict[str, Any], Meta(description="Those of the log line.")]


class EventsJson(Answer, frozen=True):
    """getEvents."""

    events: Annotated[list[EventJson], Meta(description="The oldest first.")]


def render_event(event: Event) -> EventJson:
    """Return an event as the calls answer it."""
    return EventJson(time=event.time, **asdict(event))


async def _get_events(journal: EventJournal, call: Call[EventsRequest]) -> EventsJson:
    request = call.read()
    found = await journal.recent(request.limit, since_ms=request.since_ms)
    return EventsJson([render_event(event) for event in found])


async def _follow_events(
    journal: EventJournal, call: Call[FollowRequest]
) -> AsyncIterator[list[EventJson]]:
    request = call.read()

    async def render() -> AsyncIterator[list[EventJson]]:
        count = min(request.limit, KEPT)
        async with aclosing(journal.follow(count, since_ms=request.since_ms)) as batches:
            async for batch in batches:
                yield [render_event(event) for event in batch]

    return render()


_EXAMPLE = EventJson(
    id="5c1d09ab-17",
    time="2026-11-25T10:40:07.112Z",
    time_ms=1_764_067_207_112,
    kind="server",
    level="warning",
    event="server_offline",
    text="bbb1 is offline; it had 2 meetings: connection refused",
    appliance="lb1",
    fields={"server": "bbb1", "reason": "connection refused", "detached_meetings": 2},
)

EVENT_CALLS: tuple[AdminCall[EventJournal], ...] = (
    AdminCall(
        name="getEvents",
        method="GET",
        handler=_get_events,
        group="pool",
        summary=(
            "Returns what happened recently on all appliances: states of servers, moves, "
            "imports, refused calls, changes by operators."
        ),
        example=EventsJson([_EXAMPLE]),
        request={"limit": "100", "since_ms": "1764067200000"},
        role=Role.VIEWER,
    ),
    AdminCall(
        name="followEvents",
        method="GET",
        handler=_follow_events,
        group="pool",
        summary=(
            "Streams events, one JSON object a line, until the client leaves; an empty "
            "line every 15 s shows that the connection lives."
        ),
        example=_EXAMPLE,
        local=True,
        role=Role.VIEWER,
    ),
)
