-- The files of its network that a host reported, as network::applied::Fingerprint writes them: they
-- are compared with what the inventory has.
ALTER TABLE reports ADD COLUMN configuration TEXT;
