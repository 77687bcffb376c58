//! COPY TO, INSERT INTO a path or a file table, CREATE FILE TABLE AS: as one run, at once.

use super::kind::Wrote;
use super::session::Lent;
use super::{WRITE, WriteInto, WriteTable, WriteWork};
use crate::engine::{Answer, Grade};
use crate::jobs::ended;
use crate::rows::{self, Columns, Kind, done};
use crate::tables::{CreateFileTable, DEFAULT_SCHEMA};
use crate::windlass::Windlass;
use chrono::Utc;
use windlass_jobs::OneOff;
use windlass_query::Temporaries;
use windlass_sql::{OptionSetting, Statement, TableName, WriteStatement, WriteTo};
use windlass_state::FabricRow as Fabric;
use windlass_types::options::{FILE_TABLE_OPTIONS, OptionDef};
use windlass_types::{Error, ErrorCode, FabricId, Name, OptionMap, OptionValue, Result};

/// What a write answers: part of the contract.
const WROTE: Columns = &[
    ("run", Kind::Text),
    ("rows", Kind::Integer),
    ("files", Kind::Integer),
    ("bytes", Kind::Integer),
    ("removed", Kind::Integer),
    ("after_read", Kind::Integer),
    ("seconds", Kind::Real),
];

fn map(options: &[OptionSetting]) -> OptionMap {
    options.iter().map(|setting| (setting.name.clone(), setting.value.clone())).collect()
}

impl Windlass {
    /// What a statement says, as the payload of a run.
    pub(crate) async fn write_work(
        &self,
        fabric: &Fabric,
        statement: &WriteStatement,
    ) -> Result<WriteWork> {
        let WriteStatement { to, options, query } = statement;
        let work = |connection: Name, location: String| WriteWork {
            connection,
            location,
            options: map(options),
            query: query.clone(),
            insert: false,
            table: None,
            into: None,
            session: None,
        };
        match to {
            WriteTo::Place(place) => Ok(work(place.connection.clone(), place.location.clone())),
            WriteTo::Table { name, place, .. } => Ok(WriteWork {
                table: Some(WriteTable { schema: name.schema.clone(), name: name.table.clone() }),
                ..work(place.connection.clone(), place.location.clone())
            }),
            WriteTo::Named { first, last, columns } => {
                if let Some(first) = first {
                    let name = Name::new(first)?;
                    if self.inner.store.find_connection(fabric.id, &name).await?.is_some() {
                        if !columns.is_empty() {
                            return Err(Error::new(
                                ErrorCode::SqlPlan,
                                "columns are listed, and files without a table have none to list",
                            )
                            .hint("name them in the query: SELECT 1 AS id; or make a table of them with CREATE FILE TABLE"));
                        }
                        return Ok(WriteWork { insert: true, ..work(name, last.clone()) });
                    }
                }
                let schema = Name::new(first.as_deref().unwrap_or(DEFAULT_SCHEMA))?;
                let table = Name::new(last)?;
                let row = self.inner.store.file_table(fabric.id, &schema, &table).await?;
                let shown = first.as_ref().map_or(last.clone(), |first| format!("{first}.{last}"));
                let row = row.ok_or_else(|| {
                    Error::new(ErrorCode::TableNotFound, format!("no table `{shown}`")).hint(
                        "files are named CONNECTION.\"BUCKET/KEY\"; see SHOW FILE TABLES and SHOW CONNECTIONS",
                    )
                })?;
                let mut all = row.options;
                let said = map(options);
                if let (Some(table), Some(other)) =
                    (all.get("COMPRESSION"), said.get("COMPRESSION"))
                    && table != other
                {
                    return Err(super::invalid(format!(
                        "`{shown}` is read with another COMPRESSION"
                    ))
                    .hint("leave COMPRESSION out: files are compressed as the table says"));
                }
                all.retain(|name, value| match name.as_str() {
                    "DATE_PATTERN" => true,
                    // Another format may have no such compression.
                    "CONTENT_TYPE" | "COMPRESSION" => !said.contains_key("FILE_FORMAT"),
                    "MAX_FILE_SIZE" => !said.contains_key("SINGLE"),
                    // A name that is always the same is that of the file that is there.
                    "FILE_NAME" => matches!(value, OptionValue::Text(name) if name.contains('{')),
                    _ => false,
                });
                all.extend(said);
                Ok(WriteWork {
                    insert: true,
                    options: all,
                    into: Some(WriteInto { schema, table, columns: columns.clone() }),
                    ..work(row.connection_name, row.location)
                })
            }
        }
    }

    /// Writes, and answers what was written.
    pub(crate) async fn run_write(
        &self,
        fabric: &Fabric,
        statement: WriteStatement,
        temporaries: &Temporaries,
    ) -> Result<Answer> {
        if let WriteTo::Table { if_not_exists, name, .. } = &statement.to {
            let schema = self.schema_of(fabric, name).await?;
            let known = self.inner.store.file_table(fabric.id, &schema, &name.table).await?;
            if known.is_some() && *if_not_exists {
                return Ok(done(format!("table `{name}` exists; nothing changed"), vec![]));
            }
            if known.is_some() {
                return Err(Error::new(ErrorCode::TableExists, format!("table `{name}` exists"))
                    .hint("drop it first, or add `IF NOT EXISTS`"));
            }
        }
        let mut work = self.write_work(fabric, &statement).await?;
        let lent = Lent::of(self, temporaries);
        work.session = lent.token();
        // What is wrong with the statement itself is an error, not a failed run.
        work.check(Utc::now())?;
        self.write_plan(fabric.id, &work, Utc::now()).await?;
        let definition = Statement::Write(statement).to_string();
        let what = OneOff::new(WRITE, fabric.id, definition, work.to_payload()?);
        let run = self.scheduler().start(what, None).await?;
        let wrote: Wrote = ended(self.wait_or_stop(run).await?)?;
        drop(lent);
        let cells = vec![
            wrote.run.map(|run| run.to_string()).into(),
            wrote.rows.into(),
            wrote.files.into(),
            wrote.bytes.into(),
            wrote.removed.into(),
            wrote.after_read.into(),
            wrote.seconds.into(),
        ];
        let grade = if wrote.failed > 0 { Grade::Partial } else { Grade::Good };
        let answer = rows::answer(WROTE, &[cells], grade)?;
        if let (Answer::Rows { verdict, .. }, Some(said)) = (&answer, wrote.left_out) {
            verdict.warn(said);
        }
        Ok(answer)
    }

    /// Makes the table of what was written, with these columns, or with none as its files have them; one
    /// that a process has made before it died is there.
    pub(super) async fn make_table(
        &self,
        fabric: FabricId,
        work: &WriteWork,
        table: &WriteTable,
        columns: &[String],
    ) -> Result<()> {
        let all = self.inner.store.fabrics().await?;
        let row = all.into_iter().find(|row| row.id == fabric);
        let Some(fabric) = row else {
            return Err(Error::new(ErrorCode::FabricNotFound, "the fabric of the run is gone"));
        };
        let known = |name: &str| FILE_TABLE_OPTIONS.iter().any(|def: &OptionDef| def.name == name);
        let options = work.options.iter().filter(|(name, _)| known(name));
        let options = options
            .map(|(name, value)| OptionSetting { name: name.clone(), value: value.clone() })
            .collect();
        let create = CreateFileTable {
            if_not_exists: true,
            name: TableName { schema: table.schema.clone(), table: table.name.clone() },
            connection: work.connection.clone(),
            location: work.location.clone(),
            options,
            // Who says what happens where files differ wants to see how they do.
            columns: if work.options.contains_key("ON_SCHEMA_CHANGE") {
                Vec::new()
            } else {
                columns.to_vec()
            },
        };
        self.create_file_table(&fabric, create).await.map(drop)
    }
}
