-- Events are numbered in the order in which they are stored, whichever server stores them, and
-- found by the words and values that occur in them (docs/decisions/0102).
CREATE TABLE numbered_events (
    number  BIGINT NOT NULL PRIMARY KEY,      -- 1, 2, 3 ...; gaps where events were removed
    at_ms   BIGINT NOT NULL,
    host    TEXT,                             -- no reference: history outlives the host
    mac     TEXT,
    kind    TEXT NOT NULL,
    address TEXT,                             -- the address that it is about
    data    TEXT,                             -- lifecycle::EventData
    text    TEXT NOT NULL,                    -- set where data is not: the sentence of an earlier version
    begins_boot BOOLEAN NOT NULL,             -- of its host
    server  BIGINT NOT NULL                   -- a random number of the server that stored it
);
INSERT INTO numbered_events
    (number, at_ms, host, mac, kind, address, data, text, begins_boot, server)
    SELECT ROW_NUMBER() OVER (ORDER BY id), at_ms, host, mac, kind, address, data, text, FALSE, 0
    FROM events;
DROP TABLE events;
ALTER TABLE numbered_events RENAME TO events;
CREATE INDEX events_by_host ON events (host, number);
CREATE INDEX events_by_boot ON events (host, number) WHERE begins_boot;

-- One row. Whoever stores events has it until the commit.
CREATE TABLE event_numbers (
    name TEXT NOT NULL PRIMARY KEY,           -- events
    last BIGINT NOT NULL
);
INSERT INTO event_numbers (name, last) SELECT 'events', COALESCE(MAX(number), 0) FROM events;

-- Segments of 768 numbers, indexed when they are full.
CREATE TABLE event_segments (
    segment  BIGINT NOT NULL PRIMARY KEY,     -- number / 768
    first_ms BIGINT NOT NULL,                 -- the earliest moment
    last_ms  BIGINT NOT NULL
);
CREATE TABLE event_terms (
    segment BIGINT NOT NULL,
    term    TEXT NOT NULL,                    -- decimal digits: lifecycle/search.rs
    events  TEXT NOT NULL,                    -- which events of the segment have it
    PRIMARY KEY (segment, term)
);

-- The last event that a host's state follows from.
ALTER TABLE host_states ADD COLUMN last_event BIGINT NOT NULL DEFAULT 0;
