-- Ends of tenants' leases that were told: whichever server gets its row in has told it.
CREATE TABLE told_lease_ends (
    host TEXT NOT NULL,
    tenant TEXT NOT NULL,
    until BIGINT NOT NULL,                    -- Unix seconds
    PRIMARY KEY (host, tenant, until)
);
