-- Reports of usage read an index alone only where rows are known to be visible to all. PostgreSQL makes that known when
-- a fifth of a table is new, which with a year of runs are the months one asks for; here when a hundredth is.

DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 130000 THEN
        ALTER TABLE appliance.meeting_runs SET (autovacuum_vacuum_insert_scale_factor = 0.01);
    END IF;
END
$$;
