-- Events have data; their sentence is made when they are shown. Older events keep the sentence that
-- was stored.
ALTER TABLE events ADD COLUMN data TEXT;      -- lifecycle::EventData; text is empty where it is set
ALTER TABLE events ADD COLUMN address TEXT;   -- the address that it is about
