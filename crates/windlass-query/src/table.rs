//! Files as a table of DataFusion: which files a filter leaves, and the plan that reads them.

use crate::ahead::SHORT;
use crate::archive::expand;
use crate::as_views::viewed;
use crate::date_pattern::DatePattern;
use crate::files::SourceFile;

use crate::format::{Declared, Kind, kind_of};
use crate::free;
use crate::guarded::Guarded;
use crate::partition::{Partitions, partitions};
use crate::read::unsampled;
use crate::renamed::Renamed;
use crate::sample::{Learnt, learn};
use crate::statistics;
use crate::store::{QueryStore, url};
use crate::stored::{Found, OnChange, SchemaChange, StoredColumns, agree};
use crate::text::{Part, TextExec, TextScan};
use crate::write::ReadLog;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown};
use datafusion::parquet::arrow::RowNumber;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::scalar::ScalarValue;
use object_store::ObjectStore;
use std::sync::Arc;
use windlass_formats::OnError;
use windlass_types::error::ErrorBody;
use windlass_types::{ByteSize, Result};

/// The files of one table, resolved.
#[derive(Debug, Clone)]
pub(crate) struct FilesTable {
    store: Arc<QueryStore>,
    files: Arc<Vec<Arc<SourceFile>>>,
    partitions: Arc<Partitions>,
    pub(crate) learnt: Arc<Learnt>,
    /// What is read from files, as they name it.
    file_schema: SchemaRef,
    schema: SchemaRef,
    /// How the columns are named in files; None: as the table names them.
    renamed: Option<Arc<Renamed>>,
    /// Columns of the files that give way to folders.
    hidden: Vec<String>,
    on_error: OnError,
    /// The columns for free that the statement names.
    free: Vec<&'static str>,
    /// Files may have columns that nobody knows of.
    lenient: bool,
    pub(crate) outcome: Arc<Outcome>,
}

/// The files of a table, and what else has a say in its columns.
pub(crate) struct Chosen {
    /// The files of the table.
    pub(crate) files: Vec<Arc<SourceFile>>,
    /// Files outside, by whose paths columns are named and typed too.
    pub(crate) others: Vec<Arc<SourceFile>>,
    /// Files to learn from; empty: those of the table.
    pub(crate) teachers: Vec<Arc<SourceFile>>,
    pub(crate) pattern: Option<DatePattern>,
    /// What is stored of the columns, and what happens where files differ from it.
    pub(crate) stored: Option<StoredColumns>,
    /// The container that they are of, where they are the catalogue's.
    pub(crate) catalogued: Option<String>,
    pub(crate) on_change: Option<OnChange>,
}

/// What is to be said of the columns of a table after its files were looked at.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) keep: Option<StoredColumns>,
    pub(crate) changes: Vec<SchemaChange>,
    pub(crate) refused: Option<ErrorBody>,
}

impl FilesTable {
    /// Reads a few heads and decides format and columns.
    pub(crate) async fn open(
        state: &dyn Session,
        store: &Arc<QueryStore>,
        chosen: Chosen,
        declared: &Declared,
        table: &str,
    ) -> Result<Self> {
        let Chosen { files, others, teachers, pattern, stored, catalogued, on_change } = chosen;
        let stores = stored.as_ref().is_some_and(|stored| !stored.columns.is_empty());
        let known = stores && catalogued.is_none();
        let mut files = match files.as_slice() {
            [] => files,
            _ => expand(files, declared, table).await?,
        };
        let mut teachers = match teachers.as_slice() {
            [] => teachers,
            _ => expand(teachers, declared, table).await?,
        };
        if let (Some(_), Some(kind)) = (&catalogued, declared.kind) {
            // The container is of one format; what lies beside it in its folders is not it. A name that
            // ends in something else is no data where others say what they are.
            let fits = |named: Kind| named == kind || named.resembles(kind);
            let said = files.iter().any(|file| kind_of(file.name()).is_some_and(fits));
            let other = |file: &Arc<SourceFile>| match kind_of(file.name()) {
                Some(named) => !fits(named),
                None => {
                    said && file.name().rsplit('/').next().is_some_and(|name| name.contains('.'))
                }
            };
            if !files.iter().all(other) {
                files.retain(|file| !other(file));
                teachers.retain(|file| !other(file));
            }
        }
        if teachers.is_empty() {
            teachers.clone_from(&files);
        }
        let mut learnt = learn(state, store, &teachers, declared, table, known).await?;
        files.retain(|file| learnt.bad.is_empty() || !learnt.bad.contains(&file.address()));
        let partitions = partitions(&files, &others, pattern.as_ref());
        let found = Found {
            nameless: learnt.is_nameless(),
            twins: std::mem::take(&mut learnt.twins),
            folders: partitions.fields.iter().map(|field| field.name().clone()).collect(),
        };
        let columns = std::mem::take(&mut learnt.columns);
        let agreed = agree(columns, stored.as_ref(), on_change, table, &found);
        learnt.columns = agreed.columns;
        if let (Some(container), Some(stored)) = (catalogued, &stored) {
            for column in &mut learnt.columns {
                if stored.columns.iter().any(|known| known.name == *column.field.name()) {
                    column.note.get_or_insert_with(|| format!("as catalogued: {container}"));
                }
            }
        }
        // A folder says the same of every row; a column of that name in the files gives way.
        let folder = |name: &String| partitions.fields.iter().any(|field| field.name() == name);
        let mut hidden: Vec<String> = Vec::new();
        learnt.columns.retain(|column| {
            let name = column.field.name();
            if folder(name) {
                hidden.push(name.clone());
            }
            !folder(name)
        });
        hidden.extend(agreed.left_out);
        let read = |field: &Field| match learnt.kind {
            Kind::Parquet => viewed(field),
            _ => field.clone(),
        };
        let fields: Vec<Field> = learnt.columns.iter().map(|column| read(&column.field)).collect();
        let all: Vec<_> = fields.iter().chain(&partitions.fields).cloned().collect();
        let mut renamed = Renamed::of(&learnt.columns);
        let fields = match &mut renamed {
            None => fields,
            Some(renamed) => {
                renamed.fields = renamed.fields.iter().map(read).collect();
                renamed.fields.clone()
            }
        };
        Ok(Self {
            store: Arc::clone(store),
            files: Arc::new(files),
            partitions: Arc::new(partitions),
            learnt: Arc::new(learnt),
            file_schema: Arc::new(Schema::new(fields)),
            schema: Arc::new(Schema::new(all)),
            renamed: renamed.map(Arc::new),
            hidden,
            on_error: declared.on_error,
            free: Vec::new(),
            lenient: agreed.lenient,
            outcome: Arc::new(Outcome {
                keep: agreed.keep,
                changes: agreed.changes,
                refused: agreed.refused.as_ref().map(ErrorBody::from),
            }),
        })
    }

    /// The same table with columns for free; one that the files have themselves is theirs.
    pub(crate) fn with_free(&self, names: &[&'static str]) -> Self {
        let mut fields: Vec<Field> =
            self.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let free: Vec<&'static str> = names
            .iter()
            .copied()
            .filter(|name| self.schema.field_with_name(name).is_err())
            .collect();
        fields.extend(free.iter().map(|name| free::field(name)));
        Self { free, schema: Arc::new(Schema::new(fields)), ..self.clone() }
    }

    /// The same table with its columns as files name them.
    fn as_read(&self, renamed: &Renamed) -> Self {
        let told = self.schema.fields().iter().skip(renamed.len());
        let fields: Vec<FieldRef> = self.file_schema.fields().iter().chain(told).cloned().collect();
        Self { schema: Arc::new(Schema::new(fields)), renamed: None, ..self.clone() }
    }

    /// The columns that paths and listings tell.
    pub(crate) fn told_fields(&self) -> Vec<Field> {
        let free = self.free.iter().filter(|name| **name != free::ROW);
        self.partitions.fields.iter().cloned().chain(free.map(|name| free::field(name))).collect()
    }

    /// What paths and listings tell of a file, in the order of [`Self::told_fields`].
    fn told(&self, at: usize) -> Vec<ScalarValue> {
        let file = &self.files[at];
        let mut values = self.partitions.values[at].clone();
        values.extend(self.free.iter().filter_map(|name| free::value(name, file)));
        values
    }

    /// What DESCRIBE says besides the columns.
    pub(crate) fn notes(&self) -> Vec<(&'static str, String)> {
        let size: u64 = self.files.iter().map(|file| file.bytes()).sum();
        let mut names: Vec<String> =
            self.files.iter().take(3).map(|file| file.name().to_owned()).collect();
        if self.files.len() > 3 {
            names.push("...".to_owned());
        }
        let mut notes = vec![
            ("format", format!("{}, {}", self.learnt.kind, self.learnt.why)),
            ("files", format!("{} ({}): {}", self.files.len(), ByteSize(size), names.join(", "))),
            ("types", format!("from {} of {} files", self.learnt.sampled, self.files.len())),
        ];
        notes.extend(self.learnt.notes.iter().cloned());
        notes
    }

    /// What is worth telling about a partition column.
    pub(crate) fn partition_note(&self, name: &str) -> Option<String> {
        self.hidden.iter().any(|hidden| hidden == name).then(|| {
            "the name of the folder; a column of the same name in the files is not read".to_owned()
        })
    }

    /// The partition columns.
    pub(crate) fn partition_fields(&self) -> &[arrow::datatypes::Field] {
        &self.partitions.fields
    }

    fn is_told_filter(&self, filter: &Expr) -> bool {
        let fields = self.told_fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        !names.is_empty() && expr_applicable_for_cols(&names, filter)
    }

    /// The files whose paths pass the filters, and their values.
    fn matching(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<Part>> {
        let filters: Vec<Expr> =
            filters.iter().filter(|filter| self.is_told_filter(filter)).cloned().collect();
        let values: Vec<Vec<ScalarValue>> = (0..self.files.len()).map(|at| self.told(at)).collect();
        let keep = match conjunction(filters) {
            _ if self.files.is_empty() => None,
            None => None,
            Some(filter) => {
                let fields = self.told_fields();
                let columns = (0..fields.len())
                    .map(|column| {
                        ScalarValue::iter_to_array(values.iter().map(|row| row[column].clone()))
                    })
                    .collect::<EngineResult<Vec<_>>>()?;
                let schema = Arc::new(Schema::new(fields));
                let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
                let expression =
                    state.create_physical_expr(filter, &DFSchema::try_from(schema)?)?;
                Some(expression.evaluate(&batch)?.into_array(batch.num_rows())?)
            }
        };
        let passes = |row: usize| {
            keep.as_ref().is_none_or(|keep| keep.is_valid(row) && keep.as_boolean().value(row))
        };
        Ok(self
            .files
            .iter()
            .zip(values)
            .enumerate()
            .filter(|(row, _)| passes(*row))
            .map(|(_, (file, values))| Part { file: Arc::clone(file), values, tasks: 1 })
            .collect())
    }
}

/// Refuses a Parquet file with columns that no file read for the schema has.
#[derive(Debug)]
struct Strict {
    known: SchemaRef,
    hidden: Vec<String>,
}

impl PhysicalExprAdapterFactory for Strict {
    fn create(
        &self,
        logical: SchemaRef,
        physical: SchemaRef,
    ) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        for field in physical.fields() {
            let name = field.name();
            let known = self.known.field_with_name(name).is_ok() || *name == free::ROW;
            if !known && !self.hidden.contains(name) {
                return Err(DataFusionError::External(Box::new(unsampled("a file", name))));
            }
        }
        DefaultPhysicalExprAdapterFactory.create(logical, physical)
    }
}

/// Cuts `items` into at most `groups` runs, in order.
fn runs<T>(items: Vec<T>, groups: usize) -> Vec<Vec<T>> {
    let size = items.len().div_ceil(groups.max(1)).max(1);
    let mut runs: Vec<Vec<T>> = Vec::new();
    for item in items {
        match runs.last_mut() {
            Some(run) if run.len() < size => run.push(item),
            _ => runs.push(vec![item]),
        }
    }
    runs
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| {
            if self.is_told_filter(filter) {
                TableProviderFilterPushDown::Exact
            } else if self.learnt.kind == Kind::Parquet {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let projection =
            projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        if let Some(renamed) = &self.renamed {
            let (table, reads) = (self.as_read(renamed), renamed.reads(&projection));
            let plan = table.scan(state, Some(&reads), filters, limit).await?;
            return renamed.named(plan, &projection, &self.schema);
        }
        let schema = Arc::new(self.schema.project(&projection)?);
        let parts = self.matching(state, filters)?;
        if let Some(read) = state.config().get_extension::<ReadLog>() {
            let books = self.learnt.rows.as_ref().filter(|_| self.learnt.kind == Kind::Xlsx);
            for part in &parts {
                read.add(&part.file);
                if let Some(rows) = books {
                    read.book(&part.file, rows, &self.learnt.text);
                }
            }
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let every = filters.iter().all(|filter| self.is_told_filter(filter));
        let limit = limit.filter(|_| every);
        // Who wants a few rows is best served by one file after the other.
        let few = limit.is_some_and(|limit| limit <= FEW)
            || (self.learnt.kind != Kind::Parquet && is_short(&parts));
        let groups = runs(parts, if few { 1 } else { state.config().target_partitions() });
        if self.learnt.kind != Kind::Parquet {
            let mut groups = groups;
            let tasks = state.config().target_partitions() / groups.len();
            // The first rows of a file are soonest read from its front.
            if limit.is_none() {
                for part in groups.iter_mut().flatten() {
                    part.tasks = if part.file.size > 2 * SHORT { tasks } else { 1 };
                }
            }
            let told = self.file_schema.fields().len() + self.told_fields().len();
            let number = projection.iter().position(|at| *at == told);
            // A row's number is not read: its place is held by a value that is told.
            for part in groups.iter_mut().flatten() {
                part.values.push(ScalarValue::Int64(Some(0)));
            }
            let scan = TextScan {
                kind: self.learnt.kind,
                options: self.learnt.text.clone(),
                file_schema: Arc::clone(&self.file_schema),
                projection,
                schema,
                hidden: self
                    .partitions
                    .fields
                    .iter()
                    .map(Field::name)
                    .chain(&self.hidden)
                    .cloned()
                    .collect(),
                format: self.learnt.rows.clone(),
                on_error: self.on_error,
                told: self.store.told.clone(),
                lenient: self.lenient,
                limit,
                number,
            };
            return Ok(Arc::new(TextExec::new(scan, groups)));
        }
        let told = self.told_fields();
        let numbered = self.free.contains(&free::ROW);
        let groups: Vec<FileGroup> = groups
            .into_iter()
            .map(|parts| {
                let files = parts.into_iter().map(|part| {
                    let mut file = PartitionedFile::from(self.store.add(&part.file));
                    file.partition_values = part.values;
                    file
                });
                FileGroup::new(files.collect())
            })
            .collect();
        let whole = Schema::new(
            self.file_schema
                .fields()
                .iter()
                .cloned()
                .chain(told.iter().cloned().map(Arc::new))
                .collect::<Vec<_>>(),
        );
        let (groups, statistics) =
            statistics::of(state, &self.store, groups, &self.file_schema, Arc::new(whole)).await?;
        let table_schema = TableSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(told.into_iter().map(Arc::new).collect::<Vec<_>>())
            .with_virtual_columns(if numbered { vec![row_number()] } else { Vec::new() })
            .build();
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let files: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        let reader = Guarded(CachedParquetFileReaderFactory::new(files, cache));
        let source = ParquetSource::new(table_schema)
            .with_parquet_file_reader_factory(Arc::new(reader) as _);
        let columns = self.file_schema.fields().len();
        let strict =
            !self.lenient && projection.iter().filter(|at| **at < columns).count() == columns;
        let adapter = strict.then(|| {
            let (known, hidden) = (Arc::clone(&self.file_schema), self.hidden.clone());
            Arc::new(Strict { known, hidden }) as Arc<dyn PhysicalExprAdapterFactory>
        });
        let number =
            projection.iter().position(|at| numbered && *at + 1 == self.schema.fields().len());
        let mut config =
            FileScanConfigBuilder::new(url(), Arc::new(source)).with_file_groups(groups);
        // Of the numbers of rows nothing is known that would fit.
        if !numbered {
            config = config.with_statistics(statistics);
        }
        let config = config
            .with_projection_indices(Some(projection))?
            .with_limit(limit)
            .with_expr_adapter(adapter)
            .build();
        let plan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        match number {
            Some(number) => from_one(plan, number),
            None => Ok(plan),
        }
    }
}

/// Most rows of a query that reads file after file.
const FEW: usize = 10_000;
/// Most files, and bytes of them, that are read one after the other whatever the query wants.
const SHORT_FILES: usize = 16;
const SHORT_BYTES: u64 = 1 << 20;

/// Whether files are so few and small that reading them side by side gains nothing: their rows then come
/// in order.
fn is_short(parts: &[Part]) -> bool {
    parts.len() <= SHORT_FILES
        && parts.iter().map(|part| part.file.size).sum::<u64>() <= SHORT_BYTES
}

/// The column in which Parquet's reader numbers rows.
fn row_number() -> arrow::datatypes::FieldRef {
    Arc::new(free::field(free::ROW).with_extension_type(RowNumber))
}

/// Numbers rows from 1; Parquet's reader begins with 0.
fn from_one(plan: Arc<dyn ExecutionPlan>, number: usize) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let expressions: Vec<(Arc<dyn PhysicalExpr>, String)> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let expression = if at == number {
                let one = lit(ScalarValue::Int64(Some(1)));
                Arc::new(BinaryExpr::new(column, Operator::Plus, one)) as Arc<dyn PhysicalExpr>
            } else {
                column
            };
            (expression, field.name().clone())
        })
        .collect();
    Ok(Arc::new(ProjectionExec::try_new(expressions, plan)?))
}
