"""What a tenant's front-end may see of servers' XML and recordings: no scoped id, none of the
metadata that are between us and the servers, none of our URLs in the place of its own.

Changes parsed elements; bbb_xml parses and writes them. All other metadata stay as they are.
Truth: spec/administration.md, Tenants; tenants/scoped_id.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lxml import etree

from appliance.bbb.meeting_list import MeetingList
from appliance.bbb.xml import parse_tree, render_meetings
from appliance.tenants.end_callback import END_CALLBACK_KEY, RELAY_URL_HINT, original_url
from appliance.tenants.scoped_id import ORIGINAL_KEY, SEPARATOR, front_end_id, scoped_id

LRS_KEY = "secret-lrs-payload"
"""Metadata key of a tenant's credentials for its LRS, encrypted for the server (lrs_rules.py)."""

HIDDEN_KEYS = (ORIGINAL_KEY, LRS_KEY)
"""Metadata that are between us and the servers."""


def needs_view(body: bytes, tenant_id: str) -> bool:
    """Whether an answer to a tenant can hold anything that its front-end must not see."""
    hints = (f"{SEPARATOR}{tenant_id}", RELAY_URL_HINT, *HIDDEN_KEYS)
    return any(hint.encode("utf-8", "surrogateescape") in body for hint in hints)


def merge_lists(lists: Sequence[MeetingList], tenant_id: str | None) -> bytes:
    """Join lists into one answer, each meeting as its server wrote it.

    With `tenant_id` only that tenant's meetings are left, as its front-end knows them; without,
    only those of no tenant.
    """
    elements = [
        entry.xml for one in lists for entry in one.entries if entry.read.tenant_id == tenant_id
    ]
    return render_meetings(show_meeting_elements(elements, tenant_id) if tenant_id else elements)


def show_answer(body: bytes, tenant_id: str | None, meeting_id: str) -> bytes:
    """Return what a front-end may see of an answer to a call that named `meeting_id`.

    Takes what `parse_answer` accepted; nearly always it is handed on as it is.
    """
    if tenant_id is None or not needs_view(body, tenant_id):
        return body
    root = parse_tree(body)
    show_meeting_as(root, tenant_id, meeting_id)
    return etree.tostring(root, encoding="utf-8")


def show_meeting_elements(elements: Sequence[bytes], tenant_id: str) -> list[bytes]:
    """Return what its front-end may see of a tenant's `<meeting>` elements, of all servers."""
    parsed = {
        index: parse_tree(element)
        for index, element in enumerate(elements)
        if needs_view(element, tenant_id)
    }
    show_meetings(list(parsed.values()), tenant_id)
    return [
        etree.tostring(parsed[index], encoding="utf-8") if index in parsed else element
        for index, element in enumerate(elements)
    ]


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
                entry.text = original_url(entry.text)
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
