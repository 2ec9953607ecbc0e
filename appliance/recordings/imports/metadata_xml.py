"""Parses the `metadata.xml` that a BBB server writes into each playback format of a recording.

The file is untrusted: DTDs and entities are refused, numbers must fit their database column, and
names that become paths and links that become redirects are checked.

Source: files of real servers in tests/data/recordings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit
from xml.parsers import expat

from lxml import etree

from appliance.bbb.xml_text import has_dtd, is_xml_name
from appliance.recordings.recording import (
    PlaybackFormat,
    Recording,
    RecordingStates,
    Thumbnail,
    is_format,
    is_record_id,
)
from appliance.tenants.params import TENANT_KEY

MAX_BYTES = 8 << 20
"""A metadata.xml usually has a few kB."""

_NOT_METADATA = {"isBreakout", "meetingId", "meetingName"}
_MAX_INTEGER = 2**31 - 1
_MAX_MS = 253_402_300_799_999
"""The end of the year 9999, the last that datetime can represent."""
_MINUTE_MS = 60_000
_MAX_MEETING_ID_BYTES = 2000
"""BBB allows 256 characters; an index entry of PostgreSQL has at most 2704 bytes."""
_MAX_NAMED = 100
"""Maximum length of a key in the log."""
_MAX_DIGITS = 15
_NUMBER = re.compile(r"[0-9]+")
_KEPT_IN_URL = "%/:=&?~+!$,;'@()*[]"


class MalformedMetadata(Exception):
    """A metadata.xml that cannot be used. The text is safe to log."""


@dataclass(frozen=True, slots=True)
class ParsedMetadata:
    """The content of one metadata.xml."""

    recording: Recording
    """With exactly one format; `published` is the value in the file."""
    left_out: tuple[str, ...] = ()
    """Keys of `<meta>` that cannot be the name of an XML element."""

    @property
    def format(self) -> PlaybackFormat:
        """Return the only format."""
        return self.recording.formats[0]


def parse_metadata_xml(body: bytes) -> ParsedMetadata:
    """Parse a metadata.xml. A missing or malformed number becomes None.

    Raises MalformedMetadata: too large, not well-formed, a DTD, or no usable id, format or link.
    """
    root = parse_metadata_tree(body)
    record_id = _text(root, "id")
    if record_id is None or not is_record_id(record_id):
        raise MalformedMetadata("no usable <id>")
    metadata, left_out = _metadata(root)
    state = _text(root, "state")
    return ParsedMetadata(
        Recording(
            record_id=record_id,
            meeting_id=_meeting_id(root),
            name=root.findtext("meta/meetingName"),
            published=(_text(root, "published") or "").lower() != "false",
            state=RecordingStates.PUBLISHED if state == "available" else state,
            participants=_number(_text(root, "participants"), _MAX_INTEGER),
            start_ms=_number(_text(root, "start_time"), _MAX_MS),
            end_ms=_number(_text(root, "end_time"), _MAX_MS),
            metadata=metadata,
            formats=(_format(root),),
        ),
        left_out,
    )


def parse_metadata_tree(body: bytes) -> etree._Element:
    """Return the root of a metadata.xml. Raises MalformedMetadata."""
    if len(body) > MAX_BYTES:
        raise MalformedMetadata("metadata.xml is too large")
    if has_dtd(body):
        raise MalformedMetadata("metadata.xml has a DTD")
    root = _parse_tree(body)
    document: Any = root.getroottree().docinfo
    if document.doctype:  # for example in UTF-16, which has_dtd does not read
        raise MalformedMetadata("metadata.xml has a DTD")
    if root.tag != "recording":
        raise MalformedMetadata("the root of metadata.xml is not <recording>")
    return root


def without_metadata(body: bytes, value: str | None) -> bytes | None:
    """Return a metadata.xml without the metadata that have a value; None: there are none.

    value: None is every value. The tenant stays. Raises MalformedMetadata.
    """
    root = parse_metadata_tree(body)
    kept, count = {*_NOT_METADATA, TENANT_KEY}, 0
    for parent in root.findall("meta"):
        for element in list(parent):
            if element.tag not in kept and value in (None, _content(element)):
                parent.remove(element)
                count += 1
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") if count else None


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
    )


def _parse_tree(body: bytes) -> etree._Element:
    try:
        return etree.fromstring(body, _parser(recover=False))
    except etree.XMLSyntaxError:
        # BBB writes the parameter `meta_a:b` of a front-end as `<a:b>` without declaring `a`.
        if _is_well_formed_without_namespaces(body):
            return etree.fromstring(body, _parser(recover=True))
        raise MalformedMetadata("metadata.xml is not well-formed") from None
    except (ValueError, LookupError):
        raise MalformedMetadata("metadata.xml is not well-formed") from None


def _is_well_formed_without_namespaces(body: bytes) -> bool:
    """Use a parser without namespaces: lxml's error log also has errors of earlier documents."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_dtd
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        return False
    return True


def _refuse_dtd(*_: object) -> None:
    raise MalformedMetadata("metadata.xml has a DTD")


def _meeting_id(root: etree._Element) -> str | None:
    text = root.findtext("meta/meetingId") or _attribute(root, "externalId")
    if text is not None and len(text.encode()) > _MAX_MEETING_ID_BYTES:
        raise MalformedMetadata("the meetingId is too long")
    return text


def _metadata(root: etree._Element) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the metadata, the last value of each key, and the keys that cannot be used."""
    found: dict[str, str] = {}
    left_out = []
    for element in root.iterfind("meta/*"):
        key = str(element.tag)
        if key in _NOT_METADATA:
            continue
        if not is_xml_name(key):  # with a namespace, or too long
            left_out.append(key.rpartition("}")[2][:_MAX_NAMED])
            continue
        found[key] = _content(element)
    return tuple(found.items()), tuple(left_out)


def _content(element: etree._Element) -> str:
    return "".join(str(part) for part in element.itertext())


def _format(root: etree._Element) -> PlaybackFormat:
    playback = root.find("playback")
    if playback is None:
        raise MalformedMetadata("no <playback>")
    name = _text(playback, "format")
    if name is None or not is_format(name):
        raise MalformedMetadata("no usable <format>")
    link = _text(playback, "link")
    if link is None:
        raise MalformedMetadata("no <link>")
    duration_ms = _number(_text(playback, "duration"), _MAX_MS)
    return PlaybackFormat(
        format=name,
        url=_path_of(link),
        length_min=None if duration_ms is None else _minutes(duration_ms),
        processing_time_ms=_number(_text(playback, "processing_time"), _MAX_INTEGER),
        thumbnails=_thumbnails(root, playback),
    )


def _minutes(duration_ms: int) -> int:
    return min((duration_ms + _MINUTE_MS // 2) // _MINUTE_MS, _MAX_INTEGER)


def _thumbnails(root: etree._Element, playback: etree._Element) -> tuple[Thumbnail, ...]:
    path = "extensions/preview/images/image"
    found: list[Thumbnail] = []
    for image in [*playback.iterfind(path), *root.iterfind(path)]:
        if link := (image.text or "").strip():
            found.append(
                Thumbnail(
                    width=_number(image.get("width"), _MAX_INTEGER),
                    height=_number(image.get("height"), _MAX_INTEGER),
                    alt=image.get("alt"),
                    url=_path_of(link),
                    sequence=len(found),
                )
            )
    return tuple(found)


def _path_of(link: str) -> str:
    """Return the path and query of a link, in ASCII without spaces; the appliance's host is used.

    The result cannot name another host in a browser (`//x`, `/\\x`) and cannot end a header.
    """
    try:
        parts = urlsplit(link)
    except ValueError:
        raise MalformedMetadata("a link is not a URL") from None
    url = "/" + parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    return quote(url, safe=_KEPT_IN_URL)


def _attribute(root: etree._Element, name: str) -> str | None:
    meeting = root.find("meeting")
    return None if meeting is None else meeting.get(name)


def _text(element: etree._Element, path: str) -> str | None:
    text = element.findtext(path)
    return (text.strip() or None) if text is not None else None


def _number(text: str | None, limit: int) -> int | None:
    """Return a number from 0 to `limit`, None for any other text."""
    text = (text or "").strip()
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= limit else None
