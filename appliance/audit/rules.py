"""Entries of the audit trail: what they show of a change, and never a secret. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from appliance.admin_calls.call import Snapshot
from appliance.redaction import MASK, is_secret_name, mask_text

DONE = "done"
MAX_OBJECTS = 200
"""Entries of one call; more changes are counted in another entry."""
MASK_OF_CHANGED = f"{MASK} (changed)"
_MAX_TEXT = 500
_MAX_REASON = 300

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after a call; only the values that differ. None: it did not exist."""

    object: str
    before: Values | None
    after: Values | None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the trail."""

    id: str
    """A UUID, so that an entry that is written twice counts once."""
    time_ms: int
    who: str
    call: str
    object: str
    before: Values | None
    after: Values | None
    result: str
    """`done`, `unknown: …`, or why it was not, or not wholly."""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Conditions of a search; empty and None are no condition."""

    since_ms: int | None = None
    object: str = ""
    """A part of it, in upper or lower case; so is `who`."""
    who: str = ""
    limit: int = 100

    def accepts(self, entry: AuditEntry) -> bool:
        """Return whether an entry meets the conditions, apart from the limit."""
        return (
            (self.since_ms is None or entry.time_ms >= self.since_ms)
            and self.object.lower() in entry.object.lower()
            and self.who.lower() in entry.who.lower()
        )


# --- changes -------------------------------------------------------------------------------------


def compare(
    before: Mapping[str, Snapshot], after: Mapping[str, Snapshot], *, unchanged: bool
) -> list[Change]:
    """Return the changes from `before` to `after`, without secrets.

    unchanged: also objects that are the same before and after.
    """
    found: list[Change] = []
    more = 0
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if unchanged or old is None or new is None or old.values != new.values:
            if len(found) < MAX_OBJECTS:
                found.append(_change_of(old, new))
            else:
                more += 1
    if more:
        found.append(Change(f"{more} more", None, {"count": more}))
    return found


def _change_of(old: Snapshot | None, new: Snapshot | None) -> Change:
    if old is None or new is None:
        name = "" if old is new else (old or new).name  # type: ignore[union-attr]
        return Change(name, *(None if one is None else hide(one.values) for one in (old, new)))
    names = [
        name
        for name in dict.fromkeys([*old.values, *new.values])
        if old.values.get(name) != new.values.get(name)
    ]
    before = hide({name: old.values.get(name) for name in names})
    after = hide({name: new.values.get(name) for name in names})
    for name in names:
        if before[name] == after[name] == MASK:
            after[name] = MASK_OF_CHANGED
    return Change(new.name, before, after)


def change_of_fields(group: str, fields: Mapping[str, Any]) -> Change:
    """Return what the fields of a request tell of a change, where nothing better is known."""
    named = [fields[name] for name in ("id", "ids", "name", "tenant", "path") if fields.get(name)]
    words = [str(word) for one in named[:1] for word in (one if isinstance(one, list) else [one])]
    return Change(cut(" ".join([group, *words[:MAX_OBJECTS]])), None, hide(fields))


def hide(values: Mapping[str, Any]) -> Values:
    """Return values without secrets, cut to a sensible length."""
    return {cut(str(name)): _hide(str(name), value) for name, value in values.items()}


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return hide(value)
    if value and is_secret_name(name.replace("-", "_")):
        return MASK
    if isinstance(value, list | tuple):
        return [_hide("", one) for one in value[:MAX_OBJECTS]]
    if isinstance(value, str):
        # A whole file, with secrets in a form that no pattern finds.
        whole_file = name == "yaml" or "\n" in value
        return f"({len(value)} characters)" if whole_file else cut(mask_text(value))
    return value


def cut(text: str) -> str:
    """Return a text that PostgreSQL can store, of bounded length."""
    plain = text.replace("\0", "").encode("utf-8", "replace").decode()
    return plain if len(plain) <= _MAX_TEXT else f"{plain[: _MAX_TEXT - 1]}…"


def cut_reason(text: str) -> str:
    """Return why a call was not done, masked and in a line."""
    return cut(mask_text(" ".join(text.split())))[:_MAX_REASON]


# --- entries as JSON -----------------------------------------------------------------------------


def render_entry(entry: AuditEntry) -> str:
    """Render an entry for Redis."""
    return json.dumps(asdict(entry), ensure_ascii=False)


def parse_entries(texts: list[str]) -> Iterator[AuditEntry]:
    """Parse entries from Redis; what a newer version wrote otherwise is skipped."""
    for text in texts:
        try:
            entry = AuditEntry(**json.loads(text))
            UUID(entry.id)
        except (ValueError, TypeError, AttributeError):
            continue
        yield entry
