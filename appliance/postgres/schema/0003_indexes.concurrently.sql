-- Indexes on Scalelite's tables for the queries of the appliance. Each is built CONCURRENTLY, not in a
-- transaction, so that a Scalelite on the same database can write meanwhile.

-- getRecordings lists the newest first, in pages; the id orders equal times.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_starttime
    ON public.recordings (starttime DESC, id DESC);

-- recordID filters are prefixes, which an index of the default collation does not serve.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_record_id_prefix
    ON public.recordings (record_id text_pattern_ops);

-- meta_* filters; hashed, because a value can exceed the maximum size of an index entry (2.7 kB).
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_metadata_on_key_and_value
    ON public.metadata (key, md5(value));

-- Part of Scalelite's schema, but possibly missing in a database that was set up by hand.
CREATE INDEX CONCURRENTLY IF NOT EXISTS index_thumbnails_on_playback_format_id
    ON public.thumbnails (playback_format_id);
