"""The parameters of a create that placement depends on: tag, size hint, duration.

The server is selected in place_meeting.lua. Source: docs/placement.md; the syntax of
meta_server-tag is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.bbb.params import Params, get
from appliance.model import TagRequest

TAG_PARAM = "meta_server-tag"
SIZE_HINT_PARAM = "meta_bbb-meeting-size-hint"

_MANY = 999_999_999
"""Value of any longer number: above every meeting, and exact in Lua and Redis."""


def parse_tag(value: str | None) -> TagRequest | None:
    """Parse a server tag: a list separated by `;`, which a final `!` makes required.

    Empty parts and white space around parts are ignored; `!` alone is no tag. None: no tag.
    """
    text = (value or "").strip()
    required = text.endswith("!")
    parts = [part.strip() for part in text.removesuffix("!").split(";")]
    tags = tuple(dict.fromkeys(part for part in parts if part))
    return TagRequest(tags, required) if tags else None


def effective_tag(
    front_end: Params,
    *,
    defaults: Sequence[Params],
    overrides: Sequence[Params],
    excluded: frozenset[str] = frozenset(),
) -> str | None:
    """Return the server tag of a create: the first non-empty one, by precedence.

    Arguments as for `merge_params`, weakest first. Unlike there, a weaker value replaces an empty
    one. `!` is not empty: it asks for no tag and so overrides a weaker one.
    """
    asked = () if TAG_PARAM in excluded else front_end
    for layer in (*reversed(overrides), asked, *reversed(defaults)):
        tag = (get(layer, TAG_PARAM) or "").strip()
        if tag:
            return tag
    return None


def size_hint(params: Params) -> int | None:
    """Return the number of users that the front-end expects (at least 1), None if not given."""
    return _positive(get(params, SIZE_HINT_PARAM))


def max_participants(params: Params) -> int | None:
    """Return the maximum number of users of a meeting (at least 1), None if there is no limit."""
    return _positive(get(params, "maxParticipants"))


def clamp_duration(value: str | None, max_min: int) -> str | None:
    """Return the duration to send for a meeting, in minutes, at most `max_min`.

    `max_min` of 0 is no limit. A value that BBB could read as unlimited or as more than the limit
    (0, missing, not a plain number, for which BBB uses its default) becomes the limit.
    """
    if max_min <= 0:
        return value
    minutes = _positive(value)
    return value if minutes is not None and minutes <= max_min else str(max_min)


def _positive(text: str | None) -> int | None:
    # Strict: int() accepts " 5", "1_0" and digits of other scripts, which BBB reads differently.
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > 9:
        return _MANY
    return int(digits) if digits else None
