//! Keeping what a crawl finds: what is new, what changed, what is gone.

use super::stored::{found, stored, texts};
use crate::windlass::Windlass;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use windlass_catalog::changes::{Change, ChangeKind, changes};
use windlass_catalog::gone::{Fate, Ground, is_mass};
use windlass_catalog::{Found, Listed, Seen};
use windlass_state::{
    ContainerBatch, ContainerMark, ContainerPut, ContainerRow, ContainerStatus, HistoryEntry,
    ServiceRow, Store, UnspokenRow,
};
use windlass_types::{ConnectionId, FabricId, Result, RunId};

/// Containers of one transaction.
const BATCH: usize = 500;

/// Most containers that were asked for and not kept yet, whose rows are remembered.
const REMEMBERED: usize = 4096;

/// What a crawl keeps its containers under.
#[derive(Debug, Clone)]
pub(crate) struct NewService {
    /// Its fabric.
    pub(crate) fabric: FabricId,
    /// Its name: the connection's, or the `serviceName` of a workflow file.
    pub(crate) name: String,
    /// What is said of it; None leaves what was said before.
    pub(crate) description: Option<String>,
    /// The stored connection that reaches it, if it is one.
    pub(crate) connection: Option<ConnectionId>,
}

/// What the catalogue knows of a place.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// As the last crawl that could read it found it, with its columns and its fingerprint.
    pub(crate) found: Found,
    /// Whether it is there, as far as known.
    pub(crate) status: ContainerStatus,
    /// Whether this run has kept it already: after a run was resumed.
    pub(crate) kept: bool,
}

/// What was done with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kept {
    /// It was not known.
    New,
    /// Its columns, formats, partitions or kind are others.
    Changed,
    /// It is as it was; figures, tags and samples may be newer.
    Same,
    /// It had been deleted, and has its history again.
    Back,
    /// It could not be read; what was known of it stays.
    NotSeen,
}

/// What may be called gone at the end.
#[derive(Clone, Copy)]
pub(crate) struct DeletionRule<'a> {
    /// Whether anything may.
    pub(crate) mark: bool,
    /// Whether over 30 of a hundred may.
    pub(crate) allow_mass: bool,
    /// Places (bucket, path) that the crawl's own filters and manifests leave out: that it did not
    /// find something there says nothing.
    pub(crate) excused: &'a (dyn Fn(&str, &str) -> bool + Send + Sync),
}

/// What was kept, as the run tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct KeepSummary {
    /// Containers that were not known.
    pub(crate) new: u64,
    /// Those that changed.
    pub(crate) changed: u64,
    /// Those that are as they were.
    pub(crate) same: u64,
    /// Those that came back.
    pub(crate) back: u64,
    /// Those that could not be read, or may be there where a listing broke off.
    pub(crate) not_seen: u64,
    /// Those that are gone.
    pub(crate) deleted: u64,
    /// Deletions that were refused because they would be too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused>,
}

/// Deletions that were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Refused {
    /// How many would be deleted.
    pub(crate) gone: u64,
    /// Of how many.
    pub(crate) of: u64,
}

impl Refused {
    /// What it says to people.
    pub(crate) fn message(self) -> String {
        format!(
            "{} of {} containers were not found, more than 30 %; none was marked deleted",
            self.gone, self.of
        )
    }
}

/// A crawl that keeps what it finds.
pub(crate) struct Keeping {
    store: Arc<Store>,
    service: ServiceRow,
    run: RunId,
    /// What was last spoken of before this is not spoken of by this run.
    begun: DateTime<Utc>,
    now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Rows that were asked for and not kept yet.
    asked: Mutex<HashMap<(String, String), ContainerRow>>,
    batch: ContainerBatch,
    /// Places in the batch.
    waiting: HashSet<(String, String)>,
    summary: KeepSummary,
}

impl Windlass {
    /// Begins to keep what a run finds under a service. A run that is resumed goes on.
    pub(crate) async fn begin_keeping(&self, service: NewService, run: RunId) -> Result<Keeping> {
        let now = Utc::now();
        let store = Arc::clone(&self.inner.store);
        let begun = match store.run(run).await {
            Ok(row) => row.started.unwrap_or(row.created),
            Err(error) if error.code() == windlass_types::ErrorCode::RunNotFound => now,
            Err(error) => return Err(error),
        };
        Keeping::begin(store, service, run, begun, Box::new(Utc::now)).await
    }
}

impl Keeping {
    async fn begin(
        store: Arc<Store>,
        service: NewService,
        run: RunId,
        begun: DateTime<Utc>,
        now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    ) -> Result<Self> {
        let NewService { fabric, name, description, connection } = service;
        let service =
            store.catalog_service(fabric, &name, description.as_deref(), connection, now()).await?;
        Ok(Self {
            store,
            service,
            run,
            begun,
            now,
            asked: Mutex::default(),
            batch: ContainerBatch::default(),
            waiting: HashSet::new(),
            summary: KeepSummary::default(),
        })
    }

    /// What the catalogue knows of a place.
    pub(crate) async fn known(&self, bucket: &str, path: &str) -> Result<Option<Known>> {
        let Some(row) = self.store.container_at(self.service.id, bucket, path).await? else {
            return Ok(None);
        };
        let known = Known {
            found: found(&row.found)?,
            status: row.status,
            kept: row.run == self.run && row.status == ContainerStatus::Active,
        };
        if let Ok(mut asked) = self.asked.lock() {
            if asked.len() >= REMEMBERED {
                asked.clear();
            }
            asked.insert((bucket.to_owned(), path.to_owned()), row);
        }
        Ok(Some(known))
    }

    /// Keeps a container. What was kept may be written later, at the latest by [`Keeping::end`] or
    /// [`Keeping::flush`].
    pub(crate) async fn keep(&mut self, container: Found) -> Result<Kept> {
        let place = (container.bucket.clone(), container.path.clone());
        if self.waiting.contains(&place) {
            self.flush().await?;
        }
        let remembered = self.asked.lock().ok().and_then(|mut asked| asked.remove(&place));
        let before = match remembered {
            Some(row) => Some(row),
            None => self.store.container_at(self.service.id, &place.0, &place.1).await?,
        };
        let again = before.as_ref().is_some_and(|row| row.run == self.run);
        let (kept, step) = decide(&self.service.name, before.as_ref(), &container)?;
        match step {
            Step::Put(put) => self.batch.puts.push(*put),
            Step::Same(id) => self.batch.same.push(id),
            Step::Mark(mark) => self.batch.marks.push(mark),
        }
        self.waiting.insert(place);
        if !again {
            let count = match kept {
                Kept::New => &mut self.summary.new,
                Kept::Changed => &mut self.summary.changed,
                Kept::Same => &mut self.summary.same,
                Kept::Back => &mut self.summary.back,
                Kept::NotSeen => &mut self.summary.not_seen,
            };
            *count += 1;
        }
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        Ok(kept)
    }

    /// Writes what was kept so far: before the run says that it goes on from here.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.waiting.clear();
        self.store.keep_containers(self.service.id, &batch, self.run, (self.now)()).await
    }

    /// Ends the crawl. `listed` is every place that was to be listed: what lies below one that came
    /// to its end and was not found is marked deleted; below one that did not, not seen.
    pub(crate) async fn end(
        mut self,
        listed: &[Listed],
        rule: DeletionRule<'_>,
    ) -> Result<KeepSummary> {
        self.flush().await?;
        let (unspoken, all) = self.store.unspoken(self.service.id, self.begun).await?;
        let mut verdict = judge(&unspoken, listed, rule);
        let gone = verdict.gone.len() as u64;
        let mut summary = std::mem::take(&mut self.summary);
        if gone > 0 && is_mass(gone, all) && !rule.allow_mass {
            let refused = Refused { gone, of: all };
            let why = refused.message();
            verdict.not_seen.extend(verdict.gone.drain(..).map(|row| (row, why.clone())));
            summary.refused = Some(refused);
        }
        summary.deleted = verdict.gone.len() as u64;
        summary.not_seen += verdict.not_seen.len() as u64;
        let gone = verdict.gone.iter().map(|row| ContainerMark {
            id: row.id,
            status: ContainerStatus::Deleted,
            reason: None,
            history: Some(state_entry(ChangeKind::Deleted, row.status, None)),
        });
        let not_seen =
            verdict.not_seen.iter().map(|(row, why)| mark_not_seen(row.id, row.status, why));
        let marks: Vec<ContainerMark> = gone.chain(not_seen).collect();
        for marks in marks.chunks(BATCH) {
            let batch = ContainerBatch { marks: marks.to_vec(), ..ContainerBatch::default() };
            self.store.keep_containers(self.service.id, &batch, self.run, (self.now)()).await?;
        }
        self.store.prune_figures(self.service.id, (self.now)()).await?;
        Ok(summary)
    }
}

/// What a container that was found means for what is stored.
enum Step {
    Put(Box<ContainerPut>),
    Same(i64),
    Mark(ContainerMark),
}

/// Decides on one container.
fn decide(service: &str, before: Option<&ContainerRow>, now: &Found) -> Result<(Kept, Step)> {
    if let Seen::No { reason } = &now.seen {
        let step = match before {
            Some(row) => Step::Mark(mark_not_seen(row.id, row.status, reason)),
            None => Step::Put(Box::new(ContainerPut {
                found: stored(service, now)?,
                status: ContainerStatus::NotSeen,
                reason: Some(reason.clone()),
                changed: false,
                search: Some(texts(now)),
                history: vec![not_seen_entry(reason)],
                figures: false,
            })),
        };
        return Ok((Kept::NotSeen, step));
    }
    let put = |history: Vec<HistoryEntry>, changed, search: bool, figures| -> Result<Step> {
        Ok(Step::Put(Box::new(ContainerPut {
            found: stored(service, now)?,
            status: ContainerStatus::Active,
            reason: None,
            changed,
            search: search.then(|| texts(now)),
            history,
            figures,
        })))
    };
    // What was never read has nothing to be compared with.
    let Some(row) = before.filter(|row| row.first_seen.is_some()) else {
        let entry = HistoryEntry {
            change: ChangeKind::Found.as_str().to_owned(),
            column: String::new(),
            old: None,
            new: now.columns.as_ref().map(|columns| format!("{} columns", columns.len())),
        };
        return Ok((Kept::New, put(vec![entry], true, true, true)?));
    };
    let old = found(&row.found)?;
    let differences = changes(&old, now);
    let changed = !differences.is_empty();
    let mut history: Vec<HistoryEntry> = Vec::new();
    let kept = match row.status {
        ContainerStatus::Deleted => {
            history.push(state_entry(ChangeKind::Back, row.status, None));
            Kept::Back
        }
        _ if changed => Kept::Changed,
        _ => Kept::Same,
    };
    if row.status == ContainerStatus::NotSeen {
        history.push(state_entry(ChangeKind::SeenAgain, row.status, row.reason.clone()));
    }
    history.extend(differences.into_iter().map(entry));
    let fresh = stored(service, now)?;
    if fresh == row.found && row.status == ContainerStatus::Active {
        return Ok((kept, Step::Same(row.id)));
    }
    let figures = [&row.found.figures, &fresh.figures]
        .map(|figures| (figures.size, figures.objects, figures.rows));
    let search = texts(&old) != texts(now);
    Ok((kept, put(history, changed, search, figures[0] != figures[1])?))
}

fn entry(change: Change) -> HistoryEntry {
    HistoryEntry {
        change: change.kind.as_str().to_owned(),
        column: change.column,
        old: change.old,
        new: change.new,
    }
}

/// That a container's state changed, from what.
fn state_entry(kind: ChangeKind, before: ContainerStatus, reason: Option<String>) -> HistoryEntry {
    let was = before.as_str();
    HistoryEntry {
        change: kind.as_str().to_owned(),
        column: String::new(),
        old: Some(reason.map_or_else(|| was.to_owned(), |reason| format!("{was}: {reason}"))),
        new: None,
    }
}

fn not_seen_entry(reason: &str) -> HistoryEntry {
    HistoryEntry {
        change: ChangeKind::NotSeen.as_str().to_owned(),
        column: String::new(),
        old: None,
        new: Some(reason.to_owned()),
    }
}

/// Marks one as not seen; said in its history when it was seen before.
fn mark_not_seen(id: i64, before: ContainerStatus, reason: &str) -> ContainerMark {
    ContainerMark {
        id,
        status: ContainerStatus::NotSeen,
        reason: Some(reason.to_owned()),
        history: (before != ContainerStatus::NotSeen).then(|| not_seen_entry(reason)),
    }
}

/// What becomes of those that nobody spoke of.
#[derive(Default)]
struct Judged<'a> {
    gone: Vec<&'a UnspokenRow>,
    not_seen: Vec<(&'a UnspokenRow, String)>,
}

fn judge<'a>(unspoken: &'a [UnspokenRow], listed: &[Listed], rule: DeletionRule<'_>) -> Judged<'a> {
    let ground = Ground::new(listed);
    let mut judged = Judged::default();
    let mut buckets: BTreeSet<&str> = BTreeSet::new();
    // Sorted by bucket and path: the bucket itself comes before what lies in it.
    for row in unspoken {
        if (rule.excused)(&row.bucket, &row.path) {
            continue;
        }
        let fate = if row.path.is_empty() {
            ground.bucket(&row.bucket)
        } else if buckets.contains(row.bucket.as_str()) {
            Fate::Gone
        } else {
            ground.container(&row.bucket, &row.path)
        };
        match fate {
            Fate::Gone => {
                if row.path.is_empty() {
                    buckets.insert(&row.bucket);
                }
                if rule.mark {
                    judged.gone.push(row);
                }
            }
            Fate::NotSeen(reason) => judged.not_seen.push((row, reason)),
            Fate::Untouched => {}
        }
    }
    judged
}

#[cfg(test)]
pub(super) mod tests;
