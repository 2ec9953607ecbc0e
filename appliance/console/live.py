"""Pages that change by themselves: their parts are rendered once for all who look, and sent as they
change over Server-Sent Events.

All who look at the same view (page, parameters, language, role) share a channel, which renders the
parts at its interval and sends what has changed. Without viewers nothing is read or rendered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import trio
from markupsafe import escape

from appliance.console.history import DAY_MIN, History, PoolMinute
from appliance.console.snapshot import (
    PoolSnapshot,
    SnapshotReader,
    count_errors,
    count_refused,
)
from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features
from appliance.usage.history import read_history

SNAPSHOT_S = 1.0
PING_S = 15.0
"""An idle stream is written to this often, so that a client that has gone is noticed."""
MAX_STREAMS = 500
_APART_S, _SPREAD_S = 0.002, 0.2
"""Between the viewers of a change, each of which takes about 0.2 ms; and for all of them."""
_IDLE_S = 5.0
"""How long a channel lives on without viewers: who reloads a page comes back to it."""
_LARGE = 500
"""Smaller pools are read every second, however busy the host is."""
_SHARE = 0.05
"""Of a processor that snapshots may take, and the parts of a view: those of very large pools are
read less often."""
_LONGEST_S = 10.0


@dataclass(frozen=True, slots=True)
class ListPart:
    """The body of a table whose rows change one by one; in its order, by their keys."""

    opening: str
    closing: str
    entries: Mapping[str, str]

    def __html__(self) -> str:
        """Return the whole list, for templates."""
        return f"{self.opening}{''.join(self.entries.values())}{self.closing}"

    def rearrange(self, before: ListPart) -> str:
        """Return the whole list with an empty row, marked `data-kept`, for each unchanged entry."""
        rows = (
            f'<tr data-part="{escape(key)}" data-kept></tr>'
            if before.entries.get(key) == html
            else html
            for key, html in self.entries.items()
        )
        return f"{self.opening}{''.join(rows)}{self.closing}"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a page that change: HTML by the key that its element has in `data-part`."""

    html: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, ListPart] = field(default_factory=dict)

    def whole(self) -> dict[str, str]:
        """Return everything."""
        return {**self.html, **{key: one.__html__() for key, one in self.lists.items()}}

    def changes_since(self, before: Parts) -> dict[str, str]:
        """Return what differs; a list with the places of all entries if those have changed."""
        changed = {k: v for k, v in self.html.items() if before.html.get(k) != v}
        for key, now in self.lists.items():
            old = before.lists.get(key)
            if old is None:
                changed[key] = now.__html__()
            elif list(old.entries) != list(now.entries):
                changed[key] = now.rearrange(old)
            else:
                changed |= {k: v for k, v in now.entries.items() if old.entries[k] != v}
        return changed


Render = Callable[[PoolSnapshot], Awaitable[Parts]]


class Channel:
    """The viewers of one view."""

    def __init__(self, render: Render, interval_s: float) -> None:
        self.render = render
        self.interval_s = interval_s
        self.viewers = 0
        self.version = 0
        self.parts: Parts | None = None
        self.message = b""
        """The parts that changed with `version`."""
        self.needed = trio.Event()
        self.waiting = trio.lowlevel.ParkingLot()
        """The viewers who have everything."""
        self._whole = 0, b""

    async def publish(self, parts: Parts) -> None:
        """Take newly rendered parts; send them to the viewers if they differ."""
        before, self.parts = self.parts, parts
        changes = parts.whole() if before is None else parts.changes_since(before)
        if changes:
            self.message = encode_event("parts", changes)
            self.version += 1
            await self.wake()

    async def wake(self) -> None:
        """Wake the viewers one after the other: a call waits for the writes of one, not of all."""
        count = len(self.waiting)
        for _ in range(count):
            self.waiting.unpark()
            # The viewer writes before the pause begins, which may be over at once.
            await trio.lowlevel.checkpoint()
            await trio.sleep(min(_APART_S, _SPREAD_S / count))

    def whole(self) -> bytes:
        """Return the message with everything, for a viewer who has just come."""
        if self._whole[0] != self.version and self.parts is not None:
            self._whole = self.version, encode_event("parts", self.parts.whole())
        return self._whole[1]


class Follower:
    """One viewer of a channel."""

    def __init__(self, channel: Channel, stopping: trio.Event) -> None:
        self._channel = channel
        self._stopping = stopping
        self._version = 0
        self._sent_s = time.monotonic()

    async def next(self, wait_s: float) -> bytes:
        """Return the next message: everything first, then what changes; b"" after `wait_s`.

        A viewer that reads too slowly for every change gets everything again.
        """
        channel = self._channel
        if channel.version == self._version and not self._stopping.is_set():
            with trio.move_on_after(wait_s):
                await channel.waiting.park()
        if channel.version == self._version:
            if time.monotonic() - self._sent_s < PING_S:
                return b""
            self._sent_s = time.monotonic()
            return b": nothing has changed\n\n"
        one_behind = channel.version == self._version + 1 and self._version > 0
        self._version, self._sent_s = channel.version, time.monotonic()
        return channel.message if one_behind else channel.whole()


def encode_event(name: str, document: object) -> bytes:
    """Return a server-sent event whose data is JSON."""
    try:
        data = msgspec.json.encode(document)
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def pause_of(interval_s: float, took_s: float) -> float:
    """Return after how many seconds to do again what took so long."""
    return min(_LONGEST_S, max(interval_s, took_s / _SHARE))


class Live:
    """The snapshots, the history and the channels of one console."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.history = History()
        self.reader = SnapshotReader(features)
        self.streams = 0
        self.stopping = trio.Event()
        """Ends every stream."""
        self._channels: dict[Hashable, Channel] = {}
        self._nursery: trio.Nursery | None = None
        self._lock = trio.Lock()
        self._read_at_s: float | None = None
        self._interval_s = SNAPSHOT_S

    async def run(self) -> None:
        """Host the channels and sample the history, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._remember)
                nursery.start_soon(self._dismiss)
                await self._sample_forever()
        finally:
            self._nursery = None
            self._channels.clear()

    async def _dismiss(self) -> None:
        """End the streams when the appliance stops."""
        await self.stopping.wait()
        for channel in self._channels.values():
            channel.waiting.unpark_all()

    async def _remember(self) -> None:
        """Take the last day from the database, if it is there: a restart shows no empty chart."""
        if self.features.usage is None:
            return
        database = self.features.usage.table.database
        await database.wait_ready()
        now_ms = self.features.now_ms()
        try:
            points = await read_history(database, None, now_ms - DAY_MIN * 60_000, now_ms, 60_000)
        except DatabaseDown:
            return
        known = [
            PoolMinute(one.at_ms // 60_000, one.users, one.meetings or 0, 0.0, 0.0)
            for one in points
            if one.users is not None
        ]
        self.history.begin_with(known)

    async def _sample_forever(self) -> None:
        while True:
            try:
                servers = await self.features.pool.records.list_servers(in_background=True)
            except StoreDown:
                pass  # a gap
            else:
                self.history.add(
                    self.features.now_ms() // 60_000,
                    servers,
                    refused=count_refused(self.features),
                    errors=count_errors(self.features),
                )
            await trio.sleep(60 - self.features.now_ms() / 1000 % 60 + 0.5)

    async def snapshot(self) -> PoolSnapshot:
        """Return the snapshot of this second; only the first caller reads it."""
        async with self._lock:
            now_s = trio.current_time()
            if self._read_at_s is None or now_s - self._read_at_s >= 0.9 * self._interval_s:
                self._read_at_s = now_s  # before, since `forget` may be called meanwhile
                await self.reader.read()
                is_large = len(self.reader.last.rows) > _LARGE
                took_s = trio.current_time() - now_s if is_large else 0.0
                self._interval_s = pause_of(SNAPSHOT_S, took_s)
                self._examine()
            return self.reader.last

    def forget(self) -> None:
        """Make the next `snapshot` read the pool, after a change."""
        self._read_at_s = None

    def _examine(self) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._examine_quietly)

    async def _examine_quietly(self) -> None:
        try:
            await self.reader.examine()
        except Exception as error:
            self.features.log.error("console_examination_failed", exc_info=error)

    @contextmanager
    def watch(self, key: Hashable, render: Render, interval_s: float) -> Iterator[Channel]:
        """Join the channel of a view, which is opened for its first viewer."""
        channel = self._channels.get(key)
        if channel is None:
            channel = Channel(render, interval_s)
            if self._nursery is not None:
                self._channels[key] = channel
                self._nursery.start_soon(self._serve, key, channel)
        channel.viewers += 1
        self.streams += 1
        channel.needed.set()
        try:
            yield channel
        finally:
            channel.viewers -= 1
            self.streams -= 1

    async def _serve(self, key: Hashable, channel: Channel) -> None:
        """Render the parts of a view until it has no viewers."""
        try:
            while True:
                began_s = time.thread_time()
                try:
                    seen = await self.snapshot()
                    await trio.lowlevel.checkpoint()
                    began_s = time.thread_time()
                    await channel.publish(await channel.render(seen))
                except (StoreDown, DatabaseDown):
                    pass  # the page has what it had; the overview says why
                except Exception as error:
                    self.features.log.error("console_part_failed", exc_info=error)
                    await trio.sleep(_IDLE_S)
                took_s = time.thread_time() - began_s  # with what calls took meanwhile
                await trio.sleep(max(self._interval_s, pause_of(channel.interval_s, took_s)))
                if not channel.viewers:
                    channel.needed = trio.Event()
                    with trio.move_on_after(_IDLE_S):
                        await channel.needed.wait()
                    if not channel.viewers:
                        return
        finally:
            if self._channels.get(key) is channel:
                del self._channels[key]
