"""Chooses which kind of connection serves: the tuned one, or Hypercorn's own."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from appliance.http.server.hypercorn_connection import HypercornConnection
from appliance.http.server.interface import ConnectionFactory
from appliance.log import Log

CHECKED_VERSIONS = ("0.17.3", "0.18.")
"""Prefixes of the versions of Hypercorn whose internals `connection` was checked against."""


def choose_connection(tuned: bool, hypercorn: str, log: Log) -> ConnectionFactory:
    """Return TunedConnection if `tuned` and this version of Hypercorn was checked with it."""
    if tuned and hypercorn.startswith(CHECKED_VERSIONS):
        # Imported here: another Hypercorn may not have the names that it imports.
        from appliance.http.server.connection import TunedConnection

        return TunedConnection
    if tuned:
        log.warning("connections_not_tuned", hypercorn=hypercorn)
    return HypercornConnection


def hypercorn_version() -> str:
    """Return the version of Hypercorn, '' if its metadata is missing."""
    try:
        return version("hypercorn")
    except PackageNotFoundError:
        return ""
