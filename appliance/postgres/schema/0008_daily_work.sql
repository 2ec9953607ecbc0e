-- Last run of each daily task, which one appliance runs for all.

CREATE TABLE IF NOT EXISTS appliance.daily_work (
    name text PRIMARY KEY,
    finished_at timestamptz NOT NULL
);
