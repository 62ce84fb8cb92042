-- What tells this inventory from any other: a server refuses to start on another, empty one.
CREATE TABLE inventory_id (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
);
