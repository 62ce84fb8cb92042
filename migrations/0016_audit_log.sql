-- What people and programs did: kept longer than events, in a table of its own.
CREATE TABLE audit (
    id      TEXT NOT NULL PRIMARY KEY,        -- sorts by time: milliseconds, counter, process
    at_ms   BIGINT NOT NULL,                  -- the first time, if it happened several times
    last_ms BIGINT NOT NULL,
    times   BIGINT NOT NULL,                  -- how many times within an hour
    who     TEXT NOT NULL,
    via     TEXT NOT NULL,                    -- lifecycle::audit::Entrance
    address TEXT,                             -- where it came from
    kind    TEXT NOT NULL,
    data    TEXT NOT NULL,                    -- lifecycle::audit::Action
    same_as TEXT UNIQUE                       -- set: what is counted in this row
);
CREATE INDEX audit_by_who ON audit (who, id);
CREATE INDEX audit_by_kind ON audit (kind, id);
CREATE INDEX audit_by_address ON audit (address, id);

-- Entries that were among the events. Their data is read by the program, which empties the table
-- when it opens the database (server/inventory/audit_log.rs).
CREATE TABLE audit_carried_over (
    id    TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    text  TEXT NOT NULL,
    data  TEXT
);
INSERT INTO audit_carried_over (id, at_ms, text, data)
    SELECT id, at_ms, text, data FROM events WHERE kind IN ('change', 'login');
DELETE FROM events WHERE kind IN ('change', 'login');
