-- One CIDR may be a subnet in each of several routing domains (VRFs). The next change of the site enters the
-- domain of the rows that are here already: until then they are in the usual one.
CREATE TABLE subnets_of_domains (
    name   TEXT NOT NULL PRIMARY KEY,
    cidr   TEXT NOT NULL,
    vrf    TEXT NOT NULL DEFAULT '',          -- empty: the usual domain
    tenant TEXT REFERENCES tenants (name),
    spec   TEXT NOT NULL,                     -- the rest of model::Subnet
    UNIQUE (cidr, vrf)
);
INSERT INTO subnets_of_domains (name, cidr, tenant, spec) SELECT name, cidr, tenant, spec FROM subnets;

-- The tables that refer to subnets: nothing may refer to the old one when it goes.
CREATE TABLE ranges_of_domains (
    subnet        TEXT NOT NULL REFERENCES subnets_of_domains (name) ON DELETE CASCADE,
    position      BIGINT NOT NULL,
    first_address TEXT NOT NULL,
    last_address  TEXT NOT NULL,
    used_for      TEXT NOT NULL CHECK (used_for IN ('dhcp', 'hosts', 'reserved')),
    PRIMARY KEY (subnet, position)
);
INSERT INTO ranges_of_domains (subnet, position, first_address, last_address, used_for)
    SELECT subnet, position, first_address, last_address, used_for FROM subnet_ranges;
CREATE TABLE addresses_of_domains (
    vrf     TEXT NOT NULL DEFAULT '',         -- empty: the usual domain
    address TEXT NOT NULL,
    host    TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    link    TEXT,                             -- set: the link that has it
    subnet  TEXT REFERENCES subnets_of_domains (name), -- set: reserved for DHCP there
    CHECK (link IS NOT NULL OR subnet IS NOT NULL),
    PRIMARY KEY (vrf, address),
    UNIQUE (host, link),
    UNIQUE (host, subnet)
);
INSERT INTO addresses_of_domains (vrf, address, host, link, subnet)
    SELECT vrf, address, host, link, subnet FROM host_addresses;
DROP TABLE host_addresses;
DROP TABLE subnet_ranges;
DROP TABLE subnets;
ALTER TABLE subnets_of_domains RENAME TO subnets;
ALTER TABLE ranges_of_domains RENAME TO subnet_ranges;
ALTER TABLE addresses_of_domains RENAME TO host_addresses;
