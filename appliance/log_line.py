"""Formats an event as a line of the log, with secrets masked and control characters escaped. Pure.

Field values and messages of libraries are untrusted: no secret is written, and no line can be
forged (redaction.py). log.py chooses the format. Source of the journal's priorities: sd-daemon(3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence, Set
from typing import Any

from appliance.redaction import MASK, escape_control, is_secret_name, mask_text

Event = MutableMapping[str, Any]
"""Fields of an event. `event` is its name; logging adds level, timestamp, exception, stack."""

_MAX_TEXT = 4096
_MAX_TRACEBACK = 32768
_MARGIN = 1024
_MAX_DEPTH = 4
_MAX_ITEMS = 100
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_COLOURS = {"debug": 2, "info": 32, "warning": 33, "error": 31, "critical": 31}
_BARE = re.compile(r"[^\s\"'=\\]+").fullmatch
_NOT_IN_KEYS = re.compile(r"[^\w.-]", re.ASCII)


def redact(event: Event) -> Event:
    """Mask secrets, by the name of a field and inside text, and cut long values.

    Every value becomes None, a boolean, a number, a text, or a list or mapping of these.
    """
    return {key: _safe_field(key, value, 0) for key, value in event.items()}


def _safe_field(key: object, value: object, depth: int) -> object:
    if key == "event":
        return _safe_text(str(value), _MAX_TEXT)
    if key in ("exception", "stack"):
        return _safe_text(str(value), _MAX_TRACEBACK)
    if value is not None and is_secret_name(str(key)):
        return MASK
    return _safe(value, depth)


def _safe(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {
            _safe_text(str(key), _MAX_TEXT): _safe_field(key, item, depth + 1)
            for key, item in list(value.items())[:_MAX_ITEMS]
        }
    if isinstance(value, list | tuple | Set) and depth < _MAX_DEPTH:
        return [_safe(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    if isinstance(value, BaseException):
        return _safe_text(f"{type(value).__name__}: {_to_text(value)}", _MAX_TEXT)
    return _safe_text(_to_text(value), _MAX_TEXT)


def _to_text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[: _MAX_TEXT + _MARGIN]).decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _safe_text(text: str, limit: int) -> str:
    # Mask before cutting: the start of a password at the cut would not be recognised.
    masked = mask_text(text[: limit + _MARGIN])
    if len(text) <= limit:
        return masked
    return f"{masked[:limit]}… ({len(text)} characters)"


def _pop_head(event: Event) -> tuple[str, str]:
    return str(event.pop("level", "info")), escape_control(str(event.pop("event", "")))


def render_json(event: Event) -> str:
    """Return an event as a JSON object."""
    level, name = str(event.pop("level", "info")), str(event.pop("event", ""))
    stamp = event.pop("timestamp", None)
    document = {"timestamp": stamp, "level": level, "event": name, **event}
    # ASCII only, so that line separators, bidi marks and lone surrogates are escaped.
    return json.dumps(document, default=str)


def render_journal(event: Event) -> str:
    """Return an event as a line for the journal, prefixed with its priority."""
    level, name = _pop_head(event)
    return f"<{_PRIORITIES.get(level, 6)}>" + " ".join([name, *_pairs(event)])


def render_console(event: Event, colour: str = "{}") -> str:
    """Return an event for a terminal; colour: a format for the level."""
    level, name = _pop_head(event)
    time = str(event.pop("timestamp", ""))[11:19]
    blocks = [str(event.pop(key)) for key in ("exception", "stack") if event.get(key)]
    line = " ".join([time, colour.format(f"{level:<8}"), name, *_pairs(event)])
    # The bar marks lines of an exception, whose text can contain line breaks.
    bars = [f"    | {escape_control(part)}" for block in blocks for part in block.splitlines()]
    return "\n".join([line, *bars])


def render_colours(event: Event) -> str:
    """Return an event for a terminal with colours."""
    code = _COLOURS.get(str(event.get("level")), 0)
    return render_console(event, f"\x1b[{code}m{{}}\x1b[0m")


def _pairs(event: Mapping[str, object]) -> Iterator[str]:
    for key, value in event.items():
        yield f"{_NOT_IN_KEYS.sub('_', str(key))}={_format_value(value)}"


def _format_value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        value = json.dumps(value, default=str)
    text = str(value)
    if _BARE(text) and text != "-" and text.isprintable():
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escape_control(quoted)}"'
