-- Pages of getRecordings among very many recordings (docs/recordings.md).

-- Recordings before a page, and those of which another table tells whether they match, are read in the
-- index alone. It takes the place of one without the state.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_starttime_and_state
    ON public.recordings (starttime DESC, id DESC) INCLUDE (state);
DROP INDEX CONCURRENTLY IF EXISTS public.appliance_recordings_on_starttime;

-- They are counted without reading the table: 7 bytes a recording instead of 130.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_recordings_on_state
    ON public.recordings (state);
