-- When a work that is done once a day, by one appliance for all, was last done.

CREATE TABLE IF NOT EXISTS appliance.daily_work (
    name text PRIMARY KEY,
    finished_at timestamptz NOT NULL
);
