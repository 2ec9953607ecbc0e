-- The tables that the appliance shares with Scalelite 1.x, as in its Rails schema of 2023-06-27.
-- Existing tables are not changed; missing ones are created. Always in `public`, as Rails does.

DO $$
DECLARE
    tables CONSTANT text[] :=
        ARRAY['recordings', 'metadata', 'playback_formats', 'thumbnails', 'callback_data'];
    is_new boolean;
    missing text;
BEGIN
    SELECT NOT EXISTS (
        SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'public' AND tablename = ANY (tables)
    ) INTO is_new;

    CREATE TABLE IF NOT EXISTS public.recordings (
        id bigserial PRIMARY KEY,
        record_id varchar,
        meeting_id varchar,
        name varchar,
        published boolean NOT NULL DEFAULT false,
        participants integer,
        state varchar,
        starttime timestamp,
        endtime timestamp,
        deleted_at timestamp,
        protected boolean NOT NULL DEFAULT false,
        publish_updated boolean NOT NULL DEFAULT false
    );
    CREATE TABLE IF NOT EXISTS public.metadata (
        id bigserial PRIMARY KEY,
        recording_id bigint,
        key varchar,
        value varchar
    );
    CREATE TABLE IF NOT EXISTS public.playback_formats (
        id bigserial PRIMARY KEY,
        recording_id bigint,
        format varchar,
        url varchar,
        length integer,
        processing_time integer
    );
    CREATE TABLE IF NOT EXISTS public.thumbnails (
        id bigserial PRIMARY KEY,
        playback_format_id bigint,
        width integer,
        height integer,
        alt varchar,
        url varchar,
        sequence integer
    );
    CREATE TABLE IF NOT EXISTS public.callback_data (
        id bigserial PRIMARY KEY,
        meeting_id varchar,
        recording_id integer,
        callback_attributes text,
        created_at timestamp(6) NOT NULL,
        updated_at timestamp(6) NOT NULL
    );

    -- Tables of an older Scalelite lack columns. Adding them here would break its own migrations.
    SELECT string_agg(needed.name, ', ') INTO missing
    FROM unnest(ARRAY['protected', 'publish_updated', 'participants', 'deleted_at']) AS needed (name)
    WHERE NOT EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'recordings' AND column_name = needed.name
    );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION
            'the table recordings is of an older Scalelite (no %): run Scalelite''s db:migrate first',
            missing;
    END IF;

    -- Rails' migrations are recorded as applied only if the appliance has created every table.
    IF is_new THEN
        CREATE UNIQUE INDEX index_recordings_on_record_id ON public.recordings (record_id);
        CREATE INDEX index_recordings_on_meeting_id ON public.recordings (meeting_id);
        CREATE UNIQUE INDEX index_metadata_on_recording_id_and_key
            ON public.metadata (recording_id, key);
        CREATE UNIQUE INDEX index_playback_formats_on_recording_id_and_format
            ON public.playback_formats (recording_id, format);
        CREATE INDEX index_thumbnails_on_playback_format_id
            ON public.thumbnails (playback_format_id);

        CREATE TABLE IF NOT EXISTS public.schema_migrations (version varchar PRIMARY KEY);
        INSERT INTO public.schema_migrations (version) VALUES
            ('20181123180008'),
            ('20210425184558'),
            ('20210630205630'),
            ('20210725200414'),
            ('20221111194252'),
            ('20230627141045')
        ON CONFLICT DO NOTHING;

        CREATE TABLE IF NOT EXISTS public.ar_internal_metadata (
            key varchar PRIMARY KEY,
            value varchar,
            created_at timestamp(6) NOT NULL,
            updated_at timestamp(6) NOT NULL
        );
        INSERT INTO public.ar_internal_metadata (key, value, created_at, updated_at)
        VALUES ('environment', 'production', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
