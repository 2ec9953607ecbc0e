"""The PostgreSQL engine: connections, migrations, errors, facts for doctor."""
