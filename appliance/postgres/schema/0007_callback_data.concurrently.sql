-- callback_data is read by meeting at each import. Scalelite has no index for that.
-- A hash, since Scalelite wrote whatever a create named, also what is too long for a B-tree.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_callback_data_on_meeting_id
    ON public.callback_data USING hash (meeting_id);
