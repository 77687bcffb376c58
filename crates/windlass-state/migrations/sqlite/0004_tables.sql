-- Queries with names, the columns that file tables were found with, and how those changed.
CREATE TABLE views (
    fabric_id   TEXT   NOT NULL,
    schema_name TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    query       TEXT   NOT NULL,
    columns     TEXT   NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (fabric_id, schema_name, name),
    FOREIGN KEY (fabric_id, schema_name) REFERENCES schemas (fabric_id, name)
) STRICT;

CREATE TABLE table_schemas (
    table_id   TEXT   NOT NULL PRIMARY KEY REFERENCES file_tables (id) ON DELETE CASCADE,
    columns    TEXT   NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE schema_changes (
    table_id    TEXT   NOT NULL REFERENCES file_tables (id) ON DELETE CASCADE,
    column_name TEXT   NOT NULL,
    change      TEXT   NOT NULL,
    old_type    TEXT   NOT NULL,
    new_type    TEXT   NOT NULL,
    files       TEXT   NOT NULL,
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (table_id, column_name, change, old_type, new_type)
) STRICT;
