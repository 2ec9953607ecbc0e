-- The journal of imports: one row for each tar that was ever in the spool. The unique columns distinguish a tar
-- from another one of the same name.

CREATE TABLE IF NOT EXISTS appliance.imports (
    id bigserial PRIMARY KEY,
    file text NOT NULL,
    size_bytes bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    inode bigint NOT NULL,
    state text NOT NULL DEFAULT 'waiting',
    error text,
    attempts integer NOT NULL DEFAULT 0,
    undelete boolean NOT NULL DEFAULT false,
    record_ids text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    next_try_at timestamptz,
    UNIQUE (file, size_bytes, mtime_ns, inode)
);

CREATE INDEX IF NOT EXISTS imports_on_created_at ON appliance.imports (created_at DESC, id DESC);
