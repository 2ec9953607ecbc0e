"""Tars of recordings like those of the post-publish script of a BBB server, made by `tar`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

PACKERS = {"": (), ".gz": ("gzip",), ".xz": ("xz",), ".zst": ("zstd", "-q", "--rm")}


def metadata_xml(
    record_id: str,
    format: str = "presentation",
    *,
    meeting_id: str = "meeting-1",
    name: str = "A meeting",
    published: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Return a metadata.xml like tests/data/recordings/metadata.xml."""
    entries = "".join(
        f"<{key}>{escape(value)}</{key}>" if value else f"<{key}/>"
        for key, value in (metadata or {}).items()
    )
    return f"""<?xml version="1.0"?>
<recording>
  <id>{record_id}</id>
  <state>published</state>
  <published>{str(published).lower()}</published>
  <start_time>1647181479536</start_time>
  <end_time>1647181557090</end_time>
  <participants>3</participants>
  <meeting id="{record_id}" externalId="{escape(meeting_id)}" name="x" breakout="false"/>
  <meta>
    <meetingName>{escape(name)}</meetingName>
    <isBreakout>false</isBreakout>
    <meetingId>{escape(meeting_id)}</meetingId>
    {entries}
  </meta>
  <playback>
    <format>{format}</format>
    <link>https://bbb1.example.org/playback/{format}/2.3/{record_id}</link>
    <processing_time>4882</processing_time>
    <duration>92860</duration>
    <extensions><preview><images>
      <image width="176" height="136" alt="Übersicht">https://bbb1.example.org/{format}/{record_id}/thumb-1.png</image>
    </images></preview></extensions>
  </playback>
</recording>
"""


def write_format(
    root: Path, record_id: str, format: str, files: Mapping[str, bytes], metadata: str | None
) -> Path:
    """Write `{format}/{recordID}` with files, and metadata.xml unless `metadata` is None."""
    folder = root / format / record_id
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if metadata is not None:
        (folder / "metadata.xml").write_text(metadata)
    return folder


def pack(root: Path, target: Path) -> Path:
    """Pack everything below `root` like the script; the suffix selects the compression."""
    tar = target.with_suffix("") if target.suffix in PACKERS else target
    members = sorted(path.name for path in root.iterdir())
    subprocess.run(["tar", "--create", "--file", tar, *members], cwd=root, check=True)
    if target.suffix in PACKERS:
        subprocess.run([*PACKERS[target.suffix], tar], check=True)
    return target


def recording_tar(
    directory: Path,
    record_id: str,
    formats: Mapping[str, Mapping[str, bytes]] | None = None,
    *,
    target: Path | None = None,
    **metadata: Any,
) -> Path:
    """Make `{recordID}.tar` in a directory; `formats` maps each to its files."""
    root = directory / f"source-{record_id}-{len(list(directory.iterdir()))}"
    for format, files in (formats or {"presentation": {"slides.svg": b"<svg/>"}}).items():
        text = metadata_xml(record_id, format, **metadata)
        write_format(root, record_id, format, files, text)
    return pack(root, target or directory / f"{record_id}.tar")
