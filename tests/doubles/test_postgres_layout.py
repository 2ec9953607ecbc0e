"""The check of Scalelite's tables finds each kind of fault."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.doubles.postgres_layout import Ask, Reference, database_faults
from tests.doubles.scalelite_files import DUMP
from tests.doubles.store_servers import PostgresServer


@pytest.fixture
def ask(postgres_server: PostgresServer) -> Iterator[Ask]:
    with postgres_server.new_database() as database:
        postgres_server.sql(DUMP.read_text(), database)
        yield partial(_ask, postgres_server, database)


def _ask(server: PostgresServer, database: str, sql: str) -> str:
    return server.sql(sql, database)


def test_database_of_a_scalelite_has_no_faults(ask: Ask) -> None:
    assert database_faults(ask, Reference.take(ask)) == []


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("ALTER TABLE recordings ADD COLUMN x int", "columns"),
        ("ALTER TABLE recordings ALTER COLUMN name SET NOT NULL", "columns"),
        ("CREATE INDEX x ON recordings (name)", "indexes"),
        ("ALTER TABLE metadata ADD FOREIGN KEY (recording_id) REFERENCES recordings", "constraint"),
        ("CREATE TABLE x (id int)", "relations"),
        ("INSERT INTO schema_migrations VALUES ('1')", "migrations"),
        ("UPDATE ar_internal_metadata SET updated_at = now()", "ar_internal_metadata"),
        ("UPDATE recordings SET state = 'gone' WHERE id = 1", "state gone"),
        ("UPDATE recordings SET state = 'deleted' WHERE id = 1", "deleted, with"),
        ("UPDATE recordings SET meeting_id = NULL WHERE id = 1", "no record_id or meeting_id"),
        ("UPDATE metadata SET recording_id = 99 WHERE id = 1", "of no recording"),
        ("DELETE FROM playback_formats WHERE id = 1", "of no format"),
        ("UPDATE playback_formats SET url = 'https://x/y' WHERE id = 1", "at https://x/y"),
        ("UPDATE callback_data SET recording_id = 99 WHERE id = 1", "of no recording"),
        ("UPDATE callback_data SET callback_attributes = '{}' WHERE id = 1", "no mapping"),
        ("UPDATE callback_data SET meeting_id = 'phys' WHERE id = 1", "twice"),
        ("INSERT INTO metadata VALUES (99, 1, 'a', 'b')", "above its sequence"),
    ],
)
def test_fault_is_found(ask: Ask, sql: str, fault: str) -> None:
    reference = Reference.take(ask)
    ask(sql)

    faults = database_faults(ask, reference)

    assert faults
    assert any(fault in one for one in faults), faults
