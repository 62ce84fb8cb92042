-- The chain over the audit log (server/inventory/audit_chain.rs): each link has a digest of an entry and of the link before
-- it. Triggers that guard both tables are made when the database is opened (server/inventory/audit_guard.rs).
CREATE TABLE audit_chain (
    number    BIGINT NOT NULL PRIMARY KEY,    -- 1, 2, ... without a gap
    what      TEXT NOT NULL CHECK (what IN ('entry', 'adopted', 'counted', 'trimmed')),
    id        TEXT NOT NULL,                  -- of the entry, or if trimmed that of the first entry that is kept
    content   TEXT NOT NULL,                  -- SHA-256 of what the link is about
    base      BIGINT,                         -- trimmed: links up to it may be removed
    base_hash TEXT,                           -- trimmed: the hash of that link
    hash      TEXT NOT NULL                   -- SHA-256 of all this and of the hash before
);
CREATE INDEX audit_chain_by_entry ON audit_chain (what, id);
