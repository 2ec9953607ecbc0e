"""What an updateRecordings call asks for, and whether it may.

Pure. Refused as a whole: names that XML cannot have (fault 19: they made getRecordings malformed
for everyone), the tenant's own (fault 20), and a protection that is neither true nor false.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.bbb.params import Params, get
from appliance.bbb.xml_text import drop_forbidden, is_xml_name
from appliance.tenants.params import TENANT_PREFIX

_META = "meta_"


@dataclass(frozen=True, slots=True)
class RecordingChanges:
    """What is to be changed of every recording named."""

    metadata: tuple[tuple[str, str], ...] = ()
    """An empty value removes the key."""
    protected: bool | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change."""
        return not self.metadata and self.protected is None


@dataclass(frozen=True, slots=True)
class ChangeNote:
    """What was noted before files were moved, until the rows say the same."""

    name: str
    record_ids: tuple[str, ...]
    delete: bool
    """The files are to be removed; else they are moved to where the rows say."""


def read_changes(params: Params) -> RecordingChanges | None:
    """Read the changes of an updateRecordings call; None: refused."""
    metadata: dict[str, str] = {}
    for name, value in params:
        if not name.startswith(_META):
            continue
        key = name.removeprefix(_META).lower()
        if not is_xml_name(key) or key.startswith(TENANT_PREFIX):
            return None
        metadata[key] = drop_forbidden(value)
    asked = get(params, "protect")
    protected = read_switch(asked)
    if asked and protected is None:
        return None
    return RecordingChanges(tuple(metadata.items()), protected)


def read_switch(text: str | None) -> bool | None:
    """Return the value of `true` or `false` in any case, None for anything else."""
    return {"true": True, "false": False}.get((text or "").strip().lower())
