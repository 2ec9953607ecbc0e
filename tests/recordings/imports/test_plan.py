"""Formats of one recording are joined; broken ones are left out and named."""

from __future__ import annotations

import pytest

from appliance.recordings.imports.metadata_xml import parse_metadata_xml
from appliance.recordings.imports.model import UnpackedFormat
from appliance.recordings.imports.plan import plan_import
from tests.doubles.recording_tars import metadata_xml


def unpacked(record_id: str, format: str, text: str | None = "") -> UnpackedFormat:
    body = metadata_xml(record_id, format) if text == "" else text
    path = f"/unpacked/{format}/{record_id}"
    return UnpackedFormat(format, record_id, path, None if body is None else body.encode())


def test_plan_import_joins_the_formats_of_a_recording() -> None:
    first = metadata_xml("r1", "notes", name="one", metadata={"a": "1"})
    second = metadata_xml("r1", "video", name="two", metadata={"a": "2", "b": "2"})
    plan = plan_import([unpacked("r1", "notes", first), unpacked("r1", "video", second)], "r1.tar")
    assert (len(plan.recordings), plan.problems) == (1, ())
    recording = plan.recordings[0].recording
    assert recording.name == "one"
    assert dict(recording.metadata) == {"a": "1", "b": "2"}
    assert [format.format for format in recording.formats] == ["notes", "video"]
    assert [source.format for source in plan.recordings[0].sources] == ["notes", "video"]


def test_plan_import_takes_from_another_format_what_one_does_not_say() -> None:
    first = metadata_xml("r1", "notes").replace("<participants>3</participants>", "")
    plan = plan_import([unpacked("r1", "notes", first), unpacked("r1", "video")], "r1.tar")
    assert plan.recordings[0].recording.participants == 3


def test_plan_import_knows_the_front_ends_id_of_a_tenants_meeting() -> None:
    metadata = {"tenant-id": "t-1", "secret-lrs-payload": "x", "a": "1"}
    text = metadata_xml("r1", "video", meeting_id="physics~t-1", metadata=metadata)
    (planned,) = plan_import([unpacked("r1", "video", text)], "r1.tar").recordings
    assert planned.recording.meeting_id == "physics"
    assert dict(planned.recording.metadata) == {"tenant-id": "t-1", "a": "1"}
    (source,) = planned.sources
    assert source.metadata_xml == text.encode()
    assert source.shown_xml is not None
    assert parse_metadata_xml(source.shown_xml).recording == planned.recording


def test_plan_import_leaves_the_files_of_others_as_they_are() -> None:
    text = metadata_xml("r1", "video", meeting_id="physics~t-1", metadata={"a": "~"})
    (planned,) = plan_import([unpacked("r1", "video", text)], "r1.tar").recordings
    assert [source.shown_xml for source in planned.sources] == [None]


@pytest.mark.parametrize("published", [(True, False), (False, True), (False, False)])
def test_plan_import_publishes_only_what_every_format_publishes(
    published: tuple[bool, bool],
) -> None:
    texts = [metadata_xml("r1", "video", published=said) for said in published]
    plan = plan_import([unpacked("r1", "video", text) for text in texts], "r1.tar")
    assert not plan.recordings[0].recording.published


def test_plan_import_keeps_recordings_apart() -> None:
    plan = plan_import([unpacked("r1", "video"), unpacked("r2", "video")], "r1.tar")
    assert [planned.recording.record_id for planned in plan.recordings] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (unpacked("r1", "notes", None), "notes/r1: no metadata.xml"),
        (unpacked("r1", "notes", "<x"), "notes/r1: metadata.xml is not well-formed"),
        (
            unpacked("r1", "notes", metadata_xml("r2", "notes")),
            "notes/r1: metadata.xml is about another recording",
        ),
        (
            unpacked("r1", "notes", metadata_xml("r1", "video")),
            "notes/r1: metadata.xml is about another format",
        ),
        (unpacked("r 1", "notes"), "notes/r 1: not the names of a format and a recording"),
        (unpacked("r1", "Notes"), "Notes/r1: not the names of a format and a recording"),
    ],
)
def test_plan_import_leaves_out_a_broken_format_and_says_why(
    source: UnpackedFormat, problem: str
) -> None:
    plan = plan_import([source, unpacked("r1", "video")], "r1.tar")
    assert plan.problems == (problem,)
    assert [format.format for format in plan.recordings[0].recording.formats] == ["video"]
