-- Indexes that our queries need on Scalelite's tables. One CREATE INDEX a statement, each of them
-- built CONCURRENTLY, outside of a transaction: a Scalelite beside us goes on writing meanwhile.

-- getRecordings lists the newest first, a page at a time; the id decides between equal times.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_starttime
    ON public.recordings (starttime DESC, id DESC);

-- recordID filters are prefixes, which an index of the default collation does not serve.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_record_id_prefix
    ON public.recordings (record_id text_pattern_ops);

-- meta_* filters; hashed, as a value may be larger than an index entry can be (2.7 kB).
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_metadata_on_key_and_value
    ON public.metadata (key, md5(value));

-- Scalelite has it; a database that was put together by hand may not.
CREATE INDEX CONCURRENTLY IF NOT EXISTS index_thumbnails_on_playback_format_id
    ON public.thumbnails (playback_format_id);
