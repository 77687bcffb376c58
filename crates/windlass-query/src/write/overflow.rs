//! Rows of folders that cannot be open now: sorted by folder, on disk where memory does not do, and
//! given back when all others are written. Rows of a folder keep their order.

use super::of_arrow;
use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan as _, SendableRecordBatchStream};
use futures::StreamExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use windlass_types::{Error, ErrorCode, Result};

/// Rows that come over a channel, as a table with one partition.
#[derive(Debug)]
struct Coming {
    schema: SchemaRef,
    rows: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl PartitionStream for Coming {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = match rows {
            Some(rows) => ReceiverStream::new(rows).map(Ok).boxed(),
            None => futures::stream::empty().boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))
    }
}

/// The sort, from its first row on.
pub(super) struct Overflow {
    schema: SchemaRef,
    rows: i64,
    to: mpsc::Sender<RecordBatch>,
    from: mpsc::Receiver<Result<RecordBatch>>,
    sorting: JoinHandle<()>,
}

impl Overflow {
    /// Begins. `schema` is that of the files.
    pub(super) fn new(schema: &SchemaRef, task: &Arc<TaskContext>) -> Result<Self> {
        let mut fields: Vec<Field> = vec![
            Field::new(" folder", DataType::Utf8, false),
            Field::new(" row", DataType::Int64, false),
        ];
        fields.extend(schema.fields().iter().map(|field| field.as_ref().clone()));
        let schema = Arc::new(Schema::new(fields));
        let (to, rows) = mpsc::channel(2);
        let coming = Coming { schema: Arc::clone(&schema), rows: Mutex::new(Some(rows)) };
        let failed = crate::error::from_engine;
        let table = StreamingTableExec::try_new(
            Arc::clone(&schema),
            vec![Arc::new(coming)],
            None,
            Vec::new(),
            false,
            None,
        )
        .map_err(failed)?;
        let by = |name: &str, at: usize| PhysicalSortExpr {
            expr: Arc::new(Column::new(name, at)),
            options: SortOptions::default(),
        };
        let order = LexOrdering::new([by(" folder", 0), by(" row", 1)])
            .ok_or_else(|| Error::new(ErrorCode::Internal, "there is no order to sort by"))?;
        let sort = SortExec::new(order, Arc::new(table));
        let mut sorted = sort.execute(0, Arc::clone(task)).map_err(failed)?;
        let (sender, from) = mpsc::channel(1);
        let sorting = tokio::spawn(async move {
            while let Some(batch) = sorted.next().await {
                let batch = batch.map_err(failed);
                let ends = batch.is_err();
                if sender.send(batch).await.is_err() || ends {
                    return;
                }
            }
        });
        Ok(Self { schema, rows: 0, to, from, sorting })
    }

    /// Takes rows, each with its folder.
    pub(super) async fn push(&mut self, folders: Vec<&str>, rows: &RecordBatch) -> Result<()> {
        let count = i64::try_from(folders.len()).unwrap_or(i64::MAX);
        let numbers = Int64Array::from_iter_values(self.rows..self.rows + count);
        self.rows += count;
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(folders)), Arc::new(numbers)];
        columns.extend(rows.columns().iter().cloned());
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(of_arrow)?;
        if self.to.send(batch).await.is_ok() {
            return Ok(());
        }
        // The sort has ended before its input: with an error.
        match self.from.recv().await {
            Some(Err(error)) => Err(error),
            _ => Err(Error::new(ErrorCode::Internal, "the sort of rows by folder has ended")),
        }
    }

    /// No more rows come; gives back what is sorted.
    pub(super) fn sorted(self) -> Sorted {
        drop(self.to);
        Sorted { from: self.from, sorting: self.sorting }
    }
}

/// Rows in the order of their folders.
pub(super) struct Sorted {
    from: mpsc::Receiver<Result<RecordBatch>>,
    sorting: JoinHandle<()>,
}

impl Drop for Sorted {
    fn drop(&mut self) {
        self.sorting.abort();
    }
}

impl Sorted {
    /// The next rows: runs of one folder each.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<(String, RecordBatch)>>> {
        let Some(batch) = self.from.recv().await.transpose()? else { return Ok(None) };
        let folders = batch.column(0).as_string::<i32>().clone();
        let rows: Vec<usize> = (2..batch.num_columns()).collect();
        let rows = batch.project(&rows).map_err(of_arrow)?;
        let mut runs = Vec::new();
        let mut begin = 0;
        for row in 1..=folders.len() {
            if row == folders.len() || folders.value(row) != folders.value(begin) {
                runs.push((folders.value(begin).to_owned(), rows.slice(begin, row - begin)));
                begin = row;
            }
        }
        Ok(Some(runs))
    }
}
