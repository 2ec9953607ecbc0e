"""What a tenant's front-end may see of servers' XML and recordings: no scoped id, none of the
metadata that are between us and the servers, none of our URLs in the place of its own.

Changes parsed elements; bbb_xml parses and writes them. All other metadata stay as they are.
Truth: spec/administration.md, Tenants; tenants/scoped_id.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lxml import etree

from appliance.callbacks.end_callback_url import END_CALLBACK_KEY, OUR_URL_HINT, front_ends_url
from appliance.recordings.metadata_xml import parse_metadata_tree
from appliance.recordings.recording import TENANT_KEY, Recording
from appliance.tenants.scoped_id import ORIGINAL_KEY, SEPARATOR, front_end_id, scoped_id

LRS_KEY = "secret-lrs-payload"
"""Metadata key of a tenant's credentials for its LRS, encrypted for the server (lrs_rules.py)."""

HIDDEN_KEYS = (ORIGINAL_KEY, LRS_KEY)
"""Metadata that are between us and the servers."""


def needs_view(body: bytes, tenant_id: str) -> bool:
    """Whether an answer to a tenant can hold anything that its front-end must not see."""
    hints = (f"{SEPARATOR}{tenant_id}", OUR_URL_HINT, *HIDDEN_KEYS)
    return any(hint.encode("utf-8", "surrogateescape") in body for hint in hints)


def show_meeting_as(root: etree._Element, tenant_id: str, meeting_id: str) -> None:
    """Turn the answer to a call that named `meeting_id` into what the front-end may see."""
    kept = scoped_id(meeting_id, tenant_id)
    _turn_back(root, tenant_id, kept, meeting_id, {kept: meeting_id})


def show_meetings(meetings: Iterable[etree._Element], tenant_id: str) -> None:
    """Turn a tenant's `<meeting>` elements, of all servers, into what its front-end may see."""
    own = [
        (meeting, meeting.findtext("meetingID") or "", _original(meeting)) for meeting in meetings
    ]
    shown = {kept: front_end_id(kept, tenant_id, original) for _, kept, original in own}
    for meeting, kept, _ in own:
        _turn_back(meeting, tenant_id, kept, shown[kept], shown)


def show_metadata_xml(body: bytes) -> bytes | None:
    """Return what viewers may see of a format's metadata.xml, which lies among its files.

    None: all of it, as it is. Raises MalformedMetadata.
    """
    if not any(hint.encode() in body for hint in (SEPARATOR, OUR_URL_HINT, *HIDDEN_KEYS)):
        return None
    root = parse_metadata_tree(body)
    tenant_id = root.findtext(f"meta/{TENANT_KEY}")
    if not tenant_id:
        return None
    before = etree.tostring(root)
    kept, meeting = root.find("meta/meetingId"), root.find("meeting")
    original = root.findtext(f"meta/{ORIGINAL_KEY}")
    if kept is not None and kept.text:
        kept.text = front_end_id(kept.text, tenant_id, original)
    if meeting is not None and (external := meeting.get("externalId")):
        meeting.set("externalId", front_end_id(external, tenant_id, original))
    for entry in root.findall("meta/*"):
        if entry.tag in HIDDEN_KEYS and (parent := entry.getparent()) is not None:
            parent.remove(entry)
        elif str(entry.tag).lower() == END_CALLBACK_KEY and entry.text:
            entry.text = front_ends_url(entry.text)
    if etree.tostring(root) == before:
        return None
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def show_recording(recording: Recording) -> Recording:
    """Return a recording as its tenant's front-end knows it."""
    metadata = dict(recording.metadata)
    original = metadata.get(ORIGINAL_KEY)
    meeting_id = recording.meeting_id
    if meeting_id is not None:
        meeting_id = front_end_id(meeting_id, recording.tenant_id, original)
    kept = tuple(
        [
            (key, front_ends_url(value) if key.lower() == END_CALLBACK_KEY else value)
            for key, value in metadata.items()
            if key not in HIDDEN_KEYS
        ]
    )
    return replace(recording, meeting_id=meeting_id, metadata=kept)


def _original(meeting: etree._Element) -> str | None:
    return meeting.findtext(f"metadata/{ORIGINAL_KEY}")


def _turn_back(
    root: etree._Element, tenant_id: str, kept: str, meeting_id: str, shown: Mapping[str, str]
) -> None:
    """`kept` is the id of the meeting that all of this is about, `shown` knows others' too."""
    suffix = f"{SEPARATOR}{tenant_id}"
    for metadata in list(root.iter("metadata")):
        for entry in list(metadata):
            if entry.tag in HIDDEN_KEYS:
                metadata.remove(entry)
            elif entry.tag == END_CALLBACK_KEY and entry.text:
                entry.text = front_ends_url(entry.text)
    for element in root.iter():
        if element.text and suffix in element.text and not _is_metadata(element):
            element.text = _shown_text(element.text, suffix, kept, meeting_id, shown)


def _is_metadata(element: etree._Element) -> bool:
    parent = element.getparent()
    return parent is not None and parent.tag == "metadata"


def _shown_text(
    text: str, suffix: str, kept: str, meeting_id: str, shown: Mapping[str, str]
) -> str:
    """Turn back an id, or all ids within a message."""
    if text in shown:
        return shown[text]
    around = text.split(kept) if kept.endswith(suffix) else [text]
    return meeting_id.join(part.replace(suffix, "") for part in around)
