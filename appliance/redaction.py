"""Masks secrets and escapes control characters in text that is logged or shown. Pure.

The only place that knows the names of secrets: used for every event of the log, for messages about
the configuration, and by `config check` and ctl.
"""

from __future__ import annotations

import re

MASK = "***"

_WORDS = (
    "secret|password|passwd|passphrase|checksum(?!Error)|token|authorization|cookie"
    "|private_?key|api_?key|access_?key|key_?base|credential|signature|signed_?param"
)
_SECRET_NAME = re.compile(rf"{_WORDS}|(?:^|[^a-z])pw$|[a-z]pw$|^pw", re.IGNORECASE)

# Repetitions are bounded: the text is untrusted, and the time must stay linear in its length.
_ASSIGNMENT = re.compile(
    rf"((?:{_WORDS}|pwd?(?![a-z]))[\w.\[\]-]{{0,40}}[\"']?\s{{0,4}}(?:=|%3D|:(?!//))\s{{0,4}})"
    r"""(?:"[^"]*"|'[^']*'|(?:(?:Bearer|Basic)\s+)?[^&\s"'<>]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s{1,4}[\w.~+/=-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s:/?#@]{0,200}:)[^\s/?#@]{1,500}@")
_USERINFO_OF_ONE_URL = re.compile(r"(://[^:/?#@]*:).*@", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Return whether a field, parameter or variable of this name holds a secret.

    Includes `moderatorPW` and `attendee_pw`, BigBlueButton's names for passwords.
    """
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """Mask values after the name of a secret, credentials, and passwords of URLs in a text.

    Takes time linear in the length of the text.
    """
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _ASSIGNMENT.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def mask_url(url: str) -> str:
    """Mask the password of a URL, also of a malformed one (`p/ss`, `p#ss`, `p@ss`)."""
    return mask_text(_USERINFO_OF_ONE_URL.sub(rf"\1{MASK}@", url, count=1))


def escape_control(text: str) -> str:
    """Return a text as a printable line: control characters become backslash escapes.

    The result can neither forge a line of the log nor control a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
