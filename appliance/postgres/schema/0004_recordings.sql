-- Metadata that users removed: an import of the same recording must not restore it.
-- Without a foreign key, which would restrict a Scalelite on the same database.

CREATE TABLE IF NOT EXISTS appliance.removed_metadata (
    recording_id bigint NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (recording_id, key)
);
