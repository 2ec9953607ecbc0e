"""The journal of events: taken from the log, shared by all appliances through a stream in Redis.

`take` runs where an event is logged, in any thread, and only remembers; a task writes to Redis once
a second. An appliance shows its own events at once, also while Redis is away, and those of the
others about a second later. Source of the commands: the Redis documentation, "Streams".
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import trio

from appliance.events.texts import Kind, describe, kind_of
from appliance.faults import StoreDown
from appliance.log import Log, tap_log
from appliance.log_line import redact
from appliance.redis.store import RedisStore
from appliance.system.tasks import supervise

KEPT = 1000
"""Events that are kept: in Redis of all appliances, in memory of this one."""
HEARTBEAT_S = 15.0
"""The longest time for which `follow` yields nothing."""
_WRITE_S = 1.0
_LOOK_S = 0.5
_LAST_WRITE_S = 1.0
_CHUNK = 100
_MAX_ITEMS = 10
_MAX_TEXT = 500
_MAX_SHOWN = 10 * KEPT
_KEY = "events"
_FIELD = "event"


class Event(msgspec.Struct, frozen=True):
    """Something that happened."""

    id: str
    """Unique among all appliances."""
    time_ms: int
    """Milliseconds since the epoch, by the clock of the appliance."""
    kind: Kind
    level: str
    """`info`: a change of state; `warning`; `error`: an operator must act."""
    event: str
    """The name in the log."""
    text: str
    appliance: str
    """Name of the host."""
    fields: dict[str, Any]

    @property
    def time(self) -> str:
        """Return the time as ISO 8601 in UTC, with milliseconds."""
        moment = datetime.fromtimestamp(self.time_ms / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def open_journal(
    redis: RedisStore, now_ms: Callable[[], int], appliance: str, log: Log
) -> AsyncIterator[EventJournal]:
    """Keep the events of this process during the block. `appliance`: the name of this host."""
    journal = EventJournal(redis, now_ms, appliance)
    async with trio.open_nursery() as nursery:
        with tap_log(journal.take):
            nursery.start_soon(supervise, "events", journal.write_forever, log)
            yield journal
        nursery.cancel_scope.cancel()


class EventJournal:
    """The last events of all appliances."""

    def __init__(self, redis: RedisStore, now_ms: Callable[[], int], appliance: str) -> None:
        """`appliance`: the name of this host."""
        self._redis = redis
        self._now_ms = now_ms
        self._appliance = appliance
        self._instance = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._own: deque[Event] = deque(maxlen=KEPT)
        self._unwritten: deque[Event] = deque(maxlen=KEPT)

    def take(self, logged: Mapping[str, Any]) -> None:
        """Keep an event of the log if operators are shown it. From any thread."""
        name, level = str(logged.get("event")), str(logged.get("level"))
        kind = kind_of(name, level, is_change="by" in logged)
        if kind is None:
            return
        fields = _clean(logged)
        event = Event(
            f"{self._instance}-{next(self._numbers)}",
            self._now_ms(),
            kind,
            level,
            name,
            describe(name, fields)[:_MAX_TEXT],
            self._appliance,
            fields,
        )
        self._own.append(event)
        self._unwritten.append(event)

    async def write_forever(self) -> None:
        """Write what was taken to Redis, until cancelled; the rest of it at the end."""
        try:
            while True:
                await trio.sleep(_WRITE_S)
                await self._write()
        finally:
            with trio.move_on_after(_LAST_WRITE_S, shield=True):
                await self._write()

    async def _write(self) -> None:
        """Write; what Redis does not take is kept for the next time."""
        while self._unwritten:
            chunk = [self._unwritten[i] for i in range(min(_CHUNK, len(self._unwritten)))]
            add = ("XADD", self._redis.own_key(_KEY), "MAXLEN", "~", KEPT, "*", _FIELD)
            try:
                await self._redis.pipeline([(*add, _encode(event)) for event in chunk])
            except StoreDown:
                return
            for event in chunk:  # others may have been pushed out meanwhile
                with suppress(ValueError):
                    self._unwritten.remove(event)

    async def recent(self, limit: int = 100, *, since_ms: int = 0) -> list[Event]:
        """Return the last events, the oldest first; while Redis is away only those of this host."""
        found = {event.id: event for event in list(self._own)}
        with suppress(StoreDown):
            key = self._redis.own_key(_KEY)
            rows = await self._redis.command("XREVRANGE", key, "+", "-", "COUNT", limit)
            found |= {event.id: event for _, event in reversed(_decode(rows))}
        later = [event for event in found.values() if event.time_ms >= since_ms]
        return sorted(later, key=lambda event: event.time_ms)[-limit:]

    async def follow(
        self, limit: int = 0, *, since_ms: int = 0
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the last events as `recent` does, then new ones until the caller stops.

        Yields a list at once, and an empty one after HEARTBEAT_S without an event.
        """
        position = await self._find_end()
        shown = {event.id for event in list(self._own)}
        first = await self.recent(limit, since_ms=since_ms) if limit else []
        shown.update(event.id for event in first)
        yielded_s = trio.current_time()
        yield first
        while True:
            await trio.sleep(_LOOK_S)
            position, others = await self._read_after(position)
            new = [event for event in (*self._own, *others) if event.id not in shown]
            shown.update(event.id for event in new)
            if len(shown) > _MAX_SHOWN:  # `position` has passed all others
                shown = {event.id for event in list(self._own)}
            if new or trio.current_time() >= yielded_s + HEARTBEAT_S:
                yielded_s = trio.current_time()
                yield sorted(new, key=lambda event: event.time_ms)

    async def _find_end(self) -> str:
        """Return the position in the stream after its last entry; empty: Redis is away."""
        with suppress(StoreDown):
            key = self._redis.own_key(_KEY)
            rows = await self._redis.command("XREVRANGE", key, "+", "-", "COUNT", 1)
            return str(rows[0][0]) if rows else "0-0"
        return ""

    async def _read_after(self, position: str) -> tuple[str, list[Event]]:
        """Return the new position and the events behind the old one."""
        if not position:
            return await self._find_end(), []
        rows: Any = []
        with suppress(StoreDown):
            key = self._redis.own_key(_KEY)
            rows = await self._redis.command("XRANGE", key, f"({position}", "+", "COUNT", KEPT)
        return (str(rows[-1][0]) if rows else position), [event for _, event in _decode(rows)]


def _clean(logged: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an event, without secrets, and shortened."""
    fields = {
        name: value
        for name, value in redact(dict(logged)).items()
        if name not in ("event", "level", "timestamp", "exc_info", "stack_info")
    }
    error = logged.get("exc_info")
    if isinstance(error, BaseException):
        fields["exception"] = redact({"exception": f"{type(error).__name__}: {error}"})["exception"]
    return {name: _shorten(value) for name, value in fields.items()}


def _shorten(value: Any) -> Any:
    if isinstance(value, str):
        # A lone surrogate, of bytes that were not UTF-8, could not be written.
        value = value.encode("utf-8", "backslashreplace").decode()
        return value if len(value) <= _MAX_TEXT else f"{value[: _MAX_TEXT - 1]}…"
    if isinstance(value, list):
        return [_shorten(item) for item in value[:_MAX_ITEMS]]
    return value


def _encode(event: Event) -> str:
    return msgspec.json.encode(event).decode()


def _decode(rows: Iterable[Any]) -> list[tuple[str, Event]]:
    """Return the entries of a stream; one that another version wrote otherwise is left out."""
    found = []
    for position, values in rows:
        with suppress(msgspec.DecodeError, IndexError):
            found.append((str(position), msgspec.json.decode(values[1], type=Event)))
    return found
