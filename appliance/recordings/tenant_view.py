"""Views of recordings for a tenant's front-end and viewers; see tenants/view.py. Pure."""

from __future__ import annotations

from dataclasses import replace

from lxml import etree

from appliance.recordings.imports.metadata_xml import parse_metadata_tree
from appliance.recordings.recording import Recording
from appliance.tenants.end_callback import END_CALLBACK_KEY, RELAY_URL_HINT, original_url
from appliance.tenants.params import TENANT_KEY
from appliance.tenants.scoped_id import ORIGINAL_KEY, SEPARATOR, front_end_id
from appliance.tenants.view import HIDDEN_KEYS


def show_metadata_xml(body: bytes) -> bytes | None:
    """Return the view of a format's metadata.xml, which is one of its files.

    None: it is unchanged. Raises MalformedMetadata.
    """
    if not any(hint.encode() in body for hint in (SEPARATOR, RELAY_URL_HINT, *HIDDEN_KEYS)):
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
            entry.text = original_url(entry.text)
    if etree.tostring(root) == before:
        return None
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def show_recording(recording: Recording) -> Recording:
    """Return the view of a recording for its tenant's front-end."""
    metadata = dict(recording.metadata)
    original = metadata.get(ORIGINAL_KEY)
    meeting_id = recording.meeting_id
    if meeting_id is not None:
        meeting_id = front_end_id(meeting_id, recording.tenant_id, original)
    kept = tuple(
        [
            (key, original_url(value) if key.lower() == END_CALLBACK_KEY else value)
            for key, value in metadata.items()
            if key not in HIDDEN_KEYS
        ]
    )
    return replace(recording, meeting_id=meeting_id, metadata=kept)
