-- What is only ours lives in a schema of its own, so that a Scalelite on the same database never meets it.

CREATE SCHEMA IF NOT EXISTS appliance;

CREATE TABLE IF NOT EXISTS appliance.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
