//! Files as a table of DataFusion: which files a filter leaves, and the plan that reads them.

use crate::archive::expand;
use crate::files::SourceFile;
use crate::format::{Declared, Kind};
use crate::partition::{Partitions, partitions};
use crate::read::{RANGE, unsampled};
use crate::sample::{Learnt, learn};
use crate::store::{QueryStore, url};
use crate::text::{Part, TextExec, TextScan};
use crate::write::ReadLog;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::scalar::ScalarValue;
use std::sync::Arc;
use windlass_formats::OnError;
use windlass_types::{ByteSize, Result};

/// The files of one table, resolved.
#[derive(Debug)]
pub(crate) struct FilesTable {
    store: Arc<QueryStore>,
    files: Vec<Arc<SourceFile>>,
    partitions: Partitions,
    pub(crate) learnt: Learnt,
    file_schema: SchemaRef,
    schema: SchemaRef,
    /// Columns of the files that give way to folders.
    hidden: Vec<String>,
    on_error: OnError,
}

impl FilesTable {
    /// Reads a few heads and decides format and columns.
    pub(crate) async fn open(
        state: &dyn Session,
        store: &Arc<QueryStore>,
        files: Vec<SourceFile>,
        declared: &Declared,
        table: &str,
    ) -> Result<Self> {
        let mut files = expand(files, declared, table).await?;
        let mut learnt = learn(state, store, &files, declared, table).await?;
        files.retain(|file| learnt.bad.is_empty() || !learnt.bad.contains(&file.address()));
        let partitions = partitions(&files);
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
        let fields: Vec<_> = learnt.columns.iter().map(|column| column.field.clone()).collect();
        let all: Vec<_> = fields.iter().chain(&partitions.fields).cloned().collect();
        Ok(Self {
            store: Arc::clone(store),
            files,
            partitions,
            learnt,
            file_schema: Arc::new(Schema::new(fields)),
            schema: Arc::new(Schema::new(all)),
            hidden,
            on_error: declared.on_error,
        })
    }

    /// What DESCRIBE says besides the columns.
    pub(crate) fn notes(&self) -> Vec<(&'static str, String)> {
        let size: u64 = self.files.iter().map(|file| file.bytes()).sum();
        let mut names: Vec<String> =
            self.files.iter().take(3).map(|file| file.name().to_owned()).collect();
        if self.files.len() > 3 {
            names.push("...".to_owned());
        }
        vec![
            ("format", format!("{}, {}", self.learnt.kind, self.learnt.why)),
            ("files", format!("{} ({}): {}", self.files.len(), ByteSize(size), names.join(", "))),
            ("types", format!("from {} of {} files", self.learnt.sampled, self.files.len())),
        ]
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

    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let names: Vec<&str> =
            self.partitions.fields.iter().map(|field| field.name().as_str()).collect();
        !names.is_empty() && expr_applicable_for_cols(&names, filter)
    }

    /// The files whose folders pass the filters, and their values.
    fn matching(&self, state: &dyn Session, filters: &[Expr]) -> EngineResult<Vec<Part>> {
        let filters: Vec<Expr> =
            filters.iter().filter(|filter| self.is_partition_filter(filter)).cloned().collect();
        let keep = match conjunction(filters) {
            None => None,
            Some(filter) => {
                let schema = Arc::new(Schema::new(self.partitions.fields.clone()));
                let columns = (0..self.partitions.fields.len())
                    .map(|column| {
                        ScalarValue::iter_to_array(
                            self.partitions.values.iter().map(|row| row[column].clone()),
                        )
                    })
                    .collect::<EngineResult<Vec<_>>>()?;
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
            .zip(&self.partitions.values)
            .enumerate()
            .filter(|(row, _)| passes(*row))
            .map(|(_, (file, values))| Part {
                file: Arc::clone(file),
                values: values.clone(),
                tasks: 1,
            })
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
            if self.known.field_with_name(name).is_err() && !self.hidden.contains(name) {
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
            if self.is_partition_filter(filter) {
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
        let schema = Arc::new(self.schema.project(&projection)?);
        let parts = self.matching(state, filters)?;
        if let Some(read) = state.config().get_extension::<ReadLog>() {
            parts.iter().for_each(|part| read.add(&part.file));
        }
        if parts.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups = runs(parts, state.config().target_partitions());
        if self.learnt.kind != Kind::Parquet {
            let mut groups = groups;
            let tasks = state.config().target_partitions() / groups.len();
            // The first rows of a file are soonest read from its front.
            if limit.is_none() {
                for part in groups.iter_mut().flatten() {
                    let splits = self.learnt.plain.contains(&part.file.object.key)
                        && part.file.size > 2 * RANGE;
                    part.tasks = if splits { tasks } else { 1 };
                }
            }
            let scan = TextScan {
                kind: self.learnt.kind,
                options: self.learnt.text.clone(),
                file_schema: Arc::clone(&self.file_schema),
                projection,
                schema,
                hidden: self.partitions.fields.iter().map(|field| field.name().clone()).collect(),
                format: self.learnt.rows.clone(),
                on_error: self.on_error,
                told: self.store.told.clone(),
            };
            return Ok(Arc::new(TextExec::new(scan, groups)));
        }
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
        let table_schema = TableSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(
                self.partitions.fields.iter().cloned().map(Arc::new).collect::<Vec<_>>(),
            )
            .build();
        let format = ParquetFormat::default().with_force_view_types(false);
        let source = format.file_source(table_schema);
        let columns = self.file_schema.fields().len();
        let strict = projection.iter().filter(|at| **at < columns).count() == columns;
        let adapter = strict.then(|| {
            let (known, hidden) = (Arc::clone(&self.file_schema), self.hidden.clone());
            Arc::new(Strict { known, hidden }) as Arc<dyn PhysicalExprAdapterFactory>
        });
        let every = filters.iter().all(|filter| self.is_partition_filter(filter));
        let config = FileScanConfigBuilder::new(url(), source)
            .with_file_groups(groups)
            .with_projection_indices(Some(projection))?
            .with_limit(limit.filter(|_| every))
            .with_expr_adapter(adapter)
            .build();
        format.create_physical_plan(state, config).await
    }
}
