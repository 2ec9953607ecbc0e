"""An import queues the callback in its own transaction, once for each format that comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from appliance.callbacks.attributes_yaml import RECORDING_READY, KeptUrls
from appliance.callbacks.rules import Callback, Signing
from appliance.model import TenantId
from appliance.recordings.imports.journal import ImportJournal
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.imports.model import ImportState, SpooledTar
from appliance.recordings.recording import Recording
from appliance.recordings.store import RecordingStore
from tests.doubles.callback_bench import CallbackBench, open_callback_bench
from tests.doubles.recordings import make_format, make_recording
from tests.doubles.store_servers import PostgresServer

URL = "http://h/ready?x=1"
KEPT = KeptUrls({RECORDING_READY: URL}, "s1")
SCALELITE_DUMP = Path(__file__).resolve().parents[1] / "data/scalelite/postgres.sql"
A = TenantId("tenant-a")


@dataclass
class Importing:
    bench: CallbackBench
    journal: ImportJournal
    woken: list[bool]
    number: int = 0

    async def run(self, recording: Recording, rules: ImportRules | None = None) -> None:
        """Import a recording as a tar of its own."""
        self.number += 1
        async with self.journal.claim(SpooledTar("r.tar", 1, self.number, 1)) as entry:
            assert entry is not None
        values = (entry.id, recording, rules or ImportRules())
        await self.journal.write_recording(*values, state=ImportState.DONE)

    async def queued(self) -> list[Callback]:
        """Return the queue, oldest first."""
        return [one.callback for one in reversed(await self.bench.rows.show(None, 100))]


def journal_of(bench: CallbackBench, wake: Callable[[], None] = lambda: None) -> ImportJournal:
    recordings = RecordingStore(bench.database)
    return ImportJournal(bench.database, recordings, bench.log, urls=bench.urls, wake=wake)


@pytest.fixture
async def importing(
    redis_url: str, redis_namespace: str, database_url: str
) -> AsyncIterator[Importing]:
    woken: list[bool] = []
    async with open_callback_bench(redis_url, redis_namespace, database_url) as bench:
        yield Importing(bench, journal_of(bench, lambda: woken.append(True)), woken)


async def test_import_queues_the_callback_and_links_the_meeting(importing: Importing) -> None:
    await importing.bench.urls.keep("math", None, KEPT)  # it still retry_intervals in Redis
    await importing.run(make_recording())
    (callback,) = await importing.queued()
    assert (callback.url, callback.meeting_id, callback.record_id) == (URL, "math", "rec-1")
    assert (callback.tenant_id, callback.secret_id) == (None, "s1")
    assert callback.signing is Signing.FORM
    linked = await importing.bench.database.fetchrow(
        "SELECT d.recording_id = r.id AS linked FROM callback_data d, recordings r"
    )
    assert linked is not None
    assert linked["linked"]
    assert importing.woken == [True]


async def test_import_without_a_url_queues_nothing(importing: Importing) -> None:
    await importing.run(make_recording())
    await importing.run(make_recording("rec-2", meeting_id=None))
    await importing.bench.urls.keep("math", None, KeptUrls({"analytics_callback_url": URL}))
    await importing.run(make_recording("rec-3"))
    assert await importing.queued() == []
    assert importing.woken == []


async def test_front_end_is_told_of_each_format_once(importing: Importing) -> None:
    await importing.bench.urls.keep("math", None, KEPT)
    first, late = make_format("presentation"), make_format("video")
    await importing.run(make_recording(formats=(first,)))
    await importing.run(make_recording(formats=(first,)))
    assert len(await importing.queued()) == 1
    await importing.run(make_recording(formats=(late,)))
    await importing.run(make_recording(formats=(first, late)))
    assert len(await importing.queued()) == 2
    await importing.run(make_recording("rec-2"))
    assert [one.record_id for one in await importing.queued()] == ["rec-1", "rec-1", "rec-2"]


async def test_deleted_recording_is_told_of_only_when_it_comes_back(importing: Importing) -> None:
    await importing.bench.urls.keep("math", None, KEPT)
    await importing.run(make_recording())
    await importing.bench.database.execute("UPDATE recordings SET state = 'deleted'")
    await importing.bench.database.execute("DELETE FROM playback_formats")
    await importing.run(make_recording())
    assert len(await importing.queued()) == 1
    await importing.run(make_recording(), ImportRules(undelete=True))
    assert len(await importing.queued()) == 2


async def test_recording_of_a_tenant_is_told_to_that_tenant(importing: Importing) -> None:
    await importing.bench.urls.keep("math", A, KEPT)
    await importing.run(make_recording("of-a", metadata=(("tenant-id", A),)))
    await importing.run(make_recording("of-b", metadata=(("tenant-id", "tenant-b"),)))
    await importing.run(make_recording("of-nobody"))
    (callback,) = await importing.queued()
    assert (callback.record_id, callback.tenant_id) == ("of-a", A)


async def test_callbacks_that_a_scalelite_left_are_sent(
    redis_url: str, redis_namespace: str, empty_database_url: str, postgres_server: PostgresServer
) -> None:
    name = urlsplit(empty_database_url).path.removeprefix("/")
    postgres_server.sql(SCALELITE_DUMP.read_text(), name)
    async with open_callback_bench(redis_url, redis_namespace, empty_database_url) as bench:
        importing = Importing(bench, journal_of(bench), [])
        of = "981810d6-1b91-4022-9f8d-71c128cd378e"
        await importing.run(make_recording("new", meeting_id="phys", metadata=(("tenant-id", of),)))
        await importing.run(make_recording("new-2", meeting_id="math-1"))
        found = [(one.url, one.record_id, one.tenant_id) for one in await importing.queued()]
    assert found == [
        ("http://127.0.0.1:9/bn", "new", of),
        ("http://127.0.0.1:9/ready", "new-2", None),
    ]


async def test_url_that_may_not_be_called_is_not_queued(importing: Importing) -> None:
    await importing.bench.database.execute(
        "INSERT INTO callback_data (meeting_id, callback_attributes, created_at, updated_at)"
        " VALUES ('math', $1, now(), now())",
        "---\n:recording_ready_url: ftp://h/\n",
    )
    await importing.run(make_recording())
    assert await importing.queued() == []
    assert importing.bench.log.named("callback_url_refused")


async def test_callback_is_queued_with_the_rows_or_not_at_all(importing: Importing) -> None:
    await importing.bench.urls.keep("math", None, KEPT)
    await importing.bench.urls.flush()
    with trio.move_on_after(0) as scope:
        await importing.run(make_recording())
    assert scope.cancelled_caught
    await importing.bench.database.execute(
        "ALTER TABLE appliance.callbacks ADD CONSTRAINT never CHECK (id < 0)"
    )
    with pytest.raises(Exception, match="never"):
        await importing.run(make_recording())
    found = await importing.bench.database.fetch("SELECT 1 FROM recordings")
    assert found == []
    assert importing.woken == []
