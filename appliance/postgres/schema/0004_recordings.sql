-- Metadata that users removed: an import of the same recording must not bring it back.
-- Without a foreign key, so that a Scalelite beside us may do with its tables what it likes.

CREATE TABLE IF NOT EXISTS appliance.removed_metadata (
    recording_id bigint NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (recording_id, key)
);
