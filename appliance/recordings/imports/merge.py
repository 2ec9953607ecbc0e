"""Rules for importing a recording that exists already: changes by users take precedence.

In Scalelite, a format that is imported later publishes a recording again that a user has
unpublished, and restores deleted ones. Pure. Source: docs/recordings.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.recordings.recording import Recording, RecordingStates, is_deleted


@dataclass(frozen=True, slots=True)
class ImportRules:
    """Settings and options of imports."""

    unpublished: bool = False
    """RECORDING_IMPORT_UNPUBLISHED."""
    protected: bool = False
    """PROTECTED_RECORDINGS_ENABLED: initial protection of a new recording."""
    undelete: bool = False
    """The operator restores a deleted recording."""


class ImportOutcome(StrEnum):
    """Result of writing the rows of an import."""

    NEW = "new"
    UPDATED = "updated"
    DELETED = "deleted"
    """Nothing was changed: the recording was deleted before."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Result of writing the rows of an import, with the state of the recording."""

    outcome: ImportOutcome
    published: bool
    """Whether its files belong to the published ones."""
    id: int = 0
    """Id of the row in `recordings`."""
    new_formats: tuple[str, ...] = ()
    """Its formats that did not exist before."""


def published_after_import(
    known: Recording | None, incoming: Recording, rules: ImportRules
) -> bool:
    """Return whether a recording is published after the import of `incoming`."""
    if known is not None and known.publish_updated and not is_deleted(known):
        return known.published
    return incoming.published and not rules.unpublished


def state_of(published: bool) -> str:
    """Return the state of an imported recording."""
    return RecordingStates.PUBLISHED if published else RecordingStates.UNPUBLISHED
