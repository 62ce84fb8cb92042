-- A lease knows the NIC that asked, which may be a port of InfiniBand: a MAC, a GUID, or nothing. And whether it is of
-- an address that another server gave its client, which owns another one here and keeps this one until it asks anew.
ALTER TABLE leases RENAME COLUMN mac TO nic;
UPDATE leases SET nic = '' WHERE nic = '00:00:00:00:00:00';
ALTER TABLE leases ADD COLUMN taken_over BOOLEAN NOT NULL DEFAULT FALSE;
