"""`database migrate`: migrate the configured database without running the appliance.

Composition only. The running appliance migrates when it connects (database.py).
"""

from __future__ import annotations

from appliance.faults import DatabaseDown
from appliance.log import get_logger
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.migrations import migrate
from appliance.settings import Settings
from appliance.system.embedded.state import EmbeddedStoresError
from appliance.system.embedded.stores import open_embedded_stores

MIGRATION_ERRORS = (EmbeddedStoresError, DatabaseDown, DatabaseRefused)
"""Errors that the operator must resolve; their texts say how."""


async def migrate_database(settings: Settings) -> list[str]:
    """Migrate the database, starting an embedded one for it, and return the applied migrations.

    Raises MIGRATION_ERRORS, possibly in exception groups.
    """
    stores, log = settings.stores, get_logger("appliance")
    async with (
        open_embedded_stores(
            stores.state_dir, redis=False, postgres=stores.database_embedded, log=log
        ) as embedded,
        open_asyncio_loop(tuned="asyncio-loop" not in settings.tuning_off, log=log),
    ):
        url = stores.database_url or embedded.database_url
        assert url is not None
        return await migrate(url, prepared_statements=stores.prepared_statements)
