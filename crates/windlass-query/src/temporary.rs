//! Temporary tables and views: what a session has beside the fabric.

use crate::resolve::View;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// A temporary table or view.
#[derive(Debug, Clone)]
pub enum Temporary {
    /// Rows in memory.
    Table {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        batches: Arc<Vec<RecordBatch>>,
    },
    /// A query.
    View(View),
}

/// By name, with the memory that is held.
type Named = BTreeMap<String, (Temporary, Option<Arc<MemoryReservation>>)>;

/// The temporary tables and views of one session; they go with it.
#[derive(Debug, Default, Clone)]
pub struct Temporaries(Arc<Mutex<Named>>);

impl Temporaries {
    fn locked(&self) -> std::sync::MutexGuard<'_, Named> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table or view of this name.
    pub fn get(&self, name: &str) -> Option<Temporary> {
        self.locked().get(name).map(|(found, _)| found.clone())
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.locked().keys().cloned().collect()
    }

    /// Adds a view, or replaces what has its name.
    pub fn add_view(&self, name: String, view: View) {
        self.locked().insert(name, (Temporary::View(view), None));
    }

    pub(crate) fn add_table(&self, name: String, table: Held) {
        let rows = Temporary::Table { schema: table.schema, batches: Arc::new(table.batches) };
        self.locked().insert(name, (rows, Some(Arc::new(table.memory))));
    }

    /// Removes a table or view; false: there is none.
    pub fn remove(&self, name: &str) -> bool {
        self.locked().remove(name).is_some()
    }
}

/// Rows that are held, within the memory of all queries.
pub(crate) struct Held {
    pub(crate) schema: SchemaRef,
    batches: Vec<RecordBatch>,
    memory: MemoryReservation,
}

impl Held {
    pub(crate) fn new(schema: SchemaRef, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("temporary table").register(pool);
        Self { schema, batches: Vec::new(), memory }
    }

    /// Adds rows; an error where memory does not suffice.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.memory.try_grow(batch.get_array_memory_size()).map_err(|error| {
            Error::new(
                ErrorCode::SqlExecution,
                "the temporary table needs more memory than queries may have",
            )
            .source(error)
            .hint("keep fewer rows or columns, or write them to files")
        })?;
        self.batches.push(batch);
        Ok(())
    }

    /// Rows held so far.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
