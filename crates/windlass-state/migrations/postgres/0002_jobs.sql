-- Durable work. A job says what and when, a run is one execution of it.

CREATE TABLE jobs (
    id           TEXT   NOT NULL PRIMARY KEY,
    fabric_id    TEXT   NOT NULL REFERENCES fabrics (id),
    name         TEXT COLLATE "C" NOT NULL,
    kind         TEXT   NOT NULL,
    definition   TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    trigger_spec TEXT   NOT NULL,
    policy       TEXT   NOT NULL,
    alerts       TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    -- When the trigger fires next, or the folder is looked at next.
    next_fire_at BIGINT,
    -- Counts the changes of job_seen; two lookers cannot both change it.
    seen_version BIGINT NOT NULL DEFAULT 0,
    UNIQUE (fabric_id, name)
);

CREATE INDEX jobs_due ON jobs (next_fire_at);

-- Keeps a connection in use from being dropped.
CREATE TABLE job_connections (
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    connection_id TEXT NOT NULL REFERENCES connections (id),
    PRIMARY KEY (job_id, connection_id)
);

CREATE INDEX job_connections_connection ON job_connections (connection_id);

-- Which secrets its alerts name; keeps a secret in use from being dropped.
CREATE TABLE job_secrets (
    job_id    TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    secret_id TEXT NOT NULL REFERENCES secrets (id),
    PRIMARY KEY (job_id, secret_id)
);

CREATE INDEX job_secrets_secret ON job_secrets (secret_id);

-- What an arrival trigger has seen: fingerprints of files, spread over shards by their value.
CREATE TABLE job_seen (
    job_id TEXT   NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    shard  BIGINT NOT NULL,
    prints TEXT   NOT NULL,
    PRIMARY KEY (job_id, shard)
);

CREATE TABLE runs (
    id               TEXT   NOT NULL PRIMARY KEY,
    -- Absent for a statement that is its own run, and once its job is dropped.
    job_id           TEXT   REFERENCES jobs (id) ON DELETE SET NULL,
    job_name         TEXT COLLATE "C",
    fabric_id        TEXT   NOT NULL REFERENCES fabrics (id),
    kind             TEXT   NOT NULL,
    definition       TEXT   NOT NULL,
    payload          TEXT   NOT NULL,
    cause            TEXT   NOT NULL,
    detail           TEXT   NOT NULL,
    policy           TEXT   NOT NULL,
    overlap          TEXT   NOT NULL,
    state            TEXT   NOT NULL,
    scheduled_at     BIGINT NOT NULL,
    -- When it may begin: later than scheduled for a further attempt.
    available_at     BIGINT NOT NULL,
    attempt          BIGINT NOT NULL,
    -- Grows each time somebody takes the run; who knows an older number has lost it.
    claim            BIGINT NOT NULL DEFAULT 0,
    resumed          BIGINT NOT NULL DEFAULT 0,
    takeovers        BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    attempt_at       BIGINT,
    finished_at      BIGINT,
    owner            TEXT,
    lease_until      BIGINT,
    heartbeat_at     BIGINT,
    cancel_requested BIGINT NOT NULL DEFAULT 0,
    progress         TEXT   NOT NULL,
    summary          TEXT,
    error            TEXT
);

CREATE INDEX runs_open ON runs (available_at) WHERE state IN ('queued', 'running');
CREATE INDEX runs_of_job ON runs (job_id, created_at);
CREATE INDEX runs_of_fabric ON runs (fabric_id, created_at);
CREATE INDEX runs_finished ON runs (finished_at);

CREATE TABLE run_events (
    run_id  TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    level   TEXT   NOT NULL,
    message TEXT   NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE TABLE run_items (
    run_id      TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seq         BIGINT NOT NULL,
    action      TEXT   NOT NULL,
    source      TEXT   NOT NULL,
    destination TEXT   NOT NULL,
    size        BIGINT,
    status      TEXT   NOT NULL,
    reason      TEXT,
    PRIMARY KEY (run_id, seq)
);

-- Uploads in parts that a run has begun. A run with rows here is not pruned: somebody has to
-- abort them first.
CREATE TABLE run_uploads (
    run_id        TEXT   NOT NULL REFERENCES runs (id),
    connection_id TEXT   NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    bucket        TEXT COLLATE "C" NOT NULL,
    object_key    TEXT COLLATE "C" NOT NULL,
    upload_id     TEXT   NOT NULL,
    source        TEXT   NOT NULL,
    parts         TEXT   NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (run_id, connection_id, bucket, object_key)
);

CREATE INDEX run_uploads_connection ON run_uploads (connection_id);

-- Where a run goes on after it was stopped.
CREATE TABLE run_marks (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name   TEXT COLLATE "C" NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (run_id, name)
);

-- Alerts to be delivered; written with the end of the run, so that none is forgotten.
CREATE TABLE run_alerts (
    id         TEXT   NOT NULL PRIMARY KEY,
    run_id     TEXT   NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    target     TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    attempts   BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,
    error      TEXT,
    created_at BIGINT NOT NULL
);

CREATE INDEX run_alerts_run ON run_alerts (run_id);
CREATE INDEX run_alerts_due ON run_alerts (next_at) WHERE state = 'pending';

-- Processes that fire triggers.
CREATE TABLE presences (
    owner      TEXT   NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    beat_at    BIGINT NOT NULL
);
