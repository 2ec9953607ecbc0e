r"""Templates of dial strings: where a call to a meeting is sent. Pure.

`sofia/external/{pin}@{host}:{port}`, of FSAPI_BRIDGE or of one server. FreeSWITCH expands variables
and runs programs in what it is given (`${system …}`), so a template holds nothing that it could
expand, and what replaces the placeholders is made of characters that mean nothing to it.
Source: docs/dial-in.md; dialin/escaping.py has what FreeSWITCH reads.
"""

from __future__ import annotations

import re

PLACEHOLDERS = ("pin", "host", "port", "meeting")
DEFAULT_PORT = 5060
"""Of SIP; livekit-sip has 5062 on a BBB server."""
DEFAULT_BRIDGE = "sofia/external/{pin}@{host}"
MAX_LENGTH = 512

_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")
_REFUSED = re.compile(r"[$\\'\"{}]|%[ %]*[+-]?[0-9A-Fa-f]")
"""The last one is decoded by the FreeSWITCH that gets the call."""
_RUNS = re.compile(
    r"(?:exec|hook|group_confirm|transfer)[\w-]*\s*=|(?<![\w-])api_[\w-]*\s*=|(?<!\w)loopback/|://",
    re.IGNORECASE,
)
"""Variables of a leg that run an application or a command, an endpoint that does, and file formats
that do: `[execute_on_answer=system id]`, `loopback/system:id/x/inline`, `shell_stream://id`."""
_UNSAFE = re.compile(rb"[^A-Za-z0-9._~-]")


def check_dial_string(text: str) -> str:
    """Return a template as it is stored. Raises ValueError with a readable reason."""
    text = text.strip(" ")
    if not text:
        raise ValueError("the dial string is empty")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the dial string must not be longer than {MAX_LENGTH} characters")
    if not text.isprintable():
        raise ValueError("the dial string must not hold control characters")
    # A digit stands for the placeholders: `{{pin}}` is refused, and so is `%{pin}`.
    if _REFUSED.search(_PLACEHOLDER.sub("0", text)):
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(
            "the dial string must not hold $, \\, quotes, %XX or braces other than those of "
            + known
        )
    if _RUNS.search(text):
        raise ValueError(
            "the dial string must not hold what runs programs on the gateway: loopback/, :// or"
            " variables such as execute_on_answer, api_on_answer, transfer_after_bridge"
        )
    return text


def fill_dial_string(template: str, *, pin: str, host: str, port: int, meeting: str) -> str:
    """Return the dial string of one call.

    `pin` is digits and `host` a host or IPv6 address in brackets, as dialin/ has checked. Of the
    meeting's id every character but letters, digits and `.-_~` is written as `=XX` for each of its
    bytes: so no two ids get the same text.
    """
    coded = _UNSAFE.sub(lambda byte: b"=%02X" % byte[0][0], meeting.encode("utf-8", "replace"))
    values = {"pin": pin, "host": host, "port": str(port), "meeting": coded.decode()}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
