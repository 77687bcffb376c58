//! The tables of `system`: what Windlass knows, as rows. `SHOW x` is `SELECT * FROM system.x`.

use crate::rows::{self, Cell, Columns, Kind};
use crate::windlass::Windlass;
use arrow::record_batch::RecordBatch;
use windlass_sql::TableName;
use windlass_state::FabricRow as Fabric;
use windlass_types::{Error, ErrorCode, Name, OptionMap, OptionValue, Result, options};

/// One system table.
pub(crate) struct SystemTable {
    pub(crate) name: &'static str,
    pub(crate) columns: Columns,
    pub(crate) doc: &'static str,
}

/// Every system table; docs and completion read this list.
pub(crate) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "connections",
        columns: &[
            ("name", Kind::Text),
            ("kind", Kind::Text),
            ("fabric", Kind::Text),
            ("label", Kind::Text),
            ("comment", Kind::Text),
            ("identity", Kind::Text),
            ("region", Kind::Text),
            ("endpoint", Kind::Text),
            ("bucket", Kind::Text),
            ("prefix", Kind::Text),
            ("read_only", Kind::Bool),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
            ("id", Kind::Text),
        ],
        doc: "Connections of the fabric (U-C22).",
    },
    SystemTable {
        name: "columns",
        columns: crate::catalog::COLUMNS,
        doc: "Columns of catalogued containers, those within others with a dotted path.",
    },
    SystemTable {
        name: "container_history",
        columns: crate::catalog::HISTORY,
        doc: "What changed of catalogued containers, and when: columns, formats, figures, whether they were there.",
    },
    SystemTable {
        name: "containers",
        columns: crate::catalog::CONTAINERS,
        doc: "What crawls found: buckets, datasets, folders, files, with people's notes.",
    },
    SystemTable {
        name: "errors",
        columns: &[("code", Kind::Text), ("class", Kind::Text), ("meaning", Kind::Text)],
        doc: "Every error code.",
    },
    SystemTable {
        name: "fabrics",
        columns: &[("name", Kind::Text), ("id", Kind::Text)],
        doc: "Fabrics.",
    },
    SystemTable {
        name: "file_tables",
        columns: &[
            ("fabric", Kind::Text),
            ("schema", Kind::Text),
            ("name", Kind::Text),
            ("connection", Kind::Text),
            ("location", Kind::Text),
            ("created_at", Kind::Time),
            ("id", Kind::Text),
        ],
        doc: "File tables of the fabric.",
    },
    SystemTable {
        name: "jobs",
        columns: crate::jobs::JOBS,
        doc: "Jobs of the fabric, with their last runs.",
    },
    SystemTable {
        name: "options",
        columns: &[
            ("kind", Kind::Text),
            ("name", Kind::Text),
            ("type", Kind::Text),
            ("default", Kind::Text),
            ("secret", Kind::Bool),
            ("alterable", Kind::Text),
            ("meaning", Kind::Text),
        ],
        doc: "Options of connections, of file tables, of moving files, and of jobs.",
    },
    SystemTable {
        name: "read_errors",
        columns: &[
            ("query", Kind::Integer),
            ("time", Kind::Time),
            ("file", Kind::Text),
            ("bad_rows", Kind::Integer),
            ("line", Kind::Integer),
            ("reason", Kind::Text),
        ],
        doc: "Rows and files that queries of this process could not read (ON_ERROR = SKIP or NULL): how many of each file, and the first ten.",
    },
    SystemTable {
        name: "run_events",
        columns: crate::jobs::EVENTS,
        doc: "What runs said: their logs; unless one run is asked for, the latest 200,000 lines.",
    },
    SystemTable {
        name: "run_items",
        columns: crate::jobs::ITEMS,
        doc: "Files that runs moved: all that failed, and the first 10,000 others of each run (M-J17, M-L2); unless one run is asked for, the latest 200,000.",
    },
    SystemTable {
        name: "runs",
        columns: crate::jobs::RUNS,
        doc: "Runs of jobs, and statements and copies that were their own runs (M-L1).",
    },
    SystemTable {
        name: "schema_changes",
        columns: &[
            ("schema", Kind::Text),
            ("name", Kind::Text),
            ("column", Kind::Text),
            ("change", Kind::Text),
            ("old_type", Kind::Text),
            ("new_type", Kind::Text),
            ("files", Kind::Text),
            ("seen_at", Kind::Time),
        ],
        doc: "How files differed from the stored columns of their table, when it was first seen.",
    },
    SystemTable {
        name: "schemas",
        columns: &[("name", Kind::Text), ("kind", Kind::Text)],
        doc: "Schemas of the fabric; a connection is one.",
    },
    SystemTable {
        name: "secrets",
        columns: &[
            ("name", Kind::Text),
            ("origin", Kind::Text),
            ("used_by", Kind::Text),
            ("created_at", Kind::Time),
            ("updated_at", Kind::Time),
        ],
        doc: "Secrets of the fabric, never their values.",
    },
    SystemTable {
        name: "system_tables",
        columns: &[("name", Kind::Text), ("meaning", Kind::Text)],
        doc: "The tables of `system`.",
    },
    SystemTable {
        name: "views",
        columns: &[
            ("schema", Kind::Text),
            ("name", Kind::Text),
            ("query", Kind::Text),
            ("columns", Kind::Text),
            ("created_at", Kind::Time),
        ],
        doc: "Views of the fabric.",
    },
];

/// Whether there is no system table of this name.
pub(crate) fn is_none(name: &str) -> bool {
    !TABLES.iter().any(|table| table.name == name)
}

fn text(options: &OptionMap, name: &str) -> Option<String> {
    match options.get(name) {
        Some(OptionValue::Text(text) | OptionValue::Word(text)) => Some(text.clone()),
        _ => None,
    }
}

/// How a connection proves who it is, in a word or two; never a value.
fn identity(options: &OptionMap) -> String {
    let base = if options.contains_key("AWS_ACCESS_KEY_ID") {
        "access keys".to_owned()
    } else if let Some(profile) = text(options, "AWS_PROFILE") {
        format!("profile {profile}")
    } else if matches!(options.get("ANONYMOUS"), Some(OptionValue::Bool(true))) {
        "anonymous".to_owned()
    } else if options.contains_key("ROOT") {
        "this process".to_owned()
    } else {
        "default chain".to_owned()
    };
    match text(options, "AWS_ROLE") {
        Some(role) => format!("{base}, then {role}"),
        None => base,
    }
}

impl Windlass {
    /// Rows of a system table as the fabric sees it; None if there is no such table.
    pub(crate) async fn system_table(
        &self,
        fabric: &Fabric,
        name: &str,
    ) -> Result<Option<RecordBatch>> {
        let Some(table) = TABLES.iter().find(|table| table.name == name) else { return Ok(None) };
        let store = &self.inner.store;
        let rows: Vec<Vec<Cell>> = match name {
            "connections" => store
                .connections(fabric.id)
                .await?
                .into_iter()
                .map(|row| connection_row(fabric, &row))
                .collect(),
            "columns" => self.column_table(fabric).await?,
            "container_history" => self.history_table(fabric, None).await?,
            "containers" => self.container_table(fabric).await?,
            "errors" => ErrorCode::ALL
                .iter()
                .map(|code| {
                    vec![
                        code.as_str().into(),
                        code.class().as_str().into(),
                        code.doc().trim().into(),
                    ]
                })
                .collect(),
            "fabrics" => store
                .fabrics()
                .await?
                .into_iter()
                .map(|row| vec![row.name.as_str().into(), row.id.to_string().into()])
                .collect(),
            "file_tables" => store
                .file_tables(fabric.id)
                .await?
                .into_iter()
                .map(|row| {
                    vec![
                        fabric.name.as_str().into(),
                        row.schema.as_str().into(),
                        row.name.as_str().into(),
                        row.connection_name.as_str().into(),
                        row.location.into(),
                        row.created.into(),
                        row.id.to_string().into(),
                    ]
                })
                .collect(),
            "jobs" => self.job_table(fabric.id).await?,
            "read_errors" => self.read_errors(fabric),
            "run_events" => self.event_table(fabric.id, None).await?,
            "run_items" => self.item_table(fabric.id, None, None).await?,
            "runs" => self.run_table(fabric.id).await?,
            "options" => option_rows(),
            "schemas" => {
                let mut rows: Vec<Vec<Cell>> = Vec::new();
                rows.extend(
                    store
                        .schemas(fabric.id)
                        .await?
                        .iter()
                        .map(|n| vec![n.as_str().into(), "schema".into()]),
                );
                rows.extend(
                    store
                        .connections(fabric.id)
                        .await?
                        .iter()
                        .map(|r| vec![r.name.as_str().into(), "connection".into()]),
                );
                rows
            }
            "secrets" => store
                .secrets(fabric.id)
                .await?
                .into_iter()
                .map(|row| {
                    vec![
                        row.name.as_str().into(),
                        row.origin.as_str().into(),
                        row.used_by.iter().map(Name::as_str).collect::<Vec<_>>().join(", ").into(),
                        row.created.into(),
                        row.updated.into(),
                    ]
                })
                .collect(),
            "schema_changes" => self.change_rows(fabric, None).await?,
            "views" => store
                .views(fabric.id)
                .await?
                .into_iter()
                .map(|row| {
                    vec![
                        row.schema.as_str().into(),
                        row.name.as_str().into(),
                        row.query.into(),
                        row.columns.join(", ").into(),
                        row.created.into(),
                    ]
                })
                .collect(),
            _ => TABLES.iter().map(|table| vec![table.name.into(), table.doc.into()]).collect(),
        };
        rows::batch(table.columns, &rows).map(Some)
    }
}

impl Windlass {
    /// What queries of the fabric could not read: a row for each that is told.
    fn read_errors(&self, fabric: &Fabric) -> Vec<Vec<Cell>> {
        let Some(query) = self.inner.query.get() else { return Vec::new() };
        let files = query.bad_files().all();
        files
            .iter()
            .filter(|file| file.fabric == fabric.name.as_str())
            .flat_map(|file| {
                file.first.iter().map(|bad| {
                    vec![
                        file.query.into(),
                        file.time.into(),
                        file.file.as_str().into(),
                        file.rows.into(),
                        bad.line.into(),
                        bad.reason.as_str().into(),
                    ]
                })
            })
            .collect()
    }

    /// What changed in the columns of one table or of all.
    pub(crate) async fn schema_changes(
        &self,
        fabric: &Fabric,
        table: Option<&TableName>,
    ) -> Result<RecordBatch> {
        if let Some(name) = table {
            let schema = self.schema_of(fabric, name).await?;
            if self.inner.store.file_table(fabric.id, &schema, &name.table).await?.is_none() {
                return Err(Error::new(
                    ErrorCode::TableNotFound,
                    format!("no file table `{}.{}`", schema.as_str(), name.table.as_str()),
                )
                .hint("`SHOW FILE TABLES` lists them"));
            }
        }
        let def = TABLES.iter().find(|def| def.name == "schema_changes");
        let columns = def.map_or(&[] as Columns, |def| def.columns);
        rows::batch(columns, &self.change_rows(fabric, table).await?)
    }

    async fn change_rows(
        &self,
        fabric: &Fabric,
        table: Option<&TableName>,
    ) -> Result<Vec<Vec<Cell>>> {
        let main = Name::new(crate::tables::DEFAULT_SCHEMA)?;
        let rows = self.inner.store.schema_changes(fabric.id).await?;
        Ok(rows
            .into_iter()
            .filter(|row| {
                table.is_none_or(|name| {
                    name.table == row.table && *name.schema.as_ref().unwrap_or(&main) == row.schema
                })
            })
            .map(|row| {
                vec![
                    row.schema.as_str().into(),
                    row.table.as_str().into(),
                    row.change.column.into(),
                    row.change.change.into(),
                    row.change.old_type.into(),
                    row.change.new_type.into(),
                    row.change.files.into(),
                    row.seen.into(),
                ]
            })
            .collect())
    }
}

fn connection_row(fabric: &Fabric, row: &windlass_state::ConnectionRow) -> Vec<Cell> {
    let options = &row.options;
    vec![
        row.name.as_str().into(),
        row.kind.as_str().into(),
        fabric.name.as_str().into(),
        text(options, "LABEL").into(),
        text(options, "COMMENT").into(),
        identity(options).into(),
        text(options, "REGION").into(),
        text(options, "ENDPOINT").or_else(|| text(options, "ROOT")).into(),
        text(options, "BUCKET").into(),
        text(options, "PREFIX").into(),
        matches!(options.get("READ_ONLY"), Some(OptionValue::Bool(true))).into(),
        row.created.into(),
        row.updated.into(),
        row.id.to_string().into(),
    ]
}

fn option_rows() -> Vec<Vec<Cell>> {
    let tables =
        windlass_types::ConnectionKind::ALL.iter().map(|kind| (kind.as_str(), kind.options()));
    let others = [
        ("FILE TABLE", options::FILE_TABLE_OPTIONS),
        ("COPY TO", options::WRITE_OPTIONS),
        ("FILE_FORMAT", options::FILE_FORMAT_OPTIONS),
        ("COPY FILES", options::COPY_FILES_OPTIONS),
        ("MOVE FILES", options::MOVE_FILES_OPTIONS),
        ("SYNC FILES", options::SYNC_FILES_OPTIONS),
        ("JOB", options::JOB_OPTIONS),
        ("ON ARRIVAL", options::ARRIVAL_OPTIONS),
    ];
    tables
        .chain(others)
        .flat_map(|(kind, defs)| {
            defs.iter().map(move |def| {
                vec![
                    kind.into(),
                    def.name.into(),
                    def.kind.describe().into(),
                    def.default.into(),
                    def.secret.into(),
                    def.alter.describe().into(),
                    def.doc.into(),
                ]
            })
        })
        .collect()
}
