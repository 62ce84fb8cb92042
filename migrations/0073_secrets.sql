-- Secrets that profiles name. `sealed` is readable with the key file only; it is not in the database.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
-- One row: which key file the secrets are sealed with.
CREATE TABLE secret_key (
    id BIGINT PRIMARY KEY,
    fingerprint TEXT NOT NULL
);
