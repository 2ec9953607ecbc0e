"""Request parameters as ordered pairs: parsing, encoding, merging.

Names have no structure: `x[]`, `meta_a.b` and the empty name are kept unchanged (Scalelite answers
HTTP 500 to `x[]=`). A checksum is never passed on. Pure. Source: WHATWG URL,
"application/x-www-form-urlencoded".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote_plus, unquote_to_bytes

Params = tuple[tuple[str, str], ...]
"""Decoded name/value pairs in the order received. Names may repeat."""

GUARDED_NAMES = frozenset({"meetingID", "recordID", "password", "role", "checksum"})
"""Parameters that may occur only once, since readers could disagree about which one to use."""

META = "meta_"
"""Prefix of parameters that are metadata."""

MAX_PARAMETERS = 1000
"""Limit of one request, as PHP's (max_input_vars). Nothing beyond is parsed: 1 MiB of `a&` takes
half a second, before the sender is authenticated."""

# The characters that form encoding does not change. Most names and values have only these, and a
# match is much cheaper than quoting.
_PLAIN = re.compile(r"[A-Za-z0-9*._-]*").fullmatch


def parse_query(raw: bytes) -> Params:
    """Decode a raw query or form body. Never raises.

    Order, repeated names and blank values are kept (`a` and `a=` are both blank); empty parts
    between two `&` are ignored. Bytes that are not UTF-8 become U+FFFD.
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

    The result equals that of the WHATWG serializer and Java's URLEncoder (`*` is not escaped, `~`
    is), because BBB 2.4-2.6 computes the checksum of a form body over Java's encoding.
    """
    return "&".join([f"{_encode(name)}={_encode(value)}" for name, value in params])


def _encode(text: str) -> str:
    if _PLAIN(text):
        return text
    # Lone surrogates can only come from settings; "?" is better than an exception.
    return quote_plus(text, safe="*", encoding="utf-8", errors="replace").replace("~", "%7E")


def has_parameters(raw: bytes) -> bool:
    """Return whether a raw query or form body holds any parameter."""
    return raw.count(b"&") < len(raw)


def keep_last(params: Params) -> Params:
    """Keep the last value of each name, in the place of its first, and all of lists (`name[]`).

    As Rails reads a query.
    """
    last = dict(params)
    if len(last) == len(params):
        return params
    kept: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in params:
        if name.endswith("[]"):
            kept.append((name, value))
        elif name not in seen:
            seen.add(name)
            kept.append((name, last[name]))
    return tuple(kept)


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

    Both sequences are ordered weakest first; a later pair of the same name wins (the settings have
    names of metadata in lower case, see `plain_name`). Names in
    `excluded` are dropped from the front-end's parameters only. A default applies if the
    front-end's parameters do not (any longer) have the name. An override replaces the front-end's
    first parameter of its name; new names are appended. `checksum` is never passed on.
    """
    default_of = {name: value for layer in defaults for name, value in layer}
    override_of = {name: value for layer in overrides for name, value in layer}
    front_end = spell_metadata(front_end, (*default_of, *override_of, *excluded))
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


def spell_metadata(params: Params, names: Iterable[str]) -> Params:
    """Spell the names of metadata as in `names`: BBB lower-cases them, so `meta_A` is `meta_a`."""
    spelling = {name.lower(): name for name in names if name.startswith(META)}
    if not spelling:
        return params
    return tuple(
        [
            (spelling.get(name.lower(), name), value) if name.startswith(META) else (name, value)
            for name, value in params
        ]
    )


def replace_param(params: Params, name: str, value: str | None) -> Params:
    """Set a parameter, at the position of its first occurrence or at the end; None removes it.

    Further occurrences are dropped.
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
