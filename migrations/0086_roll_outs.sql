-- Roll-outs: the hosts that may apply their new network configuration now, wave by wave.
CREATE TABLE roll_outs (
    id        BIGINT NOT NULL PRIMARY KEY,    -- 1, 2, ...
    revision  BIGINT NOT NULL,
    who       TEXT NOT NULL,
    began_ms  BIGINT NOT NULL,
    ended_ms  BIGINT,
    state     TEXT NOT NULL CHECK (state IN ('running', 'halted', 'done', 'ended')),
    halt      TEXT,                           -- lifecycle::roll_out::RollOutState, if halted
    wave      BIGINT NOT NULL,                -- the open one, from 1
    opened_ms BIGINT NOT NULL,
    -- One at a time: 1 while it can go on.
    open_slot BIGINT UNIQUE CHECK (open_slot = 1),
    CHECK ((open_slot IS NOT NULL) = (state IN ('running', 'halted'))),
    CHECK ((halt IS NOT NULL) = (state = 'halted'))
);

CREATE TABLE roll_out_hosts (
    roll_out  BIGINT NOT NULL REFERENCES roll_outs (id) ON DELETE CASCADE,
    host      TEXT NOT NULL REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    wave      BIGINT NOT NULL,
    wave_name TEXT NOT NULL,
    wanted    TEXT NOT NULL,                  -- network::applied::Fingerprint of its files
    given_ms  BIGINT,
    returned  TEXT,                           -- what it reported as its failure
    PRIMARY KEY (roll_out, host)
);

-- When hosts asked last whether to apply.
CREATE TABLE followers (
    host     TEXT NOT NULL PRIMARY KEY REFERENCES hosts (name) ON DELETE CASCADE ON UPDATE CASCADE,
    asked_ms BIGINT NOT NULL
);
