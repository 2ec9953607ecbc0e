"""What must never be shown, and how it is blotted out: names of secrets, and secrets inside text.

Pure. `log_line` (every event) and `settings` (error message, `config check`) both use these rules,
so that a secret's name is known in one place. Source: spec/quality.md, section Security.
"""

from __future__ import annotations

import re

MASK = "***"

_WORDS = (
    "secret|password|passwd|passphrase|checksum(?!Error)|token|authorization|cookie"
    "|private_?key|api_?key|access_?key|key_?base|credential|signature|signed_?param"
)
_SECRET_NAME = re.compile(rf"{_WORDS}|(?:^|[^a-z])pw$|[a-z]pw$|^pw", re.IGNORECASE)

# Every repetition is bounded: an attacker chooses the text, and must not choose our CPU time.
_ASSIGNMENT = re.compile(
    rf"((?:{_WORDS}|pwd?(?![a-z]))[\w.\[\]-]{{0,40}}[\"']?\s{{0,4}}(?:=|%3D|:(?!//))\s{{0,4}})"
    r"""(?:"[^"]*"|'[^']*'|(?:(?:Bearer|Basic)\s+)?[^&\s"'<>]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s{1,4}[\w.~+/=-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s:/?#@]{0,200}:)[^\s/?#@]{1,500}@")
_USERINFO_OF_ONE_URL = re.compile(r"(://[^:/?#@]*:).*@", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Tell whether a field, parameter or variable of this name holds something secret.

    True for `moderatorPW` and `attendee_pw` too, BBB's names for passwords.
    """
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """Blot out the values that follow a secret's name, credentials and passwords of URLs in text.

    Linear in the length of the text, whatever it holds.
    """
    text = _USERINFO.sub(rf"\1{MASK}@", text)
    text = _ASSIGNMENT.sub(rf"\1{MASK}", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def mask_url(url: str) -> str:
    """Blot out the password of one URL, well-formed or not (`p/ss`, `p#ss`, `p@ss`)."""
    return mask_text(_USERINFO_OF_ONE_URL.sub(rf"\1{MASK}@", url, count=1))


def escape_control(text: str) -> str:
    """Make text one printable line: line breaks, escapes, bidi marks become backslash escapes.

    What is left cannot forge a log line or command a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
