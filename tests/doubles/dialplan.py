"""The requests of FreeSWITCH's mod_xml_curl: the complete forms of tests/data/fsapi.

`call.form` is an incoming call, `pin.form` the same call after its PIN was entered, with the
variables set by `play_and_get_digits` and `transfer`. Source of the field names: FreeSWITCH's
`xml_url_fetch` (mod_xml_curl.c), `switch_event_prep_for_delivery_detailed` (switch_event.c),
`switch_channel_event_set_basic_data` (switch_channel.c), `switch_caller_profile_event_set_data`
(switch_caller.c) and its documentation of channel variables.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

DATA = Path(__file__).resolve().parents[1] / "data" / "fsapi"
DIALLED = "+49305550100"
"""The called number of `call.form`."""
PIN = "123456789"
"""The PIN of `pin.form`."""


def form(name: str, **changes: str | None) -> bytes:
    """Return a form of tests/data/fsapi with changed fields; None removes a field.

    `caller_id_name` is Caller-Caller-ID-Name, and so on; `pin` sets variable_pin and the number to
    which the call was transferred.
    """
    raw = (DATA / f"{name}.form").read_bytes()
    if not changes:
        return raw
    fields = dict(parse_qsl(raw.decode(), keep_blank_values=True))
    assert len(fields) == raw.count(b"&") + 1
    for key, value in changes.items():
        for field in _fields_of(key):
            if value is None:
                fields.pop(field)
            else:
                fields[field] = value
    return urlencode(fields).encode()


def _fields_of(key: str) -> Iterable[str]:
    if key == "pin":
        return ("variable_pin", "Caller-Destination-Number", "Hunt-Destination-Number")
    known = {
        "number": "Caller-Destination-Number",
        "caller_id_name": "Caller-Caller-ID-Name",
        "caller_id_number": "Caller-Caller-ID-Number",
        "hide_name": "Caller-Privacy-Hide-Name",
        "hide_number": "Caller-Privacy-Hide-Number",
    }
    return (known.get(key, key),)


def basic(user: str, password: str) -> str:
    """Return an Authorization header."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Authorization: Basic {token}"
