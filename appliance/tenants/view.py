"""Views of servers' XML for a tenant's front-end.

They replace scoped ids by the original ones, remove the metadata that the appliance added for the
servers, and restore the front-end's own end callback URL. Everything else is unchanged. Source:
docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lxml import etree

from appliance.bbb.meeting_list import MeetingList
from appliance.bbb.xml import parse_tree
from appliance.tenants.end_callback import END_CALLBACK_KEY, RELAY_URL_HINT, original_url
from appliance.tenants.scoped_id import ORIGINAL_KEY, SEPARATOR, front_end_id, scoped_id

LRS_KEY = "secret-lrs-payload"
"""Metadata key of a tenant's credentials for its LRS, encrypted for the server (lrs_rules.py)."""

HIDDEN_KEYS = (ORIGINAL_KEY, LRS_KEY)
"""Metadata keys that the appliance adds for servers and hides from front-ends."""


def needs_view(body: bytes, tenant_id: str) -> bool:
    """Whether an answer to a tenant may contain anything that its front-end must not see."""
    hints = (f"{SEPARATOR}{tenant_id}", RELAY_URL_HINT, *HIDDEN_KEYS)
    return any(hint.encode("utf-8", "surrogateescape") in body for hint in hints)


def show_list(one: MeetingList, tenant_id: str | None) -> bytes:
    """Return the `<meeting>` elements of a list for a front-end, as its server wrote them.

    With `tenant_id` those of that tenant's meetings, as views for its front-end; without, those of
    meetings of no tenant.
    """
    elements = [entry.xml for entry in one.entries if entry.read.tenant_id == tenant_id]
    return b"".join(show_meeting_elements(elements, tenant_id) if tenant_id else elements)


def show_answer(body: bytes, tenant_id: str | None, meeting_id: str) -> bytes:
    """Return the view of an answer to a call about `meeting_id` (the front-end's id).

    `body` was accepted by `parse_answer`; in most cases it is returned unchanged.
    """
    if tenant_id is None or not needs_view(body, tenant_id):
        return body
    root = parse_tree(body)
    show_meeting_as(root, tenant_id, meeting_id)
    return etree.tostring(root, encoding="utf-8")


def show_meeting_elements(elements: Sequence[bytes], tenant_id: str) -> list[bytes]:
    """Return the views of a tenant's `<meeting>` elements of one server."""
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
    """Change the answer to a call about `meeting_id` into its view."""
    kept = scoped_id(meeting_id, tenant_id)
    _restore(root, tenant_id, kept, meeting_id, {kept: meeting_id})


def show_meetings(meetings: Iterable[etree._Element], tenant_id: str) -> None:
    """Change a tenant's `<meeting>` elements of one server into their views."""
    own = [
        (meeting, meeting.findtext("meetingID") or "", _original(meeting)) for meeting in meetings
    ]
    shown = {kept: front_end_id(kept, tenant_id, original) for _, kept, original in own}
    for meeting, kept, _ in own:
        _restore(meeting, tenant_id, kept, shown[kept], shown)


def _original(meeting: etree._Element) -> str | None:
    return meeting.findtext(f"metadata/{ORIGINAL_KEY}")


def _restore(
    root: etree._Element, tenant_id: str, kept: str, meeting_id: str, shown: Mapping[str, str]
) -> None:
    """Restore ids, metadata and URLs below `root`.

    `kept` is the stored id of the meeting that the element is about, `meeting_id` the front-end's;
    `shown` maps the stored ids of all known meetings to the front-end's.
    """
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
    """Restore an id, or all ids within a message."""
    if text in shown:
        return shown[text]
    around = text.split(kept) if kept.endswith(suffix) else [text]
    return meeting_id.join(part.replace(suffix, "") for part in around)
