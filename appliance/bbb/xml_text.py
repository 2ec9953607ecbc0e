"""Valid XML names and characters, escaping of text, and detection of DTDs.

Names must not have colons, which parsers with namespaces take as the end of a prefix, and must also
be valid in the fourth edition of XML 1.0, whose tables many parsers still use (expat, Xerces).
Pure. Source: XML 1.0 (fifth edition), productions 2 (Char) and 4 to 5 (Name).
"""

from __future__ import annotations

import re
from functools import lru_cache
from xml.parsers import expat

_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_START}][{_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]*").fullmatch
_NOT_CHAR = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A DTD can only be before the root element; the same text in a meeting's name is harmless.
# Possessive quantifiers prevent backtracking.
_DTD_IN_PROLOG = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL
).match
_SPECIAL = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]').search
_MAX_NAME_BYTES = 1000
"""Limit of names: some parsers and PostgreSQL's indexes reject very long ones."""


@lru_cache(maxsize=4096)
def is_xml_name(text: str) -> bool:
    """Whether a text is a valid name of an element."""
    if len(text) > _MAX_NAME_BYTES or _NAME(text) is None:
        return False
    return text.isascii() or (len(text.encode()) <= _MAX_NAME_BYTES and _expat_takes(text))


def _expat_takes(name: str) -> bool:
    """Whether expat, which implements the fourth edition, accepts a name."""
    try:
        expat.ParserCreate().Parse(f"<{name}/>".encode(), True)
    except expat.ExpatError:
        return False
    return True


def has_dtd(document: bytes) -> bool:
    """Whether a document has a DTD. Does not parse the document."""
    return _DTD_IN_PROLOG(document) is not None


def has_forbidden(text: str) -> bool:
    """Whether a text has characters that XML forbids, even escaped."""
    return _NOT_CHAR.search(text) is not None


def drop_forbidden(text: str) -> str:
    """Remove the characters that XML forbids."""
    return replace_forbidden(text, "")


def replace_forbidden(text: str, by: str) -> str:
    """Replace each character that XML forbids by `by`."""
    return _NOT_CHAR.sub(by, text)


def escape_text(text: str) -> str:
    """Escape a text for an element or, in double quotes, for an attribute.

    Characters that XML forbids are removed.
    """
    # Most texts need no escaping, and checking that is much cheaper than replacing nothing.
    if not _SPECIAL(text):
        return text
    text = _NOT_CHAR.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\r", "&#13;")
