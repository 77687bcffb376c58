//! The query whose rows are written, and the files it reads.

use super::folders::Layout;
use super::insert::InsertTarget;
use super::lineage::{Lineage, ReadPlace, lineage};
use super::partial::{Partial, limit};
use crate::dialect::read;
use crate::engine::{Engine, only_reads, plan};
use crate::error::{from_engine, syntax};
use crate::files::{Place, SourceFile};
use crate::format::{TextOptions, column_type};
use crate::pg::{Given, bind};
use crate::resolve::{MAIN, Resolver};
use crate::schema::sql;
use crate::store::{LeftOut, QueryStore};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::TableReference;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::sql::parser::Statement;
use serde::{Deserialize, Serialize};
use sqlparser::ast::Statement as Tree;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_formats::Rows;
use windlass_formats::write::FileFormat;
use windlass_types::{Error, ErrorCode, Result};

/// A file that a query reads, in the state that it was read in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReadFile {
    /// The connection.
    pub connection: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its `ETag`, where the storage has them.
    pub etag: Option<String>,
    /// Its bytes.
    pub size: u64,
    /// Not all of it was read as it is: `ON_ERROR` left something out.
    #[serde(default)]
    pub bad: bool,
}

/// What a query reads: planning notes it.
#[derive(Debug, Default)]
pub(crate) struct ReadLog {
    files: Mutex<BTreeMap<(String, String, String), ReadFile>>,
    tables: Mutex<BTreeMap<TableReference, Vec<ReadPlace>>>,
    kept: Mutex<Option<String>>,
    partial: Mutex<Partial>,
}

impl ReadLog {
    /// Notes a file.
    pub(crate) fn add(&self, file: &Arc<SourceFile>) {
        let read = ReadFile {
            connection: file.storage.name().as_str().to_owned(),
            bucket: file.object.bucket.clone(),
            key: file.object.key.clone(),
            etag: file.etag.clone(),
            size: file.size,
            bad: false,
        };
        let place = (read.connection.clone(), read.bucket.clone(), read.key.clone());
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(place, read);
        self.partial.lock().unwrap_or_else(PoisonError::into_inner).member(file);
    }

    /// Notes that a file is a workbook, of which some sheets may be read.
    pub(crate) fn book(&self, file: &Arc<SourceFile>, rows: &Arc<dyn Rows>, options: &TextOptions) {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner).book(file, rows, options);
    }

    /// Notes where the files of a table are; its name in full.
    pub(crate) fn table(&self, name: &TableReference, places: &[Place]) {
        let places = places.iter().map(ReadPlace::of).collect();
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), places);
    }

    /// Notes a table whose files are its log's: nobody else may take them away.
    pub(crate) fn keep(&self, table: &str) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(table.to_owned());
    }

    fn all(&self) -> Vec<ReadFile> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn lineage(&self, plan: &LogicalPlan, fabric: &str) -> Lineage {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        lineage(plan, &tables, &|name| TableReference::from(name.resolve(fabric, MAIN)))
    }
}

/// A query that was planned and has not begun.
pub struct Source {
    pub(super) stream: SendableRecordBatchStream,
    pub(super) store: Arc<QueryStore>,
    pub(super) task: Arc<TaskContext>,
    /// The files it reads, in the state they were found in.
    pub read: Vec<ReadFile>,
    /// Where it takes its columns from.
    pub lineage: Lineage,
    /// A table that it reads whose files must stay, since a log says that they are there.
    pub kept: Option<String>,
    /// What of it may leave rows of them unread, such as `a LIMIT`.
    pub limited: Option<&'static str>,
    /// Those of which perhaps not all is read.
    pub partial: Partial,
}

impl Source {
    /// The files of which not every row is read as it is; complete once the rows are written.
    pub fn left_out(&self) -> LeftOut {
        self.store.told.of.clone()
    }

    /// The columns that files of this format and layout have, as `CREATE FILE TABLE` declares them. Empty:
    /// files say them better, or SQL has no word for a type of theirs.
    pub fn columns_of(&self, format: &FileFormat, layout: &Layout) -> Vec<String> {
        let schema = self.stream.schema();
        let fields = schema.fields().iter();
        let fields: Vec<&FieldRef> =
            fields.filter(|field| !layout.partitioned_by.contains(field.name())).collect();
        if !fields.iter().all(|field| format.keeps_name_alone(field.name())) {
            return Vec::new();
        }
        let declared = |field: &&FieldRef| {
            let kind = match field.data_type() {
                DataType::Null => "TEXT".to_owned(),
                kind => sql(kind),
            };
            column_type(&kind)?;
            Some(format!("\"{}\" {kind}", field.name().replace('"', "\"\"")))
        };
        fields.iter().map(declared).collect::<Option<Vec<_>>>().unwrap_or_default()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("schema", &self.stream.schema()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Plans a query whose rows are to be written, with the columns of the table they are added to.
    pub async fn source(
        &self,
        sql: &str,
        target: Option<&InsertTarget>,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Source> {
        let mut statements = read(sql).map_err(|error| syntax(sql, from_engine(error)))?;
        let statement = statements.pop_front().filter(|_| statements.is_empty());
        let query = statement.filter(|statement| {
            matches!(statement, Statement::Statement(tree) if matches!(tree.as_ref(), Tree::Query(_)))
        });
        let mut statement = query.ok_or_else(|| {
            Error::new(ErrorCode::SqlPlan, "what is written must be one query")
                .hint("write SELECT, WITH or VALUES")
        })?;
        only_reads(&statement)?;
        let mut session = self.session(fabric)?;
        let log = Arc::new(ReadLog::default());
        session.state.config_mut().set_extension(Arc::clone(&log));
        self.prepare(&session, fabric, resolver.as_ref(), &mut statement).await?;
        let mut plan = plan(&session.state, statement, None).await?;
        if let Some(target) = target {
            plan = target.project(plan)?;
        }
        let plan = bind(plan, &Given::default())?;
        // What is said is seen before the optimizer, what it makes of it after.
        let said = limit(&plan).map_err(from_engine)?;
        let plan = session.state.optimize(&plan).map_err(from_engine)?;
        let limited = said.or(limit(&plan).map_err(from_engine)?);
        let lineage = log.lineage(&plan, fabric);
        let store = Arc::clone(&session.store);
        let physical = session
            .state
            .create_physical_plan(&plan)
            .await
            .map_err(|error| store.explain(error))?;
        let task = session.state.task_ctx();
        let stream = execute_stream(physical, Arc::clone(&task)).map_err(from_engine)?;
        let kept = log.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let partial = log.partial.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Source { stream, store, task, read: log.all(), lineage, kept, limited, partial })
    }
}
