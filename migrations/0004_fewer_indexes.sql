-- Each lease of a scattered MAC dirtied a page of an index that no query uses, and every page is
-- written and synced before the ACK. Events are read by their key, which sorts by time.

DROP INDEX leases_by_client;
DROP INDEX events_by_time;
