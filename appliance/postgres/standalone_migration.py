"""`database migrate`: the database of a configuration is brought up to date, without the appliance.

Composition only, beside the supervisor, which has it done by the database's own connection.
"""

from __future__ import annotations

from appliance.faults import DatabaseDown
from appliance.log import get_logger
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.errors import DatabaseRefused
from appliance.postgres.migrations import migrate
from appliance.settings import Settings
from appliance.system.embedded import open_embedded_stores
from appliance.system.embedded_state import EmbeddedStoresError

MIGRATION_ERRORS = (EmbeddedStoresError, DatabaseDown, DatabaseRefused)
"""What an operator must mend; their texts say how."""


async def migrate_database(settings: Settings) -> list[str]:
    """Bring the database to this version's schema, with an embedded one started for it.

    Returns what was applied. Raises MIGRATION_ERRORS, in exception groups or not.
    """
    stores, log = settings.stores, get_logger("appliance")
    async with (
        open_embedded_stores(
            stores.state_dir, redis=False, postgres=stores.database_embedded, log=log
        ) as embedded,
        open_asyncio_loop(log=log),
    ):
        url = stores.database_url or embedded.database_url
        assert url is not None
        return await migrate(url, prepared_statements=stores.prepared_statements)
