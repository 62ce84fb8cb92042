-- What this inventory has put into zones by dynamic updates: nothing else is removed from them. A row is there before its
-- record is sent.
CREATE TABLE dns_records (
    zone   TEXT NOT NULL,
    owner  TEXT NOT NULL,                     -- below the zone, without it
    kind   TEXT NOT NULL,                     -- A, AAAA or PTR
    data   TEXT NOT NULL,
    is_set BOOLEAN NOT NULL DEFAULT false,    -- whether the name server has it
    PRIMARY KEY (zone, owner, kind, data)
);
-- Which server sends the updates of a zone.
CREATE TABLE dns_zones (
    zone             TEXT NOT NULL PRIMARY KEY,
    claimed_by       TEXT NOT NULL,
    claimed_until_ms BIGINT NOT NULL
);
