-- Recordings in object storage.

-- Recordings whose objects have to be brought in line with their rows: moved, or deleted.
CREATE TABLE IF NOT EXISTS appliance.object_work (
    record_id text PRIMARY KEY,
    generation bigint NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now(),
    error text
);

-- Objects that an import (import_id 0: a move) is making, written before them and deleted with its commit.
CREATE TABLE IF NOT EXISTS appliance.object_uploads (
    import_id bigint NOT NULL,
    record_id text NOT NULL,
    format text NOT NULL,
    published boolean NOT NULL,
    names text[] NOT NULL,
    PRIMARY KEY (record_id, format, published, import_id)
);

ALTER TABLE appliance.imports
    ADD COLUMN IF NOT EXISTS wait_reason text,
    ADD COLUMN IF NOT EXISTS uploaded_bytes bigint,
    ADD COLUMN IF NOT EXISTS upload_bytes bigint;
