-- Usage (docs/tenants.md): meeting runs, and samples of what tenants had on which servers.

-- What a sample is about, so that rows hold a number in place of two ids. scope 0: a tenant on a server;
-- totals are 1: a tenant, 2: a server, 3: the pool. '' is the tenant of a pool without tenants.
CREATE TABLE IF NOT EXISTS appliance.usage_pairs (
    id serial PRIMARY KEY,
    scope smallint NOT NULL,
    tenant text NOT NULL,
    server text NOT NULL,
    UNIQUE (scope, tenant, server)
);

-- One row for each run of a meeting that has ended. id is derived from server and internal id, so that
-- writing a run twice leaves one row. Of the columns of 8 bytes first, to save space.
CREATE TABLE IF NOT EXISTS appliance.meeting_runs (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    first_join_at timestamptz,
    ended_at timestamptz NOT NULL,
    user_ms bigint NOT NULL,
    dial_in_ms bigint NOT NULL,
    gap_ms bigint NOT NULL,
    pair integer NOT NULL REFERENCES appliance.usage_pairs (id),
    peak_users integer NOT NULL,
    peak_voice integer NOT NULL,
    peak_videos integer NOT NULL,
    peak_listeners integer NOT NULL,
    dial_in_callers integer NOT NULL,
    mean_users real NOT NULL,
    recorded boolean NOT NULL,
    noticed text NOT NULL,
    meeting_id text NOT NULL,
    internal_id text NOT NULL,
    name text,
    tag text,
    origin text,
    origin_server text,
    breakout_of text,
    moved_from text
);

CREATE INDEX IF NOT EXISTS meeting_runs_on_created_at ON appliance.meeting_runs (created_at);
CREATE INDEX IF NOT EXISTS meeting_runs_on_ended_at ON appliance.meeting_runs (ended_at);

-- Greatest numbers seen in a minute, and what it adds up to. No row: nothing ran, or a gap.
CREATE TABLE IF NOT EXISTS appliance.usage_minutes (
    at timestamptz NOT NULL,
    pair integer NOT NULL,
    meetings integer NOT NULL,
    users integer NOT NULL,
    voice integer NOT NULL,
    videos integer NOT NULL,
    user_ms integer NOT NULL,
    recorded_ms integer NOT NULL,
    dial_in_ms integer NOT NULL,
    PRIMARY KEY (at, pair)
);

-- The same of an hour, or of a day once it is old; also of the totals.
CREATE TABLE IF NOT EXISTS appliance.usage_hours (
    at timestamptz NOT NULL,
    pair integer NOT NULL,
    hours smallint NOT NULL DEFAULT 1,
    meetings integer NOT NULL,
    users integer NOT NULL,
    voice integer NOT NULL,
    videos integer NOT NULL,
    user_ms bigint NOT NULL,
    recorded_ms bigint NOT NULL,
    dial_in_ms bigint NOT NULL,
    PRIMARY KEY (pair, at)
);

CREATE INDEX IF NOT EXISTS usage_hours_on_at ON appliance.usage_hours (at);

-- Hours whose minutes have changed since usage_hours was computed.
CREATE TABLE IF NOT EXISTS appliance.usage_changed_hours (at timestamptz PRIMARY KEY);

-- When a server was not polled although it may have had meetings.
CREATE TABLE IF NOT EXISTS appliance.usage_gaps (
    server text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (server, began_at)
);

-- The names of tenants, also of those that have been removed.
CREATE TABLE IF NOT EXISTS appliance.usage_tenants (
    id text PRIMARY KEY,
    name text NOT NULL
);

-- Size of the files of a format of a recording; those of Scalelite's importer are measured later.
CREATE TABLE IF NOT EXISTS appliance.recording_sizes (
    record_id text NOT NULL,
    format text NOT NULL,
    bytes bigint NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (record_id, format)
);
