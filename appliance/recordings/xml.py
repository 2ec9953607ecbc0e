"""Renders the answers of the recording calls.

The XML is built from strings, not from a tree, since a listing of ten thousand recordings must take
less than half a second. Pure. Source: answers of BBB and Scalelite, including the order of
elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from appliance.bbb.xml_text import escape_text, has_forbidden, is_xml_name
from appliance.recordings.recording import PlaybackFormat, Recording

LISTING_HEAD = b"<response><returncode>SUCCESS</returncode><recordings>"
LISTING_TAIL = b"</recordings>"
NO_RECORDINGS = (
    b"<response><returncode>SUCCESS</returncode><recordings/><messageKey>noRecordings</messageKey>"
    b"<message>There are not recordings for the meetings</message>"
)
LISTING_END = b"</response>"
"""Follows LISTING_TAIL or NO_RECORDINGS and the pagination."""


class RecordingWriter:
    """Renders recordings for one request, and collects those that are not valid XML."""

    def __init__(self, base_url: str, *, show_protected: bool) -> None:
        """`base_url` is scheme and host; `show_protected` adds the element `protected`."""
        self._base = escape_text(base_url)
        self._show_protected = show_protected
        self.invalid: set[str] = set()
        """Ids of recordings with an invalid XML name as key, or with forbidden characters."""

    def write(self, recording: Recording, tokens: Sequence[str] = ()) -> str:
        """Return one `<recording>`; `tokens` has one token for each format of a protected one."""
        record_id = escape_text(recording.record_id)
        parts = [f"<recording><recordID>{record_id}</recordID>"]
        if recording.meeting_id is not None:
            parts.append(f"<meetingID>{self._text(recording, recording.meeting_id)}</meetingID>")
        parts.append(f"<internalMeetingID>{record_id}</internalMeetingID>")
        if recording.name is not None:
            parts.append(f"<name>{self._text(recording, recording.name)}</name>")
        parts.append(f"<published>{_boolean(recording.published)}</published>")
        if self._show_protected:
            parts.append(f"<protected>{_boolean(recording.protected)}</protected>")
        if recording.state is not None:
            parts.append(f"<state>{self._text(recording, recording.state)}</state>")
        if recording.start_ms is not None:
            parts.append(f"<startTime>{recording.start_ms}</startTime>")
        if recording.end_ms is not None:
            parts.append(f"<endTime>{recording.end_ms}</endTime>")
        if recording.participants is not None:
            parts.append(f"<participants>{recording.participants}</participants>")
        self._write_metadata(recording, parts)
        self._write_formats(recording, tokens, parts)
        parts.append("</recording>")
        return "".join(parts)

    def _write_metadata(self, recording: Recording, parts: list[str]) -> None:
        parts.append("<metadata>")
        for key, value in recording.metadata:
            if not is_xml_name(key):
                self.invalid.add(recording.record_id)
            elif value:
                parts.append(f"<{key}>{self._text(recording, value)}</{key}>")
            else:
                # As in Scalelite: front-ends distinguish empty from missing values by it.
                parts.append(f"<{key}><![CDATA[]]></{key}>")
        parts.append("</metadata>")

    def _write_formats(self, recording: Recording, tokens: Sequence[str], parts: list[str]) -> None:
        parts.append("<playback>")
        for number, shown in enumerate(recording.formats):
            if recording.protected:
                token = tokens[number]
                path = f"/recording/{quote(recording.record_id)}/{quote(shown.format)}"
                url = f"{self._base}{path}?token={quote(token)}"
            else:
                url = self._url(recording, shown.url)
            parts.append(f"<format><type>{self._text(recording, shown.format)}</type>")
            parts.append(f"<url>{url}</url>")
            if shown.length_min is not None:
                parts.append(f"<length>{shown.length_min}</length>")
            if shown.processing_time_ms is not None:
                parts.append(f"<processingTime>{shown.processing_time_ms}</processingTime>")
            if shown.thumbnails and not recording.protected:
                self._write_preview(recording, shown, parts)
            parts.append("</format>")
        parts.append("</playback>")

    def _write_preview(self, recording: Recording, shown: PlaybackFormat, parts: list[str]) -> None:
        parts.append("<preview><images>")
        for image in shown.thumbnails:
            parts.append("<image")
            if image.alt is not None:
                parts.append(f' alt="{self._text(recording, image.alt)}"')
            if image.width is not None:
                parts.append(f' width="{image.width}"')
            if image.height is not None:
                parts.append(f' height="{image.height}"')
            parts.append(f">{self._url(recording, image.url)}</image>")
        parts.append("</images></preview>")

    def _url(self, recording: Recording, stored: str) -> str:
        """Return the public URL of a stored path, which may lack the leading slash."""
        path = self._text(recording, stored)
        return f"{self._base}{path}" if path.startswith("/") else f"{self._base}/{path}"

    def _text(self, recording: Recording, text: str) -> str:
        written = escape_text(text)
        # Only a text that was changed can have lost a character.
        if written is not text and has_forbidden(text):
            self.invalid.add(recording.record_id)
        return written


def render_pagination(offset: int, limit: int | None, total: int) -> bytes:
    """Render the place of a page among `total` recordings; without a limit all are on one page.

    Source: BBB 2.6, XmlServiceImpl.constructPaginatedResponse.
    """
    limit = total if limit is None else limit
    empty = _boolean(limit == 0 or offset >= total)
    return (
        f"<pagination><pageable><offset>{offset}</offset><limit>{limit}</limit>"
        "<paged>true</paged><unpaged>false</unpaged></pageable>"
        f"<totalElements>{total}</totalElements><empty>{empty}</empty></pagination>"
    ).encode()


def render_published(published: bool) -> bytes:
    """Render the answer of publishRecordings."""
    return _render_done("published", published)


def render_updated(updated: bool) -> bytes:
    """Render the answer of updateRecordings."""
    return _render_done("updated", updated)


def render_deleted() -> bytes:
    """Render the answer of deleteRecordings."""
    return _render_done("deleted", True)


def _render_done(name: str, value: bool) -> bytes:
    return (
        f"<response><returncode>SUCCESS</returncode><{name}>{_boolean(value)}</{name}></response>"
    ).encode()


def _boolean(value: bool) -> str:
    return "true" if value else "false"
