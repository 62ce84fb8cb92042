-- The state of each host with the figures of its latest boot: what lifecycle/state.rs computes out
-- of the host's events. Whether a boot is stuck is found by the clock when a state is read.
CREATE TABLE host_states (
    host     TEXT NOT NULL PRIMARY KEY REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    state    TEXT NOT NULL,                   -- lifecycle::HostState, never stuck
    since_ms BIGINT NOT NULL,
    boot     TEXT NOT NULL,                   -- lifecycle::boot::Boot
    old_reason TEXT                           -- set: the sentence of an earlier version
);
INSERT INTO host_states (host, state, since_ms, boot, old_reason)
    SELECT name, state, state_at_ms, '{}', state_text FROM hosts WHERE state_at_ms > 0;
ALTER TABLE hosts DROP COLUMN state;
ALTER TABLE hosts DROP COLUMN state_at_ms;
ALTER TABLE hosts DROP COLUMN state_text;
