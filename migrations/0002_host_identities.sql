-- What a host is known by besides its MACs (model::Identity): it stands in the host's spec;
-- a row here keeps it from being two hosts'.
CREATE TABLE host_identities (
    kind  TEXT NOT NULL CHECK (kind IN ('uuid', 'client-id', 'port')),
    value TEXT NOT NULL,                      -- hexadecimal
    host  TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    PRIMARY KEY (kind, value)
);
