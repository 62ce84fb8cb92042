-- Switches, and the port that a NIC is cabled to: one NIC a port.

CREATE TABLE switches (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::Switch
);

ALTER TABLE nics ADD COLUMN switch TEXT REFERENCES switches (name);
ALTER TABLE nics ADD COLUMN port TEXT;

CREATE UNIQUE INDEX nics_by_port ON nics (switch, port);
