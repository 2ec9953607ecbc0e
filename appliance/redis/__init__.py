"""The Redis engine: a client on Trio, scripts, errors, facts for doctor."""
