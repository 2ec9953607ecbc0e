-- The queue of callbacks: each row is one call to a front-end; finished ones are kept for a while.

CREATE TABLE IF NOT EXISTS appliance.callbacks (
    id bigserial PRIMARY KEY,
    dedup_key text NOT NULL UNIQUE,
    kind text NOT NULL,
    url text NOT NULL,
    -- scheme, host and port of the URL: one receiver
    host text NOT NULL,
    method text NOT NULL,
    content_type text,
    body bytea NOT NULL DEFAULT '',
    signing text NOT NULL,
    -- identifies the secret that signs; never the secret itself
    secret_id text,
    tenant_id text,
    meeting_id text NOT NULL,
    record_id text,
    state text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    last_status integer,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- start of the period of attempts
    since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    claimed_by text,
    claimed_until timestamptz
);

CREATE INDEX IF NOT EXISTS callbacks_due ON appliance.callbacks (next_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS callbacks_finished
    ON appliance.callbacks (finished_at) WHERE state <> 'pending';
CREATE INDEX IF NOT EXISTS callbacks_newest ON appliance.callbacks (created_at DESC, id DESC);

-- Tenant and secret of the create request that set the callback URLs of a meeting (in callback_data).
-- Without a foreign key, which would restrict a Scalelite on the same database.
CREATE TABLE IF NOT EXISTS appliance.callback_origins (
    meeting_id text PRIMARY KEY,
    tenant_id text,
    secret_id text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
