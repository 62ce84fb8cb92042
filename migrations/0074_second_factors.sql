-- The second factor of a user: the secret that an authenticator has too (RFC 6238), sealed as secrets
-- are, and the last step whose code was taken, so that none is taken twice.
CREATE TABLE second_factors (
    username  TEXT PRIMARY KEY REFERENCES users (name) ON DELETE CASCADE,
    sealed    TEXT NOT NULL,
    is_on     BOOLEAN NOT NULL DEFAULT false,   -- once a code of it was given
    last_step BIGINT NOT NULL DEFAULT 0,
    set_at    BIGINT NOT NULL
);
-- What stands for a code once each: SHA-256 of a random text.
CREATE TABLE recovery_codes (
    username TEXT NOT NULL REFERENCES second_factors (username) ON DELETE CASCADE,
    hash     TEXT NOT NULL,
    PRIMARY KEY (username, hash)
);
