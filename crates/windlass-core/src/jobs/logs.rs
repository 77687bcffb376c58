//! What runs said, and what became of their items, as rows: of one run all, of many the latest.

use super::tables::{EVENTS, ITEMS, SHOWN, name_of};
use crate::rows::{self, Cell, Columns};
use crate::windlass::Windlass;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use windlass_query::SystemRows;
use windlass_state::{RunEvent, RunRow};
use windlass_types::{ErrorCode, FabricId, Name, Result, RunId, RunItem};

/// Rows of one run that are read from the store at once.
const PAGE: u32 = 10_000;

fn event_cells(run: RunId, job: Option<&Name>, event: RunEvent) -> Vec<Cell> {
    vec![
        run.to_string().into(),
        name_of(job),
        event.at.into(),
        event.level.as_str().into(),
        event.message.into(),
    ]
}

fn item_cells(run: RunId, job: Option<&Name>, item: RunItem) -> Vec<Cell> {
    vec![
        run.to_string().into(),
        name_of(job),
        item.action.into(),
        item.source.into(),
        item.destination.into(),
        item.size.into(),
        item.status.into(),
        item.reason.into(),
        item.code.into(),
        item.hint.into(),
    ]
}

impl Windlass {
    /// The latest rows of `system.run_events`, of one job, if given: in the order of runs, then of what
    /// happened.
    pub(crate) async fn event_table(
        &self,
        fabric: FabricId,
        job: Option<&str>,
    ) -> Result<Vec<Vec<Cell>>> {
        let rows = self.inner.store.fabric_events(fabric, job, SHOWN).await?;
        let cells = rows.into_iter().map(|(run, job, event)| event_cells(run, job.as_ref(), event));
        Ok(cells.collect())
    }

    /// The latest rows of `system.run_items`, of one job and of one status, if given: in the order of
    /// runs, then of items.
    pub(crate) async fn item_table(
        &self,
        fabric: FabricId,
        job: Option<&str>,
        status: Option<&str>,
    ) -> Result<Vec<Vec<Cell>>> {
        let rows = self.inner.store.fabric_items(fabric, job, status, SHOWN).await?;
        let cells = rows.into_iter().map(|(run, job, item)| item_cells(run, job.as_ref(), item));
        Ok(cells.collect())
    }
}

/// What a run leaves beside its row.
#[derive(Debug, Clone, Copy)]
enum Log {
    Events,
    Items,
}

/// The table of this name, if it is one whose rows are read as they are asked for.
pub(crate) fn run_rows(
    windlass: &Windlass,
    fabric: FabricId,
    name: &str,
) -> Option<Arc<dyn SystemRows>> {
    let log = match name {
        "run_events" => Log::Events,
        "run_items" => Log::Items,
        _ => return None,
    };
    Some(Arc::new(RunRows { windlass: windlass.clone(), fabric, log }))
}

struct RunRows {
    windlass: Windlass,
    fabric: FabricId,
    log: Log,
}

impl fmt::Debug for RunRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRows").field("log", &self.log).finish_non_exhaustive()
    }
}

impl RunRows {
    fn columns(&self) -> Columns {
        match self.log {
            Log::Events => EVENTS,
            Log::Items => ITEMS,
        }
    }

    /// A run of the fabric, by what somebody has written for its id.
    async fn run(&self, text: &str) -> Result<Option<RunRow>> {
        let Ok(run) = text.parse::<RunId>() else { return Ok(None) };
        match self.windlass.inner.store.run(run).await {
            Ok(row) => Ok((row.fabric == self.fabric).then_some(row)),
            Err(error) if error.code() == ErrorCode::RunNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next rows of one run, and the place of the last of them; None: there are no more.
    async fn page(
        &self,
        run: &RunRow,
        status: Option<&str>,
        after: i64,
    ) -> Result<Option<(i64, Vec<Vec<Cell>>)>> {
        let (store, job) = (&self.windlass.inner.store, run.job_name.as_ref());
        Ok(match self.log {
            Log::Events => {
                let events = store.run_events(run.id, after, PAGE).await?;
                let last = events.last().map(|event| event.seq);
                let cells = events.into_iter().map(|event| event_cells(run.id, job, event));
                last.map(|last| (last, cells.collect()))
            }
            Log::Items => {
                let items = store.run_items(run.id, status, after, PAGE).await?;
                let last = items.last().map(|(seq, _)| *seq);
                let cells = items.into_iter().map(|(_, item)| item_cells(run.id, job, item));
                last.map(|last| (last, cells.collect()))
            }
        })
    }
}

#[async_trait]
impl SystemRows for RunRows {
    fn schema(&self) -> SchemaRef {
        rows::schema(self.columns())
    }

    fn keys(&self) -> &'static [&'static str] {
        match self.log {
            Log::Events => &["run", "job"],
            Log::Items => &["run", "job", "status"],
        }
    }

    async fn read(&self, chosen: &BTreeMap<&str, &str>) -> Result<Vec<RecordBatch>> {
        let status = chosen.get("status").copied();
        let Some(run) = chosen.get("run") else {
            let job = chosen.get("job").copied();
            let cells = match self.log {
                Log::Events => self.windlass.event_table(self.fabric, job).await?,
                Log::Items => self.windlass.item_table(self.fabric, job, status).await?,
            };
            return Ok(vec![rows::batch(self.columns(), &cells)?]);
        };
        let Some(run) = self.run(run).await? else { return Ok(Vec::new()) };
        let (mut batches, mut after) = (Vec::new(), 0);
        while let Some((last, cells)) = self.page(&run, status, after).await? {
            after = last;
            batches.push(rows::batch(self.columns(), &cells)?);
        }
        Ok(batches)
    }
}
