"""The functions behind the commands that use the stores without a running appliance.

They need the drivers, which ctl must not import: `appliance.__main__` passes them to `ctl.main`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Standalone:
    """Access to the stores that an environment names. The functions raise ControlError."""

    migrate_database: Callable[[], list[str]]
    """Migrates the database of this process's environment; returns the applied migrations."""
    inspect_stores: Callable[[Mapping[str, str], Callable[[dict[str, Any]], None]], None]
    """Inspects the stores of an environment for a takeover; passes on the JSON of each step."""
    transfer: Callable[[str, Mapping[str, Any], int], dict[str, Any]]
    """Does what a call of backup/ does, on the stores of this process's environment; takes the name
    of the call, its fields and a pipe. The process becomes the user of the service."""
