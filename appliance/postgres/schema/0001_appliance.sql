-- The appliance's own tables are in a separate schema, which a Scalelite on the same database never uses.

CREATE SCHEMA IF NOT EXISTS appliance;

CREATE TABLE IF NOT EXISTS appliance.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
