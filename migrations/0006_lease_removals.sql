-- Leases that a command took back, for the server that has them in memory. It empties the
-- table; servers on PostgreSQL are notified instead.
CREATE TABLE lease_removals (
    address TEXT NOT NULL PRIMARY KEY
);
