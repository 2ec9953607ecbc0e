-- callback_data is read by meeting at each import. Scalelite has no index for that.
CREATE INDEX CONCURRENTLY IF NOT EXISTS appliance_callback_data_on_meeting_id
    ON public.callback_data (meeting_id);
