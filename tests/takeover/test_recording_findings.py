"""The findings for tables, directories, tars and files as a Scalelite may leave them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.takeover.findings import TakeoverFinding
from appliance.takeover.recording_findings import (
    COLUMNS,
    MIGRATIONS,
    UNIQUE,
    DirectoryState,
    Places,
    SchemaState,
    SurveyedRecording,
    judge_callbacks,
    judge_directories,
    judge_recordings,
    judge_schema,
    judge_strangers,
    judge_tars,
)

SCHEMA = SchemaState(dict(COLUMNS), frozenset(UNIQUE), frozenset(MIGRATIONS))
RIGHT, WRONG, BOTH = (True, False), (False, True), (True, True)


def shown(findings: Any) -> dict[tuple[str, str], Any]:
    """Return the names, or the number of unnamed items, by verdict and text."""
    listed: list[TakeoverFinding] = list(findings)
    return {(one.verdict.value, one.text): list(one.names) or one.total for one in listed}


def test_schema_of_a_scalelite_is_fine() -> None:
    assert shown(judge_schema(SCHEMA)) == {("fine", "tables of Scalelite"): 5}
    assert SCHEMA.readable


SCHEMAS: list[tuple[SchemaState, set[tuple[str, str]], bool]] = [
    (replace(SCHEMA, columns={}), {("person", "tables of Scalelite")}, False),
    (
        replace(SCHEMA, columns={**COLUMNS, "recordings": COLUMNS["recordings"] - {"protected"}}),
        {("person", "missing tables or columns, which an older Scalelite did not have")},
        False,
    ),
    (
        replace(SCHEMA, columns={t: c for t, c in COLUMNS.items() if t != "callback_data"}),
        {("person", "missing tables or columns, which an older Scalelite did not have")},
        True,
    ),
    (
        replace(SCHEMA, columns={**COLUMNS, "metadata": COLUMNS["metadata"] | {"new"}}),
        {("fine", "unknown columns, which are not changed")},
        True,
    ),
    (
        replace(SCHEMA, unique=frozenset(UNIQUE[1:])),
        {("person", "missing unique indexes, without which no recording can be imported")},
        True,
    ),
    (
        replace(SCHEMA, migrations=frozenset(MIGRATIONS[:-1])),
        {("person", "migrations that Rails has not run")},
        True,
    ),
    (
        replace(SCHEMA, migrations=frozenset({*MIGRATIONS, "20270101000000"})),
        {("person", "migrations of a newer, unknown version of Scalelite")},
        True,
    ),
    (
        replace(SCHEMA, not_owned=("metadata",)),
        {("person", "tables that belong to another database user")},
        True,
    ),
    (
        replace(SCHEMA, may_create=False),
        {("person", "missing permission to create the schema `appliance`")},
        True,
    ),
]


@pytest.mark.parametrize(("schema", "found", "readable"), SCHEMAS)
def test_different_schema_is_reported(
    schema: SchemaState, found: set[tuple[str, str]], readable: bool
) -> None:
    assert shown(judge_schema(schema)).keys() - {("fine", "tables of Scalelite")} == found
    assert schema.readable is readable


def directory(path: str, **changes: Any) -> DirectoryState:
    values: dict[str, Any] = {"exists": True, "writable": True, "device": 1, "owner": "1000:2000"}
    return DirectoryState("RECORDING_X_DIR", path, **{**values, **changes})


def test_directories_are_grouped_by_their_problem() -> None:
    found = shown(
        judge_directories(
            [
                directory("/p"),
                directory("/u"),
                directory("/s", writable=False, owner="0:0"),
                directory("/w", device=2),
                directory("/gone", exists=False),
            ]
        )
    )

    assert found == {
        ("fine", "writable directories"): 3,
        ("person", "missing directories"): ["/gone (RECORDING_X_DIR)"],
        ("person", "directories that are not writable"): ["/s (RECORDING_X_DIR, owned by 0:0)"],
        (
            "fine",
            "directories on another file system, so that recordings are copied instead of renamed",
        ): ["/w"],
    }


def test_tars_are_grouped_by_age() -> None:
    assert shown(judge_tars({"a.tar": 60.0, "b.tar": 100_000.0}, ["c.tar"])) == {
        ("fine", "tars that wait for import"): 1,
        ("person", "tars that have waited for more than a day"): ["b.tar"],
        ("person", "tars that could not be imported"): ["c.tar"],
    }


def test_callbacks_that_cannot_be_read_are_reported() -> None:
    good = "---\n:recording_ready_url: https://lms.example.org/ready\n"
    found = shown(judge_callbacks([("a", good), ("b", "--- !ruby/object:File {}\n"), ("c", None)]))

    assert found["fine", "meetings whose front-ends wait for a recording"] == 2
    (name,) = found["person", "meetings whose callback URLs cannot be read"]
    assert name.startswith("b: ")


def recording(**changes: Any) -> SurveyedRecording:
    values = {"id": 1, "record_id": "r", "state": "published", "published": True}
    return SurveyedRecording(**{**values, "formats": ("presentation",), **changes})


RECORDINGS: list[tuple[SurveyedRecording, Places, set[str], dict[tuple[str, str], Any]]] = [
    (recording(), {"presentation": RIGHT}, set(), {}),
    (
        recording(state="unpublished", published=False),
        {"presentation": WRONG},
        set(),
        {},
    ),
    (
        recording(),
        {"presentation": WRONG},
        set(),
        {("heal", "formats in the wrong directory"): ["r/presentation"]},
    ),
    (
        recording(),
        {"presentation": BOTH},
        set(),
        {("heal", "formats in the wrong directory"): ["r/presentation"]},
    ),
    (recording(), {}, set(), {("person", "formats without files"): ["r/presentation"]}),
    (
        recording(),
        {},
        {"r"},
        {("self", "formats whose files may be in a tar in the spool"): ["r/presentation"]},
    ),
    (
        recording(),
        {"presentation": RIGHT, "video": WRONG},
        set(),
        {
            ("heal", "formats in the wrong directory"): ["r/video"],
            ("person", "formats with files that are not in the database"): ["r/video"],
        },
    ),
    (
        recording(formats=()),
        {},
        set(),
        {("person", "recordings without a format"): ["r"]},
    ),
    (
        recording(state="deleted"),
        {"presentation": RIGHT, "video": WRONG},
        set(),
        {
            ("heal", "formats of deleted recordings whose files still exist"): [
                "r/presentation",
                "r/video",
            ]
        },
    ),
    (recording(state="deleted"), {}, set(), {}),
    (
        recording(record_id="../etc"),
        {},
        set(),
        {("person", "recordings whose id is not a valid directory name"): ["../etc"]},
    ),
    (
        recording(state=None),
        {"presentation": RIGHT},
        set(),
        {("fine", "recordings without a state, which are listed with state=any"): ["r"]},
    ),
    (
        recording(published=False),
        {"presentation": WRONG},
        set(),
        {
            (
                "fine",
                "recordings whose state contradicts their published flag; the flag applies",
            ): ["r"]
        },
    ),
]


@pytest.mark.parametrize(("row", "places", "tars", "found"), RECORDINGS)
def test_recording_is_compared_with_its_files(
    row: SurveyedRecording, places: Places, tars: set[str], found: dict[tuple[str, str], Any]
) -> None:
    assert shown(judge_recordings([row], {row.record_id: places}, tars)) == found


def test_directories_without_a_row_are_reported() -> None:
    assert shown(judge_strangers("/p/video", ["a", "b", "c"], {"a"}, {"b"})) == {
        ("self", "directories of recordings that are being imported"): ["/p/video/b"],
        ("person", "directories of recordings that are not in the database"): ["/p/video/c"],
    }
