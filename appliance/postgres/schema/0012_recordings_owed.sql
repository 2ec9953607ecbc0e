-- Recordings that a server owes (docs/fleet.md): runs that ended with recording marks, or nobody knows whether,
-- and whose recording has not arrived. Not for runs from before this column.

ALTER TABLE appliance.meeting_runs ADD COLUMN IF NOT EXISTS owes boolean NOT NULL DEFAULT false;

CREATE INDEX IF NOT EXISTS meeting_runs_that_owe ON appliance.meeting_runs (ended_at) WHERE owes;
