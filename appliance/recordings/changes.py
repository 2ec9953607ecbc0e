"""Parses and validates the changes of an updateRecordings call.

Pure. A key that is no valid XML name (it would make getRecordings malformed) or is reserved for
tenants is skipped. A call is rejected as a whole if the protection is neither true nor false.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.bbb.params import META, Params, get
from appliance.bbb.xml_text import drop_forbidden, is_xml_name
from appliance.tenants.params import TENANT_PREFIX


@dataclass(frozen=True, slots=True)
class RecordingChanges:
    """The changes to be made to all given recordings."""

    metadata: tuple[tuple[str, str], ...] = ()
    """An empty value removes the key."""
    protected: bool | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change."""
        return not self.metadata and self.protected is None


@dataclass(frozen=True, slots=True)
class ChangeNote:
    """A note on disk that files are being moved, kept until the rows are changed too."""

    name: str
    record_ids: tuple[str, ...]
    delete: bool
    """Whether the files are being deleted; else they are moved."""


def read_changes(params: Params) -> RecordingChanges | None:
    """Return the changes of an updateRecordings call; None: rejected."""
    metadata: dict[str, str] = {}
    for name, value in params:
        if not name.startswith(META):
            continue
        key = name.removeprefix(META).lower()
        if is_changeable(key):
            metadata[key] = drop_forbidden(value)
    asked = get(params, "protect")
    protected = read_switch(asked)
    if asked and protected is None:
        return None
    return RecordingChanges(tuple(metadata.items()), protected)


def is_changeable(key: str) -> bool:
    """Return whether users may set the metadata of a key, in whatever case."""
    return is_xml_name(key) and not key.lower().startswith(TENANT_PREFIX)


def read_switch(text: str | None) -> bool | None:
    """Return the value of `true` or `false` in any case, None for anything else."""
    return {"true": True, "false": False}.get((text or "").strip().lower())
