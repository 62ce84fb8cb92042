-- The latest install of each host (server/lifecycle/install.rs). Times are Unix seconds.
CREATE TABLE installs (
    host        TEXT NOT NULL PRIMARY KEY REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    version     BIGINT NOT NULL,              -- of the newest change over all rows: grows with each
    image       TEXT NOT NULL,                -- what it installs; no reference: history outlives it
    state       TEXT NOT NULL
                CHECK (state IN ('armed', 'loading', 'started', 'done', 'failed', 'cancelled')),
    since       BIGINT NOT NULL,
    armed_by    TEXT NOT NULL,
    armed_until BIGINT NOT NULL,
    token_hash  TEXT,                         -- SHA-256 of the boot's token, hexadecimal
    token_until BIGINT NOT NULL,
    reason      TEXT NOT NULL
);
CREATE INDEX installs_by_version ON installs (version);
