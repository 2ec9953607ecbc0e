-- Each import reads callback_data by meeting, for which Scalelite has no index.
-- A hash index, because Scalelite stored meeting ids that are too long for a B-tree.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_callback_data_on_meeting_id
    ON public.callback_data USING hash (meeting_id);
