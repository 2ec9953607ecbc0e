"""Learning analytics: the URL in creates, the reports of servers, and the bodies for front-ends.

A front-end gets the body of the server byte for byte, with `customer` added. Only what a tenant's
front-end must not see is changed: a scoped meeting id, and the metadata that the appliance added.
Pure. Source: BBB's post_events_analytics_callback.rb; `customer`, the tenant's name, is
Scalelite's.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from appliance.bbb.params import Params
from appliance.tenants.end_callback import END_CALLBACK_KEY, original_url
from appliance.tenants.scoped_id import ORIGINAL_KEY, front_end_id
from appliance.tenants.view import HIDDEN_KEYS

ANALYTICS_CALL = "analytics_callback"
"""Name of the appliance's call for servers, below the path of the API."""
ANALYTICS_PARAM = "meta_analytics-callback-url"
"""Compared in lower case, since BBB lower-cases the names of metadata."""
DEFAULT_CUSTOMER = "scalelite"
"""The `customer` without tenants, as in Scalelite, whose value receivers know."""
TENANT_ID = "tenant_id"
"""Key of a stored report."""
MAX_BODY_BYTES = 16 * 1024 * 1024
"""The report of a day with hundreds of users has about 2 MB."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}").fullmatch
_BLANKS = b" \t\r\n"


def _spellings(key: str) -> tuple[str, str]:
    """Return both names of a metadata key: BBB's script replaces `-` by `_`."""
    return key, key.replace("-", "_")


_HIDDEN = frozenset(name for key in HIDDEN_KEYS for name in _spellings(key))
_MEETING_KEYS = frozenset({"meeting_id", "meetingId"})
"""Keys of the report's metadata, which come from events.xml, that repeat the meetingID."""


class BadReport(Exception):
    """A server posted an invalid report. The text is safe to show."""


@dataclass(frozen=True, slots=True)
class Report:
    """A server's report about one run of a meeting."""

    meeting_id: str
    """The id under which the server had the meeting."""
    internal_id: str | None
    original_id: str | None
    """The front-end's id, if it cannot be derived from `meeting_id` (tenants/scoped_id.py)."""
    body: bytes = field(repr=False)
    has_customer: bool = False
    has_hidden: bool = False
    """Whether its metadata contain keys that the appliance added."""


def extract_analytics_url(params: Params) -> tuple[Params, str | None]:
    """Remove the front-end's URL, in any case, from a create's parameters and return both."""
    url = None
    kept = []
    for name, value in params:
        if name.lower() == ANALYTICS_PARAM:
            url = url or value.strip() or None
        else:
            kept.append((name, value))
    return tuple(kept), url


def report_url(base_url: str) -> str:
    """Return the URL to which servers post their reports."""
    return f"{base_url}/bigbluebutton/api/{ANALYTICS_CALL}"


def read_report(body: bytes) -> Report:
    """Parse a report. Raises BadReport."""
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
    """Return the front-end's meetingID of a report's meeting."""
    return front_end_id(report.meeting_id, tenant_id, report.original_id)


def render_report(
    report: Report, *, meeting_id: str, customer: str, is_tenants: bool = False
) -> bytes:
    """Return the body for the front-end; `is_tenants`: the front-end is a tenant's."""
    if report.has_customer or report.meeting_id != meeting_id or (is_tenants and report.has_hidden):
        document = _parse(report.body) | {"meeting_id": meeting_id, "customer": customer}
        if is_tenants:
            _hide_internal_metadata(_metadata(document), report.meeting_id, meeting_id)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    # The object has `meeting_id` at least, so the comma is correct.
    added = f',"customer":{json.dumps(customer)}}}'.encode()
    return report.body.rstrip(_BLANKS).removesuffix(b"}") + added


def render_stored(sent: bytes, tenant_id: str | None) -> bytes:
    """Return the file of a report that was rendered: with the id of its tenant, if it has one.

    The tenant may be renamed, and `customer` become the name of another.
    """
    if tenant_id is None:
        return sent
    return sent.removesuffix(b"}") + f',"{TENANT_ID}":{json.dumps(tenant_id)}}}'.encode()


def _hide_internal_metadata(metadata: dict[str, Any], kept: str, meeting_id: str) -> None:
    """Remove from a report's metadata what a tenant's front-end must not see."""
    for key in _HIDDEN & metadata.keys():
        del metadata[key]
    for key in _MEETING_KEYS & metadata.keys():
        if metadata[key] == kept:
            metadata[key] = meeting_id
    if isinstance(metadata.get(END_CALLBACK_KEY), str):
        metadata[END_CALLBACK_KEY] = original_url(metadata[END_CALLBACK_KEY])


def file_name_of(report: Report) -> str:
    """Return a file name for a report: the id of its run if that is valid, else a hash."""
    if report.internal_id and _FILE_NAME(report.internal_id):
        return report.internal_id
    text = f"{report.internal_id}\0{report.meeting_id}".encode("utf-8", "replace")
    return hashlib.sha256(text).hexdigest()


def is_file_name(text: str) -> bool:
    """Whether a text is a valid file name of a report."""
    return _FILE_NAME(text) is not None
