"""What doctor needs of the world: where it looks. Adapters implement it.

What is marked as blocking is called in a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.doctor.directory_findings import DirectoryFacts
from appliance.doctor.host_findings import AuthorityFacts, CertificateFacts
from appliance.doctor.server_findings import ServerFacts
from appliance.doctor.store_findings import DatabaseFacts, RedisFacts
from appliance.model import Target


class LookAtDirectory(Protocol):
    """Looks at a directory."""

    def __call__(self, path: Path, *, write: bool = True) -> DirectoryFacts:
        """Look at it, with `write` by writing a file. Blocks."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Where doctor looks."""

    redis: Callable[[], Awaitable[RedisFacts]]
    """Raises StoreDown."""
    database: Callable[[], Awaitable[DatabaseFacts]] | None
    """Raises DatabaseDown. None: there is none, as configured."""
    server: Callable[[Target], Awaitable[ServerFacts]]
    directory: LookAtDirectory
    certificate: Callable[[Path, Path], CertificateFacts]
    """Blocks."""
    authorities: Callable[[Path], AuthorityFacts]
    """Blocks."""
    resolve: Callable[[str], str]
    """Returns why a name cannot be resolved, empty if it can. Blocks."""
    file_limit: Callable[[], int]
    user: str
    """Whom this process runs as."""
