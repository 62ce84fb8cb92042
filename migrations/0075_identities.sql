-- Users of an OpenID Connect provider: who they are there, whatever their name. They have no password.
ALTER TABLE users ADD COLUMN issuer TEXT;
ALTER TABLE users ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX users_identity ON users (issuer, subject);
-- Logins that were completed a moment ago, so that none is completed twice: SHA-256 of the state.
CREATE TABLE completed_logins (
    state_hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
