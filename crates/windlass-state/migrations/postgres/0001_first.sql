-- Ids are text, times integer microseconds of UTC, JSON and sealed bytes text.
-- Names sort by their bytes, as they do in SQLite.

CREATE TABLE fabrics (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C"   NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Connections and schemas of a fabric share one namespace: `landing.x` must mean one thing.
CREATE TABLE names (
    fabric_id TEXT NOT NULL REFERENCES fabrics (id),
    name      TEXT COLLATE "C" NOT NULL,
    kind      TEXT NOT NULL,
    PRIMARY KEY (fabric_id, name)
);

CREATE TABLE schemas (
    fabric_id  TEXT   NOT NULL REFERENCES fabrics (id),
    name       TEXT COLLATE "C"   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (fabric_id, name)
);

CREATE TABLE connections (
    id         TEXT   NOT NULL PRIMARY KEY,
    fabric_id  TEXT   NOT NULL REFERENCES fabrics (id),
    name       TEXT COLLATE "C"   NOT NULL,
    kind       TEXT   NOT NULL,
    options    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (fabric_id, name)
);

CREATE TABLE connection_secrets (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    option_name   TEXT COLLATE "C" NOT NULL,
    sealed        TEXT NOT NULL,
    PRIMARY KEY (connection_id, option_name)
);

CREATE TABLE secrets (
    id         TEXT   NOT NULL PRIMARY KEY,
    fabric_id  TEXT   NOT NULL REFERENCES fabrics (id),
    name       TEXT COLLATE "C"   NOT NULL,
    sealed     TEXT   NOT NULL,
    origin     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (fabric_id, name)
);

-- Which options say `SECRET name`; keeps a secret in use from being dropped.
CREATE TABLE secret_uses (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    option_name   TEXT COLLATE "C" NOT NULL,
    secret_id     TEXT NOT NULL REFERENCES secrets (id),
    PRIMARY KEY (connection_id, option_name)
);

CREATE INDEX secret_uses_secret ON secret_uses (secret_id);

CREATE TABLE file_tables (
    id            TEXT   NOT NULL PRIMARY KEY,
    fabric_id     TEXT   NOT NULL,
    schema_name   TEXT COLLATE "C"   NOT NULL,
    name          TEXT COLLATE "C"   NOT NULL,
    connection_id TEXT   NOT NULL REFERENCES connections (id),
    location      TEXT   NOT NULL,
    options       TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    UNIQUE (fabric_id, schema_name, name),
    FOREIGN KEY (fabric_id, schema_name) REFERENCES schemas (fabric_id, name)
);

CREATE INDEX file_tables_connection ON file_tables (connection_id);

CREATE TABLE bucket_regions (
    connection_id TEXT NOT NULL REFERENCES connections (id) ON DELETE CASCADE,
    bucket        TEXT COLLATE "C" NOT NULL,
    region        TEXT NOT NULL,
    PRIMARY KEY (connection_id, bucket)
);

CREATE TABLE meta (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
