-- Files of images, by their contents. The bytes are below the files directory of each server.
CREATE TABLE stored_files (
    sha256         TEXT NOT NULL PRIMARY KEY,     -- lower-case hexadecimal
    path           TEXT NOT NULL UNIQUE,          -- below the files directory
    size_bytes     BIGINT NOT NULL,
    content        TEXT NOT NULL,                 -- model::FileContent
    arch           TEXT,                          -- model::CpuArch
    kernel_version TEXT,
    origin         TEXT NOT NULL,
    added_by       TEXT NOT NULL,
    added_at       BIGINT NOT NULL,
    modified_ms    BIGINT NOT NULL,
    verified_at    BIGINT,
    is_damaged     BOOLEAN NOT NULL,
    disk_bytes     BIGINT,                        -- of a disk image: as it is on the disk
    disk_sha256    TEXT,
    version        BIGINT NOT NULL                -- grows with every change of the table
);
