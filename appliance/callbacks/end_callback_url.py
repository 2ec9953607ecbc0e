"""meta_endCallbackUrl of a meeting that is kept under a scoped id: a signed URL of ours instead.

BBB calls that URL when the meeting ends and tells it the meetingID, which here is one that no
front-end may see. So its server calls us, and we call the front-end with its own id. All that this
takes is in our URL; nothing is kept. A meeting that is kept under the front-end's id is not
concerned: there the server calls the front-end itself.
Pure. Truth: spec/administration.md, Tenants; BBB's MeetingService (meetingEnded).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from appliance.bbb.params import Params, encode_query, get
from appliance.callbacks.ended_rules import (
    MARKS,
    NAME,
    EndWatch,
    read_signed,
    sign,
    with_added,
)
from appliance.callbacks.rules import refusal_of_url
from appliance.model import TenantId
from appliance.tenants.end_callback import END_CALLBACK_KEY, OUR_URL_HINT, is_our_url

_PARAM = f"meta_{END_CALLBACK_KEY}"
_PURPOSE = "end callback"
_MAX_QUERY_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class EndCallback:
    """Whom to call when a meeting has ended, and what to say."""

    url: str = field(repr=False)
    meeting_id: str
    """The front-end's own."""
    tenant_id: TenantId
    began_ms: int
    """When the create came that asked for it, so that each run has a URL of its own."""
    marks: str | None = None
    """`true` or `false` as BBB added it; not covered by the signature."""

    @property
    def name(self) -> str:
        """Return what tells this call from others, however often it is made."""
        words = f"{self.tenant_id}\0{self.meeting_id}\0{self.began_ms}\0{self.url}"
        return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()

    @property
    def target(self) -> str:
        """Return the front-end's URL with what BBB adds to it."""
        marks = {} if self.marks is None else {MARKS: self.marks}
        return with_added(self.url, {**marks, NAME: self.meeting_id})


def relay_end_callback(
    params: Params, watch: EndWatch, *, meeting_id: str, tenant_id: TenantId
) -> Params:
    """Put our URL in the place of the front-end's; one that cannot be called is dropped."""
    relayed = []
    for name, value in params:
        if name.lower() != _PARAM or not value.strip():
            relayed.append((name, value))
        elif refusal_of_url(value.strip()) is None and watch.base_url and watch.secret:
            call = EndCallback(value.strip(), meeting_id, tenant_id, watch.run.began_ms)
            relayed.append((name, _our_url(call, watch)))
    return tuple(relayed)


def drop_relayed(params: Params) -> Params:
    """Drop our URL where it stands for the front-end's."""
    return tuple(
        [(name, value) for name, value in params if name.lower() != _PARAM or not is_our_url(value)]
    )


def _our_url(call: EndCallback, watch: EndWatch) -> str:
    query = encode_query(
        (
            ("url", call.url),
            ("meeting", call.meeting_id),
            ("tenant", call.tenant_id),
            ("began", str(call.began_ms)),
            ("signature", _signature(call, watch.secret)),
        )
    )
    return f"{watch.base_url}{OUR_URL_HINT}{query}"


def read_end_callback(query: bytes, secret: str) -> EndCallback | None:
    """Return what a call of our URL asks for; None: we have not signed it."""
    return read_signed(query, secret, _read_call, _signature, max_bytes=_MAX_QUERY_BYTES)


def _read_call(params: Params, began_ms: int, marks: str | None) -> EndCallback:
    return EndCallback(
        get(params, "url") or "",
        get(params, "meeting") or "",
        TenantId(get(params, "tenant") or ""),
        began_ms,
        marks,
    )


def _signature(call: EndCallback, secret: str) -> str:
    return sign(secret, _PURPOSE, call.url, call.meeting_id, call.tenant_id, call.began_ms)
