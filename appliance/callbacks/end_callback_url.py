"""The signed URL that replaces meta_endCallbackUrl for a meeting with a scoped id.

BBB calls meta_endCallbackUrl at the end of a meeting with its meetingID. A scoped id must not be
visible to front-ends, so the server calls the appliance, which calls the front-end with the
original id. The URL contains everything that this needs; nothing is stored. For a meeting without a
scoped id the server calls the front-end directly. Pure. Source: BBB's MeetingService
(meetingEnded); docs/callbacks.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from appliance.bbb.params import Params, encode_query, get
from appliance.callbacks.ended_rules import (
    MARKS,
    NAME,
    EndUrlSigner,
    read_signed_url,
    sign_values,
    with_added,
)
from appliance.callbacks.rules import refusal_of_url
from appliance.model import TenantId
from appliance.tenants.end_callback import END_CALLBACK_PARAM, RELAY_URL_HINT, is_relay_url

_PURPOSE = "end callback"
_MAX_QUERY_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class EndCallback:
    """A front-end's meta_endCallbackUrl, with the meeting that it is for."""

    url: str = field(repr=False)
    meeting_id: str
    """The front-end's id."""
    tenant_id: TenantId
    began_ms: int
    """Arrival time of the create, so that each run has a URL of its own."""
    marks: str | None = None
    """`true` or `false` as added by BBB; not covered by the signature."""

    @property
    def name(self) -> str:
        """Return a name that identifies this call, for deduplication."""
        words = f"{self.tenant_id}\0{self.meeting_id}\0{self.began_ms}\0{self.url}"
        return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()

    @property
    def target(self) -> str:
        """Return the front-end's URL with the parameters that BBB adds."""
        marks = {} if self.marks is None else {MARKS: self.marks}
        return with_added(self.url, {**marks, NAME: self.meeting_id})


def relay_end_callback(
    params: Params, signer: EndUrlSigner, *, meeting_id: str, tenant_id: TenantId
) -> Params:
    """Replace the front-end's URL by one of the appliance; drop one that must not be called."""
    relayed = []
    for name, value in params:
        if name.lower() != END_CALLBACK_PARAM or not value.strip():
            relayed.append((name, value))
        elif refusal_of_url(value.strip()) is None and signer.base_url and signer.secret:
            call = EndCallback(value.strip(), meeting_id, tenant_id, signer.run.began_ms)
            relayed.append((name, _relay_url(call, signer)))
    return tuple(relayed)


def drop_relayed(params: Params) -> Params:
    """Drop the appliance's URL that replaces meta_endCallbackUrl."""
    return tuple(
        [
            (name, value)
            for name, value in params
            if name.lower() != END_CALLBACK_PARAM or not is_relay_url(value)
        ]
    )


def _relay_url(call: EndCallback, signer: EndUrlSigner) -> str:
    query = encode_query(
        (
            ("url", call.url),
            ("meeting", call.meeting_id),
            ("tenant", call.tenant_id),
            ("began", str(call.began_ms)),
            ("signature", _signature(call, signer.secret)),
        )
    )
    return f"{signer.base_url}{RELAY_URL_HINT}{query}"


def read_end_callback(query: bytes, secret: str) -> EndCallback | None:
    """Return the call that a relayed URL requests; None: the appliance has not signed it."""
    return read_signed_url(query, secret, _read_call, _signature, max_bytes=_MAX_QUERY_BYTES)


def _read_call(params: Params, began_ms: int, marks: str | None) -> EndCallback:
    return EndCallback(
        get(params, "url") or "",
        get(params, "meeting") or "",
        TenantId(get(params, "tenant") or ""),
        began_ms,
        marks,
    )


def _signature(call: EndCallback, secret: str) -> str:
    return sign_values(secret, _PURPOSE, call.url, call.meeting_id, call.tenant_id, call.began_ms)
