-- The audit trail: each change that an operator made, and who it was. Entries wait in Redis while the
-- database is away; an id makes sure that none is written twice.

CREATE TABLE IF NOT EXISTS appliance.audit (
    id uuid PRIMARY KEY,
    time timestamptz NOT NULL,
    who text NOT NULL,
    call text NOT NULL,
    object text NOT NULL,
    before jsonb,
    after jsonb,
    result text NOT NULL
);

CREATE INDEX IF NOT EXISTS audit_on_time ON appliance.audit (time);
