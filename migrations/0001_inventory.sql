-- One set of portable SQL for SQLite and PostgreSQL: TEXT, BIGINT (Unix seconds
-- unless the name ends in _ms) and BOOLEAN only. MACs, addresses and JSON are
-- TEXT in their one canonical spelling; the types live in Rust (server/model).
-- Keys are natural or made in Rust, never autoincrement.

-- A noun's `spec` is its JSON as in the site file, without what stands in a
-- column or a table of its own: a new field of the model needs no migration.

CREATE TABLE racks (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::Rack
);

CREATE TABLE tenants (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::Tenant
);

CREATE TABLE profiles (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::Profile
);

CREATE TABLE images (
    name TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL                        -- model::Image
);

CREATE TABLE subnets (
    name   TEXT NOT NULL PRIMARY KEY,
    cidr   TEXT NOT NULL UNIQUE,
    tenant TEXT REFERENCES tenants (name),
    spec   TEXT NOT NULL                      -- the rest of model::Subnet
);

CREATE TABLE subnet_ranges (
    subnet        TEXT NOT NULL REFERENCES subnets (name) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    first_address TEXT NOT NULL,
    last_address  TEXT NOT NULL,
    used_for      TEXT NOT NULL CHECK (used_for IN ('dhcp', 'hosts', 'reserved')),
    PRIMARY KEY (subnet, position)
);

CREATE TABLE hosts (
    name        TEXT NOT NULL PRIMARY KEY,
    rack        TEXT REFERENCES racks (name),
    tenant      TEXT REFERENCES tenants (name),
    profile     TEXT REFERENCES profiles (name),
    image       TEXT REFERENCES images (name),
    spec        TEXT NOT NULL,                -- the rest of model::Host
    state       TEXT NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'booting', 'up', 'failed')),
    state_at_ms BIGINT NOT NULL DEFAULT 0,
    state_text  TEXT NOT NULL DEFAULT ''
);

-- A MAC is one NIC of one host in the whole site.
CREATE TABLE nics (
    mac      TEXT NOT NULL PRIMARY KEY,
    host     TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    label    TEXT NOT NULL,
    position BIGINT NOT NULL,
    UNIQUE (host, label)
);

-- Every address that a host owns: on one of its links, or reserved for DHCP on a
-- subnet. The primary key refuses an address that somebody has already.
CREATE TABLE host_addresses (
    address TEXT NOT NULL PRIMARY KEY,
    host    TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    link    TEXT,                             -- set: the link that bears it
    subnet  TEXT REFERENCES subnets (name),   -- set: reserved for DHCP there
    CHECK (link IS NOT NULL OR subnet IS NOT NULL),
    UNIQUE (host, link),
    UNIQUE (host, subnet)
);

CREATE TABLE leases (
    address    TEXT NOT NULL PRIMARY KEY,
    client     TEXT NOT NULL,                 -- host:NAME, mac:MAC or id:HEX
    mac        TEXT NOT NULL,
    subnet     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('bound', 'released', 'declined')),
    starts_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX leases_by_client ON leases (client);

CREATE TABLE events (
    id    TEXT NOT NULL PRIMARY KEY,          -- sorts by time: milliseconds, counter, process
    at_ms BIGINT NOT NULL,
    host  TEXT,                               -- no reference: history outlives the host
    mac   TEXT,
    kind  TEXT NOT NULL,
    text  TEXT NOT NULL
);

CREATE INDEX events_by_host ON events (host, id);
CREATE INDEX events_by_time ON events (at_ms);

CREATE TABLE revisions (
    id      BIGINT NOT NULL PRIMARY KEY,      -- 1, 2, 3 ...; made in the changing transaction
    at      BIGINT NOT NULL,
    who     TEXT NOT NULL,
    summary TEXT NOT NULL,
    before  TEXT NOT NULL,                    -- a site file of what was changed, as it was
    after   TEXT NOT NULL                     -- and as it is since
);

CREATE TABLE users (
    name          TEXT NOT NULL PRIMARY KEY,
    password_hash TEXT NOT NULL,              -- argon2id, PHC string
    created_at    BIGINT NOT NULL
);

CREATE TABLE tokens (
    hash       TEXT NOT NULL PRIMARY KEY,     -- SHA-256 of the token, hexadecimal
    name       TEXT NOT NULL UNIQUE,
    may_change BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

CREATE TABLE sessions (
    id         TEXT NOT NULL PRIMARY KEY,     -- SHA-256 of the session's id, hexadecimal
    data       TEXT NOT NULL,                 -- JSON
    expires_at BIGINT NOT NULL
);

-- What a host said of itself last.
CREATE TABLE reports (
    host  TEXT NOT NULL PRIMARY KEY REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    at_ms BIGINT NOT NULL,
    body  TEXT NOT NULL
);
