-- Clients that asked DHCP and are in no host, and what marks them.
CREATE TABLE unknown_clients (
    client        TEXT NOT NULL PRIMARY KEY,  -- mac:MAC, guid:GUID or id:HEX
    first_seen_ms BIGINT NOT NULL,
    last_seen_ms  BIGINT NOT NULL,
    marks         TEXT NOT NULL               -- JSON
);
