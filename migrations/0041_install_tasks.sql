-- What a host is armed for: install, reinstall or erase.
ALTER TABLE installs ADD COLUMN task TEXT NOT NULL DEFAULT 'install';
