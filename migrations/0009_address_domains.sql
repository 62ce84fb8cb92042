-- The same address may be used in two routing domains (VRFs): it is one host's in each.
CREATE TABLE host_addresses_of_domains (
    vrf     TEXT NOT NULL DEFAULT '',         -- empty: the usual domain
    address TEXT NOT NULL,
    host    TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    link    TEXT,                             -- set: the link that bears it
    subnet  TEXT REFERENCES subnets (name),   -- set: reserved for DHCP there
    CHECK (link IS NOT NULL OR subnet IS NOT NULL),
    PRIMARY KEY (vrf, address),
    UNIQUE (host, link),
    UNIQUE (host, subnet)
);
INSERT INTO host_addresses_of_domains (address, host, link, subnet)
    SELECT address, host, link, subnet FROM host_addresses;
DROP TABLE host_addresses;
ALTER TABLE host_addresses_of_domains RENAME TO host_addresses;
