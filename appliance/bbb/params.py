"""Request parameters as ordered pairs: parsing, encoding, merging.

Knows nothing of what a parameter means, except which must not occur twice and that a checksum
is never passed on. A name is just a name: `x[]`, `meta_a.b` and the empty name are kept as they
are (Scalelite answers HTTP 500 to `x[]=`, fault 30).
Truth: WHATWG URL, "application/x-www-form-urlencoded"; precedence from the spec of `create`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote_plus, unquote_to_bytes

Params = tuple[tuple[str, str], ...]
"""Decoded name/value pairs in the order received. Names may repeat."""

GUARDED_NAMES = frozenset({"meetingID", "recordID", "password", "role", "checksum"})
"""What a request may name only once: two readers could disagree about which one counts."""

# The bytes that form encoding leaves alone. Most names and values are made of them only, and a
# match is much cheaper than quoting.
_PLAIN = re.compile(r"[A-Za-z0-9*._-]*").fullmatch


def parse_query(raw: bytes) -> Params:
    """Decode a raw query or form body; never raises.

    Keeps order, repeated names and blank values (`a` and `a=` are both blank); empty parts
    between two `&` are no parameters. Bytes that are not UTF-8 become U+FFFD.
    """
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_decode(name), _decode(value)))
    return tuple(pairs)


def _decode(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def encode_query(params: Params) -> str:
    """Encode as application/x-www-form-urlencoded: UTF-8, space is `+`, order kept.

    Byte for byte what the WHATWG serializer and Java's URLEncoder give (`*` stays, `~` does
    not), because BBB 2.4-2.6 checks a form body's checksum over Java's encoding.
    """
    return "&".join([f"{_encode(name)}={_encode(value)}" for name, value in params])


def _encode(text: str) -> str:
    if _PLAIN(text):
        return text
    # Lone surrogates can only come from our own settings; "?" is better than an exception.
    return quote_plus(text, safe="*", encoding="utf-8", errors="replace").replace("~", "%7E")


def get(params: Params, name: str) -> str | None:
    """Return the first value of a parameter, None if it is absent."""
    for key, value in params:
        if key == name:
            return value
    return None


def merge_params(
    front_end: Params,
    *,
    defaults: Sequence[Params],
    overrides: Sequence[Params],
    excluded: frozenset[str],
) -> Params:
    """Merge the front-end's parameters with settings of the appliance and the tenant.

    Both sequences are ordered weakest first; a later pair of the same name in one of them wins.
    A default applies where the front-end named no such parameter, or one in `excluded`, which
    drops from the front-end's only. An override takes the place of the front-end's first
    parameter of its name; what is new comes at the end. `checksum` is never passed on, whoever
    set it.
    """
    default_of = {name: value for layer in defaults for name, value in layer}
    override_of = {name: value for layer in overrides for name, value in layer}
    merged: list[tuple[str, str]] = []
    done: set[str] = set()
    for name, value in front_end:
        if name in excluded or name == "checksum":
            continue
        if name not in override_of:
            merged.append((name, value))
        elif name not in done:
            merged.append((name, override_of[name]))
        done.add(name)
    for name, value in (default_of | override_of).items():
        if name not in done and name != "checksum":
            merged.append((name, value))
    return tuple(merged)


def replace_param(params: Params, name: str, value: str | None) -> Params:
    """Set a parameter to one value, in the place of its first occurrence or at the end.

    None removes it. Further occurrences are dropped.
    """
    kept: list[tuple[str, str]] = []
    placed = value is None
    for pair in params:
        if pair[0] != name:
            kept.append(pair)
        elif not placed and value is not None:
            kept.append((name, value))
            placed = True
    if not placed and value is not None:
        kept.append((name, value))
    return tuple(kept)


def repeated_guarded_name(params: Params) -> str | None:
    """Return the first guarded name that occurs a second time, None if none does."""
    seen: set[str] = set()
    for name, _ in params:
        if name in GUARDED_NAMES:
            if name in seen:
                return name
            seen.add(name)
    return None
