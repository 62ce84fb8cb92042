-- Who may do what. Whoever could log in could do everything; a token what may_change says.
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'admin';         -- model::Role
ALTER TABLE users ADD COLUMN is_disabled BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN last_login_at BIGINT;
ALTER TABLE tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'viewer';       -- model::Role
ALTER TABLE tokens ADD COLUMN owner TEXT;                                -- a user; none of the command line
ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;
UPDATE tokens SET role = 'operator' WHERE may_change;
-- Whose it is. Sessions of earlier versions end.
ALTER TABLE sessions ADD COLUMN username TEXT NOT NULL DEFAULT '';
DELETE FROM sessions;
CREATE INDEX sessions_username ON sessions (username);
