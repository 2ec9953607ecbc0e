"""The requests and the answers of the admin calls about recordings."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin_calls.call import time_json
from appliance.admin_calls.fields import BadRequest, read_fields
from appliance.recordings.admin_calls import ListRecordingsRequest, UpdateRecordingsRequest
from appliance.recordings.admin_types import import_json
from appliance.recordings.imports.model import ImportState, ManualImport, SpooledTar
from appliance.recordings.retention_calls import RetentionRequest
from appliance.recordings.summary import ImportRecord, RecordingQuery

TAR = SpooledTar("r1.tar", 10, 10**18, 5)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_999, "2023-11-14T22:13:20Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_times_are_iso_in_utc(ms: int | None, text: str | None) -> None:
    assert time_json(ms) == text


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({}, RecordingQuery()),
        ({"limit": "7", "meeting_id": "m", "tenant_id": "t"}, RecordingQuery("m", None, "t", 7)),
        ({"state": "deleted", "limit": 7}, RecordingQuery(None, "deleted", None, 7)),
        ({"state": "any", "meeting_id": ""}, RecordingQuery(any_state=True)),
    ],
)
def test_query_is_read(fields: dict[str, Any], query: RecordingQuery) -> None:
    assert read_fields(ListRecordingsRequest, fields).parse() == query


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "lost"}, {"limit": "0"}, {"limit": "many"}, {"limit": -1}, {"limit": True},
        {"limit": "1000000"}, {"meeting_id": 5}, {"limit": 1.5}, {"limit": "9" * 5000},
    ],
)  # fmt: skip
def test_bad_query_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read_fields(ListRecordingsRequest, fields).parse()


@pytest.mark.parametrize(
    ("value", "days"), [(None, None), ("", None), ("30", 30.0), (0.5, 0.5), (99_999, 99_999.0)]
)
def test_days_are_read(value: Any, days: float | None) -> None:
    assert read_fields(RetentionRequest, {"days": value}).days == days


@pytest.mark.parametrize(
    "value", ["0", 0, -1, "nan", "inf", "x", True, [], 100_000, "1e400", "1_0"]
)
def test_bad_days_are_refused(value: Any) -> None:
    with pytest.raises(BadRequest):
        read_fields(RetentionRequest, {"days": value})


def read_update(**fields: Any) -> UpdateRecordingsRequest:
    return read_fields(UpdateRecordingsRequest, {"ids": ["r1"], **fields})


def test_changes_are_read() -> None:
    metadata = {"Course": "Physics", "draft": ""}
    request = read_update(metadata=metadata, protect=True, publish="false")
    changes = request.parse()
    assert dict(changes.metadata) == {"course": "Physics", "draft": ""}
    assert (changes.protected, request.publish) == (True, False)
    request = read_update()
    assert (request.parse().empty, request.publish) == (True, None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"metadata": {"tenant-id": "x"}}, "add-to-tenant"),
        ({"metadata": {"Tenant-Id": "x"}}, "add-to-tenant"),
        ({"metadata": {"no name": "x"}}, "not a valid XML name"),
        ({"metadata": {"a": 5}}, "must be a text"),
        ({"metadata": {"a": "\0"}}, "must be a text"),
        ({"metadata": ["a"]}, "must be a JSON object"),
        ({"publish": "perhaps"}, "publish must be true or false"),
        ({"protect": 3}, "protect must be true or false"),
    ],
)
def test_bad_changes_are_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        read_update(**fields)


def test_import_is_interrupted_when_no_appliance_works_on_it() -> None:
    states = {"state": ImportState.EXTRACTING, "error": None, "attempts": 0, "undelete": False}
    times = {"created_ms": 0, "started_ms": None, "finished_ms": None, "next_try_ms": None}
    record = ImportRecord(1, TAR, record_ids=(), running=False, **states, **times)  # type: ignore[arg-type]
    assert import_json(record).state == "interrupted"
    document = import_json(record, ManualImport(10, 5))
    assert (document.state, document.unpacked) == ("extracting", 5)
