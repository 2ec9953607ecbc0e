"""Migrating without a running appliance; more in tests/ctl/test_local.py."""

from __future__ import annotations

import importlib

import pytest
from structlog.testing import capture_logs

from appliance.postgres.standalone_migration import migrate_database
from tests.doubles.settings import settings_of

trio_asyncio = importlib.import_module("trio_asyncio")


async def test_tuning_off_applies_to_a_migration(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a version that is not known the tuning is refused, which is logged.
    monkeypatch.setattr(trio_asyncio, "__version__", "0.17.0")
    for off, expected in (("", True), ("asyncio-loop", False)):
        settings = settings_of(
            DATABASE_URL=empty_database_url, SECRET_KEY_BASE="k" * 64, TUNING_OFF=off
        )
        with capture_logs() as logs:
            await migrate_database(settings)
        assert ("asyncio_loop_not_tuned" in [log["event"] for log in logs]) is expected
