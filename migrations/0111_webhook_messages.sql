-- Messages of webhooks. next_ms is empty when a message was taken by its receiver or given up; it is kept for a while, so
-- that another server that sees the same does not send it again.
CREATE TABLE webhook_messages (
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_ms BIGINT,
    PRIMARY KEY (id, url)
);
CREATE INDEX webhook_messages_due ON webhook_messages (url, next_ms);
