"""What a create asks of its placement: which tag, how many seats, how long.

Does not choose the server: that is one atomic step inside Redis (Lua). Truth: the spec's
"Placement" steps 2 and 5 and step 3 of `create`; the tag syntax is Scalelite's.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.bbb.params import Params, get
from appliance.model import TagRequest

TAG_PARAM = "meta_server-tag"
SIZE_HINT_PARAM = "meta_bbb-meeting-size-hint"

_MANY = 999_999_999
"""What a longer number is taken for: beyond any meeting, still small for Lua and Redis."""


def parse_tag(spec: str | None) -> TagRequest | None:
    """Parse a server tag: `;`-list, a final `!` makes it required; None: no tag asked for.

    Empty parts are ignored, white space around parts too; `!` alone is no tag.
    """
    text = (spec or "").strip()
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
    """Return the server tag that counts for a create: the first that is not empty.

    Arguments as for `merge_params`: weakest first. Unlike there, an empty value gives way to a
    weaker one. `!` is not empty: it asks for no tag and keeps a weaker one from counting.
    """
    asked = () if TAG_PARAM in excluded else front_end
    for layer in (*reversed(overrides), asked, *reversed(defaults)):
        tag = (get(layer, TAG_PARAM) or "").strip()
        if tag:
            return tag
    return None


def size_hint(params: Params) -> int | None:
    """Return how many users the front-end expects (at least 1), None if it does not say."""
    return _positive(get(params, SIZE_HINT_PARAM))


def max_participants(params: Params) -> int | None:
    """Return how many users a meeting admits (at least 1), None if there is no limit."""
    return _positive(get(params, "maxParticipants"))


def clamp_duration(value: str | None, max_min: int) -> str | None:
    """Return the duration to send for a meeting, in minutes, within a limit.

    `max_min` of 0 is no limit. Whatever the server could take for "unlimited" or for more (a 0,
    nothing, not a plain number: BBB reads what it cannot parse as its default) becomes the limit.
    """
    if max_min <= 0:
        return value
    minutes = _positive(value)
    return value if minutes is not None and minutes <= max_min else str(max_min)


def _positive(text: str | None) -> int | None:
    # Strict: int() would take " 5", "1_0" and other scripts' digits, which BBB reads otherwise.
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > 9:
        return _MANY
    return int(digits) if digits else None
