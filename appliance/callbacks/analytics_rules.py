"""Learning analytics: our URL in creates, what servers post there, what goes on to front-ends.

What goes on is the body as it came, byte for byte, and `customer` beside it (fault 27 of Scalelite:
leftovers of its framework). Only what no tenant's front-end may see is changed: the id of a meeting
that is kept under another one, and the metadata that are between us and the servers.
Pure. Truth: BBB's post_events_analytics_callback.rb; Scalelite's `customer` is the tenant's name.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from appliance.bbb.params import Params
from appliance.tenants.end_callback import END_CALLBACK_KEY, front_ends_url
from appliance.tenants.scoped_id import ORIGINAL_KEY, front_end_id
from appliance.tenants.view import HIDDEN_KEYS

ANALYTICS_CALL = "analytics_callback"
"""Name of our call, below the path of the API."""
ANALYTICS_PARAM = "meta_analytics-callback-url"
"""Servers write the names of metadata in lower case, so it may be spelt otherwise."""
NOBODY = "scalelite"
"""The `customer` without tenants: what Scalelite says, since receivers know it."""
MAX_BODY_BYTES = 16 * 1024 * 1024
"""A day with hundreds of users is about two."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}").fullmatch
_BLANKS = b" \t\r\n"


def _spellings(key: str) -> tuple[str, str]:
    """Return the names of a piece of metadata: BBB's script writes `_` for `-`."""
    return key, key.replace("-", "_")


_HIDDEN = frozenset(name for key in HIDDEN_KEYS for name in _spellings(key))
_MEETING_KEYS = frozenset({"meeting_id", "meetingId"})
"""Under which events.xml, and so the report's metadata, have the meetingID once more."""


class BadReport(Exception):
    """What a server posted is no report of a meeting. Its text is safe to show."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a server has posted about one run of a meeting."""

    meeting_id: str
    """As its server knows it."""
    internal_id: str | None
    original_id: str | None
    """The front-end's id, where the server's cannot tell it (tenants/scoped_id.py)."""
    body: bytes = field(repr=False)
    has_customer: bool = False
    has_hidden: bool = False
    """Whether its metadata hold what is between us and the servers."""


def take_analytics_url(params: Params) -> tuple[Params, str | None]:
    """Take the front-end's URL out of a create's parameters, in all its spellings."""
    url = None
    kept = []
    for name, value in params:
        if name.lower() == ANALYTICS_PARAM:
            url = url or value.strip() or None
        else:
            kept.append((name, value))
    return tuple(kept), url


def analytics_url(base_url: str) -> str:
    """Return our URL, to which servers are to post."""
    return f"{base_url}/bigbluebutton/api/{ANALYTICS_CALL}"


def read_report(body: bytes) -> Report:
    """Read what a server has posted. Raises BadReport."""
    document = _parse(body)
    metadata = _metadata(document)
    meeting_id, internal_id = document.get("meeting_id"), document.get("internal_meeting_id")
    if not isinstance(meeting_id, str) or not meeting_id:
        raise BadReport("meeting_id is missing")
    return Report(
        meeting_id,
        internal_id if isinstance(internal_id, str) else None,
        _original_id(metadata),
        body,
        "customer" in document,
        not _HIDDEN.isdisjoint(metadata),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadReport("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadReport("the body is not a JSON object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _metadata(document: dict[str, Any]) -> dict[str, Any]:
    data = document.get("data")
    metadata = data.get("metadata") if isinstance(data, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _original_id(metadata: dict[str, Any]) -> str | None:
    for key in _spellings(ORIGINAL_KEY):
        if isinstance(metadata.get(key), str):
            return str(metadata[key])
    return None


def front_end_id_of(report: Report, tenant_id: str | None) -> str:
    """Return the meetingID by which the front-end knows the meeting of a report."""
    return front_end_id(report.meeting_id, tenant_id, report.original_id)


def body_for(report: Report, *, meeting_id: str, customer: str, is_tenants: bool = False) -> bytes:
    """Return what the front-end gets; `is_tenants`: it is a tenant's."""
    if report.has_customer or report.meeting_id != meeting_id or (is_tenants and report.has_hidden):
        document = _parse(report.body) | {"meeting_id": meeting_id, "customer": customer}
        if is_tenants:
            _show_metadata(_metadata(document), report.meeting_id, meeting_id)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    # It has `meeting_id`, so there is something before it.
    added = f',"customer":{json.dumps(customer)}}}'.encode()
    return report.body.rstrip(_BLANKS).removesuffix(b"}") + added


def _show_metadata(metadata: dict[str, Any], kept: str, meeting_id: str) -> None:
    """Leave in a report's metadata what its tenant's front-end may see."""
    for key in _HIDDEN & metadata.keys():
        del metadata[key]
    for key in _MEETING_KEYS & metadata.keys():
        if metadata[key] == kept:
            metadata[key] = meeting_id
    if isinstance(metadata.get(END_CALLBACK_KEY), str):
        metadata[END_CALLBACK_KEY] = front_ends_url(metadata[END_CALLBACK_KEY])


def file_name_of(report: Report) -> str:
    """Return a name for the file of a report: that of its run, if it is a good one."""
    if report.internal_id and _FILE_NAME(report.internal_id):
        return report.internal_id
    text = f"{report.internal_id}\0{report.meeting_id}".encode("utf-8", "replace")
    return hashlib.sha256(text).hexdigest()


def is_file_name(text: str) -> bool:
    """Whether a text may name the file of a report."""
    return _FILE_NAME(text) is not None
