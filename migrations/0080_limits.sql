-- Which hosts a user or a token may change: model::Limits as JSON; none of who may change everything.
ALTER TABLE users ADD COLUMN limits TEXT;
ALTER TABLE tokens ADD COLUMN limits TEXT;
