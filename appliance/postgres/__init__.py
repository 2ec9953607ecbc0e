"""The engine for PostgreSQL: asyncpg in an asyncio loop inside Trio.

Begin with database.py, the connection pool. transaction.py keeps a transaction open over several
steps; asyncio_bridge.py runs the asyncio loop; migrations.py applies the files of schema/;
standalone_migration.py does so without a running appliance; errors.py translates errors; facts.py
inspects a server.

May import `system`, `instruments`, `settings`, `log` and `faults`; apart from the schema it has no
SQL of a feature.
"""
