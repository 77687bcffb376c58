-- The catalogue: what crawls found, what people say of it, and which files came from which.
CREATE TABLE catalog_services (
    id            TEXT   NOT NULL PRIMARY KEY,
    fabric_id     TEXT   NOT NULL REFERENCES fabrics (id) ON DELETE CASCADE,
    name          TEXT   NOT NULL,
    description   TEXT,
    connection_id TEXT   REFERENCES connections (id) ON DELETE SET NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (fabric_id, name)
) STRICT;

CREATE INDEX catalog_services_connection ON catalog_services (connection_id);

CREATE TABLE containers (
    -- A number, because the full-text index is joined by it.
    id          INTEGER NOT NULL PRIMARY KEY,
    service_id  TEXT   NOT NULL REFERENCES catalog_services (id) ON DELETE CASCADE,
    status      TEXT   NOT NULL,
    reason      TEXT,
    bucket      TEXT   NOT NULL,
    path        TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    fqn         TEXT   NOT NULL,
    parent_fqn  TEXT,
    full_path   TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    size        INTEGER,
    objects     INTEGER,
    row_count   INTEGER,
    newest      INTEGER,
    oldest      INTEGER,
    -- The run that spoke of it last, and when.
    run_id      TEXT   NOT NULL,
    checked_at  INTEGER NOT NULL,
    first_seen  INTEGER,
    last_seen   INTEGER,
    changed_at  INTEGER,
    -- Long texts come last: what is looked for stands before them.
    -- JSON of what is only shown, never looked for.
    detail      TEXT   NOT NULL,
    -- JSON of its columns, where it has a structure.
    structure   TEXT,
    UNIQUE (service_id, bucket, path)
) STRICT;

CREATE INDEX containers_fqn ON containers (fqn);
CREATE INDEX containers_full_path ON containers (full_path);

CREATE TABLE container_history (
    container_id INTEGER NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    at           INTEGER NOT NULL,
    change       TEXT   NOT NULL,
    column_name  TEXT   NOT NULL,
    old_value    TEXT,
    new_value    TEXT,
    run_id       TEXT   NOT NULL,
    PRIMARY KEY (container_id, at, change, column_name)
) STRICT;

-- Figures when they changed; one row a day.
CREATE TABLE container_figures (
    container_id INTEGER NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    day          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    size         INTEGER,
    objects      INTEGER,
    row_count    INTEGER,
    run_id       TEXT   NOT NULL,
    PRIMARY KEY (container_id, day)
) STRICT;

-- What people say; no crawl writes here. The container itself has the column ''.
CREATE TABLE container_notes (
    container_id INTEGER NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    column_name  TEXT   NOT NULL,
    description  TEXT,
    owners       TEXT   NOT NULL,
    tags         TEXT   NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (container_id, column_name)
) STRICT;

CREATE VIRTUAL TABLE container_search USING fts5 (name, columns, about, notes, prefix = '1 2 3');

CREATE TRIGGER containers_search AFTER DELETE ON containers BEGIN
    DELETE FROM container_search WHERE rowid = old.id;
END;

-- From where to where runs took data. An end is a connection (its id, and its name then; both
-- empty for the machine of the command line), a bucket and a path.
CREATE TABLE lineage_edges (
    fabric_id       TEXT   NOT NULL REFERENCES fabrics (id) ON DELETE CASCADE,
    from_connection TEXT   NOT NULL,
    from_name       TEXT   NOT NULL,
    from_bucket     TEXT   NOT NULL,
    from_path       TEXT   NOT NULL,
    to_connection   TEXT   NOT NULL,
    to_name         TEXT   NOT NULL,
    to_bucket       TEXT   NOT NULL,
    to_path         TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    columns         TEXT   NOT NULL,
    run_id          TEXT   NOT NULL,
    runs            INTEGER NOT NULL,
    first_at        INTEGER NOT NULL,
    last_at         INTEGER NOT NULL,
    PRIMARY KEY (fabric_id, from_connection, from_bucket, from_path, to_connection, to_bucket, to_path)
) STRICT;

CREATE INDEX lineage_edges_to ON lineage_edges (fabric_id, to_connection, to_bucket, to_path);
