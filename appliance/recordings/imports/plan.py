"""Decides which formats of an unpacked tar are imported, and as which recordings.

Pure. A broken format does not stop the others (docs/recordings.md, When an import fails).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.recordings.imports.metadata_xml import (
    MalformedMetadata,
    ParsedMetadata,
    parse_metadata_xml,
)
from appliance.recordings.imports.model import UnpackedFormat, may_hold
from appliance.recordings.recording import Recording, is_format, is_record_id
from appliance.recordings.tenant_view import show_metadata_xml, show_recording


@dataclass(frozen=True, slots=True)
class PlannedRecording:
    """One recording of a tar; usually there is only one."""

    recording: Recording
    sources: tuple[UnpackedFormat, ...]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The recordings of a tar, and the reasons why others are left out."""

    recordings: tuple[PlannedRecording, ...]
    problems: tuple[str, ...]
    """Reasons why formats are left out. Safe to log."""
    left_out: tuple[str, ...]
    """Metadata keys that cannot be the name of an XML element."""


def plan_import(unpacked: Iterable[UnpackedFormat], file: str) -> ImportPlan:
    """Read the metadata of every format of the tar `file`."""
    good: dict[str, list[tuple[UnpackedFormat, ParsedMetadata]]] = {}
    problems: list[str] = []
    left_out: list[str] = []
    for source in unpacked:
        try:
            parsed = _read(source, file)
        except MalformedMetadata as error:
            problems.append(f"{source.format}/{source.record_id}: {error}")
            continue
        good.setdefault(source.record_id, []).append((_shown(source), parsed))
        left_out += parsed.left_out
    planned = [
        PlannedRecording(
            merge_formats([parsed.recording for _, parsed in found]),
            tuple(source for source, _ in found),
        )
        for found in good.values()
    ]
    return ImportPlan(tuple(planned), tuple(problems), tuple(left_out))


def _read(source: UnpackedFormat, file: str) -> ParsedMetadata:
    if not (is_format(source.format) and is_record_id(source.record_id)):
        raise MalformedMetadata("not the names of a format and a recording")
    if not may_hold(file, source.record_id):
        raise MalformedMetadata("the upload was authorized for another recording")
    if source.metadata_xml is None:
        raise MalformedMetadata("no metadata.xml")
    parsed = parse_metadata_xml(source.metadata_xml)
    if parsed.recording.record_id != source.record_id:
        raise MalformedMetadata("metadata.xml is about another recording")
    if parsed.format.format != source.format:
        raise MalformedMetadata("metadata.xml is about another format")
    return replace(parsed, recording=show_recording(parsed.recording))


def _shown(source: UnpackedFormat) -> UnpackedFormat:
    shown = None if source.metadata_xml is None else show_metadata_xml(source.metadata_xml)
    return source if shown is None else replace(source, shown_xml=shown)


def merge_formats(recordings: Sequence[Recording]) -> Recording:
    """Merge the metadata of the formats of a recording; where they differ, the first one counts.

    Published only if all of them are.
    """
    merged = recordings[0]
    for other in recordings[1:]:
        merged = replace(
            merged,
            meeting_id=merged.meeting_id or other.meeting_id,
            name=merged.name or other.name,
            published=merged.published and other.published,
            participants=_first(merged.participants, other.participants),
            start_ms=_first(merged.start_ms, other.start_ms),
            end_ms=_first(merged.end_ms, other.end_ms),
            metadata=tuple({**dict(other.metadata), **dict(merged.metadata)}.items()),
            formats=merged.formats + other.formats,
        )
    return merged


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one
