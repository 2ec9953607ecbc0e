"""What an entry of the audit trail shows of a change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.admin_calls.call import Snapshot
from appliance.audit.rules import (
    MAX_OBJECTS,
    AuditEntry,
    AuditQuery,
    Change,
    change_of_fields,
    compare,
    cut_reason,
    parse_entries,
    render_entry,
)

ENTRY = AuditEntry("0" * 32, 1000, "uid=0 (root)", "cordonServer", "server bbb1", None, {}, "done")


def snapshot(**values: Any) -> dict[str, Snapshot]:
    return {"1": Snapshot("server 1", values)}


def test_only_values_that_differ_are_shown() -> None:
    before, after = snapshot(state="enabled", tag=""), snapshot(state="cordoned", tag="")

    assert compare(before, after, unchanged=True) == [
        Change("server 1", {"state": "enabled"}, {"state": "cordoned"})
    ]


def test_new_and_removed_objects_are_shown_whole_without_secrets() -> None:
    there = snapshot(url="https://a:hidden@b/", secret="hidden", metadata={"x-token": "hidden"})

    (added,) = compare({}, there, unchanged=True)
    (removed,) = compare(there, {}, unchanged=True)

    values = {"url": "https://a:***@b/", "secret": "***", "metadata": {"x-token": "***"}}
    assert added == Change("server 1", None, values)
    assert removed == Change("server 1", values, None)


def test_secret_that_was_changed_is_told_from_one_that_was_not() -> None:
    before, after = snapshot(secret="a", tag="x"), snapshot(secret="b", tag="x")

    assert compare(before, after, unchanged=True) == [
        Change("server 1", {"secret": "***"}, {"secret": "*** (changed)"})
    ]


@pytest.mark.parametrize(("unchanged", "count"), [(True, 1), (False, 0)])
def test_object_that_stays_the_same_is_shown_where_it_was_named(
    unchanged: bool, count: int
) -> None:
    there = snapshot(state="enabled")

    assert compare(there, there, unchanged=unchanged) == [Change("server 1", {}, {})] * count


def test_changes_of_one_call_are_bounded() -> None:
    many = {str(number): Snapshot(f"meeting {number}", {}) for number in range(MAX_OBJECTS + 5)}

    found = compare(many, {}, unchanged=True)

    assert len(found) == MAX_OBJECTS + 1
    assert found[-1] == Change("5 more", None, {"count": 5})


def test_fields_stand_for_a_change_that_nothing_else_describes() -> None:
    fields = {
        "id": "one",
        "server": {"secret": "hidden", "tag": "x"},
        "yaml": "servers: {a: {secret: hidden}}",
        "note": "secret:\n  hidden",
    }

    found = change_of_fields("servers", fields)

    assert found.object == "servers one"
    assert "hidden" not in json.dumps(found.after)
    assert found.after is not None
    assert found.after["server"] == {"secret": "***", "tag": "x"}
    assert change_of_fields("meetings", {"ids": ["a", "b"]}).object == "meetings a b"
    assert change_of_fields("meetings", {}).object == "meetings"


def test_texts_are_such_as_the_database_takes() -> None:
    (found,) = compare({}, snapshot(name="a\0b\udc80" + "x" * 10_000), unchanged=True)

    assert found.after is not None
    assert len(found.after["name"]) == 500
    found.after["name"].encode()
    assert "\0" not in found.after["name"]
    assert len(cut_reason("a\nb " * 1000)) == 300
    assert "\n" not in cut_reason("a\nb")


def test_entry_survives_redis_and_a_strange_one_is_skipped() -> None:
    strange = ["x", "[]", '{"id": 1}', render_entry(replace(ENTRY, id="no uuid"))]

    assert list(parse_entries([render_entry(ENTRY), *strange])) == [ENTRY]


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        (AuditQuery(), True),
        (AuditQuery(since_ms=1000, object="BBB1", who="ROOT"), True),
        (AuditQuery(since_ms=1001), False),
        (AuditQuery(object="bbb2"), False),
        (AuditQuery(who="%"), False),
    ],
)
def test_query_accepts_parts_in_any_case(query: AuditQuery, accepted: bool) -> None:
    assert query.accepts(ENTRY) is accepted
