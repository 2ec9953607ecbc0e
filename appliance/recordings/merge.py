"""What an import of a recording that is known already may change: users' changes win.

Pure. Truth: spec "Watcher and importer" step 5 and fault 16 of Scalelite (a format that arrived
late published again what a user had unpublished, and brought deleted recordings back).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.recordings.recording import Recording, RecordingStates


@dataclass(frozen=True, slots=True)
class ImportRules:
    """What the settings and the operator say about imports."""

    unpublished: bool = False
    """RECORDING_IMPORT_UNPUBLISHED."""
    protected: bool = False
    """PROTECTED_RECORDINGS_ENABLED: what a new recording starts with."""
    undelete: bool = False
    """The operator wants a deleted recording back."""


class ImportOutcome(StrEnum):
    """What became of an import's rows."""

    NEW = "new"
    UPDATED = "updated"
    DELETED = "deleted"
    """Nothing was changed: the recording was deleted before."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import came to."""

    outcome: ImportOutcome
    published: bool
    """Where its files belong."""
    id: int = 0
    """Of the row in `recordings`."""
    new_formats: tuple[str, ...] = ()
    """Which of its formats were not there before."""


def is_deleted(recording: Recording | None) -> bool:
    """Whether a user deleted it."""
    return recording is not None and recording.state == RecordingStates.DELETED


def published_after_import(
    known: Recording | None, incoming: Recording, rules: ImportRules
) -> bool:
    """Return whether a recording is published once `incoming` was imported."""
    if known is not None and known.publish_updated and not is_deleted(known):
        return known.published
    return incoming.published and not rules.unpublished


def state_of(published: bool) -> str:
    """Return the state of a recording that is ready."""
    return RecordingStates.PUBLISHED if published else RecordingStates.UNPUBLISHED
