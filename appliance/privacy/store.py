"""Finds and deletes traces in PostgreSQL and Redis. Each method raises as the stores do."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from appliance.postgres.database import Connection, Database
from appliance.privacy.rules import spellings
from appliance.redis.store import SCAN_CHUNK, Argument, RedisStore
from appliance.tenants.params import TENANT_KEY
from appliance.tenants.scoped_id import SEPARATOR, scoped_id

DEADLINE_S = 60.0
_REMEMBERED = ("size:", "callback_urls_of:")
"""Keys with a meeting's stored id that outlive it."""


class TraceKind(StrEnum):
    """Kinds of traces."""

    MEETING = "meeting"
    USER = "user"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Subject:
    """The owner of traces: a front-end's meetingID, a name or id of a user, a tenant's id."""

    kind: TraceKind
    value: str
    tenant_ids: tuple[str, ...] = ()
    """All tenants: each may have had a meeting of this meetingID."""

    @property
    def values(self) -> list[str]:
        """Return all ids of the meeting in the stores; the value alone for other kinds."""
        return [self.value, *(scoped_id(self.value, one) for one in self.tenant_ids)]


_PAIRS = "(SELECT id FROM appliance.usage_pairs WHERE tenant = $1 AND scope IN (0, 1))"
_RUNS = {
    TraceKind.MEETING: ("appliance.meeting_runs WHERE meeting_id = ANY($1)",),
    TraceKind.USER: (),
    TraceKind.TENANT: (
        f"appliance.meeting_runs WHERE pair IN {_PAIRS}",
        f"appliance.usage_minutes WHERE pair IN {_PAIRS}",
        f"appliance.usage_hours WHERE pair IN {_PAIRS}",
        "appliance.usage_tenants WHERE id = $1",
    ),
}
_CALLBACKS = {
    TraceKind.MEETING: (
        "appliance.callbacks WHERE meeting_id = ANY($1)",
        "appliance.callback_origins WHERE meeting_id = ANY($1)",
        "public.callback_data WHERE meeting_id = ANY($1)",
    ),
    TraceKind.USER: (
        "appliance.callbacks WHERE position($1::bytea IN body) > 0"
        " OR position($2::bytea IN body) > 0",
    ),
    TraceKind.TENANT: (
        "appliance.callbacks WHERE tenant_id = $1",
        "public.callback_data WHERE meeting_id IN (SELECT meeting_id"
        " FROM appliance.callback_origins WHERE tenant_id = $1)",
        "appliance.callback_origins WHERE tenant_id = $1",
    ),
}
# Which recordings, and which of their metadata. A key that was removed from a recording may still
# be in its metadata.xml.
_RECORDINGS = {
    TraceKind.MEETING: ("r.meeting_id = ANY($1)", "true"),
    TraceKind.USER: (
        "(r.id IN (SELECT recording_id FROM public.metadata WHERE value = $1 AND key <> $2)"
        " OR r.id IN (SELECT recording_id FROM appliance.removed_metadata))",
        "m.value = $1",
    ),
    TraceKind.TENANT: (
        "r.id IN (SELECT recording_id FROM public.metadata WHERE key = $2 AND value = $1)",
        "true",
    ),
}
_METADATA = """
SELECT r.record_id,
    coalesce(array_agg(m.key ORDER BY m.key) FILTER (WHERE m.key <> $2 AND {trace}), '{{}}')
FROM public.recordings r LEFT JOIN public.metadata m ON m.recording_id = r.id
WHERE coalesce(r.state, '') <> 'deleted' AND {wanted} GROUP BY r.record_id ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class PrivacyStore:
    """The traces in the stores."""

    database: Database | None
    redis: RedisStore

    async def find_meetings(self, subject: Subject) -> set[str]:
        """Return the stored ids of a tenant's meetings, as far as their runs are recorded."""
        if self.database is None or subject.kind is not TraceKind.TENANT:
            return set()
        runs = _RUNS[TraceKind.TENANT][0]
        statement = f"SELECT DISTINCT meeting_id FROM {runs}"
        found = await self.database.fetch(statement, subject.value, deadline_s=DEADLINE_S)
        return {row[0] for row in found}

    async def erase_runs(self, subject: Subject, *, dry_run: bool) -> int:
        """Delete the records of meeting runs, and a tenant's samples; return the number of runs."""
        return await self._delete(_RUNS[subject.kind], [_argument(subject)], dry_run)

    async def erase_callbacks(self, subject: Subject, *, dry_run: bool) -> int:
        """Delete calls to front-ends, sent and waiting, and kept URLs; return the number."""
        arguments: list[object] = [_argument(subject)]
        if subject.kind is TraceKind.USER:
            written = spellings(subject.value)
            arguments = [written[0], written[-1]]
        number = await self._delete(_CALLBACKS[subject.kind], arguments, dry_run)
        return number + await self._erase_waiting(subject, dry_run=dry_run)

    async def find_metadata(self, subject: Subject) -> list[tuple[str, list[str]]]:
        """Return recordings that may have traces, and those keys of their metadata that are."""
        if self.database is None:
            return []
        wanted, trace = _RECORDINGS[subject.kind]
        statement = _METADATA.format(wanted=wanted, trace=trace)
        found = await self.database.fetch(
            statement, _argument(subject), TENANT_KEY, deadline_s=DEADLINE_S
        )
        return [(record_id, list(keys)) for record_id, keys in found]

    async def forget(self, subject: Subject, meetings: Set[str]) -> None:
        """Delete what Redis remembers of meetings after their end, and their URLs.

        meetings: from `find_meetings`, before the runs were deleted.
        """
        own = self.redis.own_key
        names = [f"{kind}{one}" for kind in _REMEMBERED for one in subject.values]
        if subject.kind is TraceKind.TENANT:
            suffix = f"{SEPARATOR}{subject.value}"
            names = [
                f"{kind}{one}"
                async for kind, one in self._remembered()
                if one in meetings or one.endswith(suffix)
            ]
        pending = await self.redis.command("LRANGE", own("callback_urls"), 0, -1)
        commands: list[Sequence[Argument]] = [("DEL", own(name)) for name in names]
        commands += [
            ("LREM", own("callback_urls"), 1, one) for one in pending if _concerns(one, subject)
        ]
        if subject.kind is not TraceKind.USER and commands:
            await self.redis.pipeline(commands)

    async def _remembered(self) -> AsyncIterator[tuple[str, str]]:
        """Yield the keys of meetings that may have ended: one of _REMEMBERED, and the stored id."""
        prefix, cursor = self.redis.own_key(""), "0"
        while True:
            cursor, keys = await self.redis.command("SCAN", cursor, "COUNT", SCAN_CHUNK)
            for name in (key.removeprefix(prefix) for key in keys if key.startswith(prefix)):
                for kind in _REMEMBERED:
                    if name.startswith(kind):
                        yield kind, name.removeprefix(kind)
            if cursor == "0":
                return

    async def _delete(
        self, wanted: Sequence[str], arguments: Sequence[object], dry_run: bool
    ) -> int:
        """Delete rows; return the number of those of the first table."""

        async def work(connection: Connection) -> int:
            numbers = []
            for one in wanted:
                if dry_run:
                    count = await connection.fetchval(f"SELECT count(*) FROM {one}", *arguments)
                    numbers.append(int(count))
                else:
                    done = await connection.execute(f"DELETE FROM {one}", *arguments)
                    numbers.append(int(done.rpartition(" ")[2]))
            return numbers[0] if numbers else 0

        if self.database is None:
            return 0
        return await self.database.run(work, deadline_s=DEADLINE_S, transaction=True)

    async def _erase_waiting(self, subject: Subject, *, dry_run: bool) -> int:
        """Delete the callbacks that Redis keeps while the database is away, or without one."""
        ids = await self.redis.command("ZRANGE", self.redis.own_key("callbacks"), 0, -1)
        keys = [self.redis.own_key(f"callback:{one}") for one in ids]
        found = await self.redis.pipeline([("HGET", key, "data") for key in keys]) if keys else []
        matching = [
            one for one, data in zip(ids, found, strict=True) if data and _concerns(data, subject)
        ]
        if matching and not dry_run:
            own = self.redis.own_key
            await self.redis.pipeline(
                [
                    ("ZREM", own("callbacks"), *matching),
                    ("ZREM", own("callbacks_due"), *matching),
                    ("DEL", *(own(f"callback:{one}") for one in matching)),
                ]
            )
        return len(matching)


def _argument(subject: Subject) -> str | list[str]:
    return subject.values if subject.kind is TraceKind.MEETING else subject.value


def _concerns(data: str, subject: Subject) -> bool:
    document = json.loads(data)
    if subject.kind is TraceKind.USER:
        body = base64.b64decode(document.get("body", ""))
        return any(text in body for text in spellings(subject.value))
    if subject.kind is TraceKind.MEETING:
        return document.get("meeting_id") in subject.values
    return bool(document.get("tenant_id") == subject.value)
