//! The kind of job that writes the rows of a query to files.

use super::commit::{Commit, Phase, folders, refuse_delta};
use super::notes::Notes;
use super::{After, Mode, WRITE, WritePlan, WriteWork};
use crate::windlass::{Inner, Windlass};
use async_trait::async_trait;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use windlass_jobs::{JobKind, Outcome, RunContext};
use windlass_query::write::{PartlyRead, ReadFile, UploadNotes, WriteRequest, prepare};
use windlass_s3::Storage;
use windlass_types::{
    Error, ErrorCode, Level, Location, Name, ObjectPath, Progress, Result, RunId,
};

/// What a write did: the row it answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wrote {
    /// The run.
    pub(crate) run: Option<RunId>,
    /// Rows.
    pub(crate) rows: u64,
    /// Files.
    pub(crate) files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Files that gave way to them.
    pub(crate) removed: u64,
    /// Files that were read and then deleted or moved.
    pub(crate) after_read: u64,
    /// Old or read files that could not be removed.
    pub(crate) failed: u64,
    /// Seconds it took.
    pub(crate) seconds: f64,
    /// Rows of what was read that `ON_ERROR` left out, or kept in part.
    #[serde(default)]
    pub(crate) skipped: u64,
    /// What is said of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<String>,
}

impl Wrote {
    /// The end of its run.
    pub(super) fn outcome(self) -> Result<Outcome> {
        let partial = self.failed > 0;
        let summary = serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorCode::Internal, "the summary cannot be written").source(error)
        })?;
        Ok(if partial { Outcome::partial(summary) } else { Outcome::succeeded(summary) })
    }
}

/// COPY TO, INSERT INTO a path, CREATE FILE TABLE AS.
pub(crate) struct WriteKind(pub(crate) Weak<Inner>);

#[async_trait]
impl JobKind for WriteKind {
    fn kind(&self) -> &'static str {
        WRITE
    }

    fn check(&self, payload: &Value) -> Result<()> {
        WriteWork::read(payload)?.check(DateTime::UNIX_EPOCH)
    }

    async fn run(&self, context: RunContext) -> Result<Outcome> {
        let windlass = super::super::engine(&self.0)?;
        let work = WriteWork::read(&context.payload)?;
        let row = windlass.connection_in(context.fabric, &work.connection).await?;
        let notes: Arc<dyn UploadNotes> = Arc::new(Notes {
            context: context.clone(),
            store: Arc::clone(&windlass.inner.store),
            connection: row.id,
        });
        match Commit::phase(&context).await? {
            Phase::Before => {}
            Phase::Within(commit) => {
                // Whatever has changed in the connection since: what was decided is carried out.
                let storage = windlass.open_row(&row).await?.storage();
                return commit.go_on(&windlass, &context, &work, &storage, notes.as_ref()).await;
            }
            Phase::After(wrote) => return wrote.outcome(),
        }
        if context.resumed || context.attempt > 1 {
            windlass.give_up_uploads(context.run).await?;
        }
        if context.resumed && context.job.is_none() {
            return Err(Error::new(
                ErrorCode::Interrupted,
                "the process that wrote has ended before anything could be seen; nothing was written",
            )
            .hint("run the statement again"));
        }
        windlass.write(&context, work, notes).await
    }
}

/// The error for a file of which something is not read, and that would go.
fn unread(partly: &PartlyRead) -> Error {
    let PartlyRead { file, left } = partly;
    Error::new(
        ErrorCode::OptionInvalid,
        format!("AFTER_READ would remove what was never read of `{file}`: {left}"),
    )
    .hint("read all of it, so without MEMBERS and a filter on `_file`, and with SHEETS = 'ALL'; or leave AFTER_READ out")
}

impl Windlass {
    async fn write(
        &self,
        context: &RunContext,
        work: WriteWork,
        notes: Arc<dyn UploadNotes>,
    ) -> Result<Outcome> {
        let began = context.now();
        let mut plan = self.write_plan(context.fabric, &work, began).await?;
        refuse_delta(&plan.storage, &plan.bucket, folders(&plan.key)).await?;
        if plan.mode == Mode::Error {
            // Said before the query has run; looked at again when it has.
            super::commit::refuse_existing(&plan.storage, &plan.bucket, &plan.key).await?;
        }
        let fabric = self.fabric_of(context).await?;
        let target = self.insert_target(&fabric, &work, &mut plan).await?;
        let engine = self.query().await?;
        let name = fabric.name.as_str().to_owned();
        let scope = self.write_scope(fabric, &work)?;
        let source = engine.source(&work.query, target.as_ref(), &name, scope).await?;
        self.check_after(
            context,
            &plan.after,
            source.kept.as_deref(),
            &source.read,
            source.limited,
        )
        .await?;
        if plan.after != After::Keep
            && let Some(partly) = source.partial.find(&source.left_out()).await?
        {
            return Err(unread(&partly));
        }
        let (mut read, lineage) = (source.read.clone(), source.lineage.clone());
        let columns = match &work.table {
            Some(_) => source.columns_of(&plan.format, &plan.layout),
            None => Vec::new(),
        };
        let left_out = source.left_out();
        let WritePlan { storage, bucket, key, format, layout, mode, after } = plan;
        let one_file = !key.is_empty() && !key.ends_with('/');
        let request = Arc::new(WriteRequest {
            storage: Storage::clone(&storage),
            bucket: bucket.clone(),
            key: key.clone(),
            format,
            layout,
            run: context.run.to_string(),
            unique: mode != Mode::Error,
            appends: mode == Mode::Append,
            may_hold: after == After::Keep
                && (one_file || matches!(mode, Mode::Append))
                && work.table.is_none(),
        });
        let watch = {
            let context = context.clone();
            Arc::new(move |bytes: u64| {
                context.progress(Progress { done_bytes: bytes, ..Progress::default() });
            })
        };
        let prepared = prepare(source, request, Arc::clone(&notes), watch, context.token()).await?;
        for file in &mut read {
            file.bad = left_out.has(&file.bucket, &file.key);
        }
        let said = left_out.said();
        if let Some(said) = &said {
            context.event(Level::Warning, said.clone());
        }
        let commit = Commit::new(prepared, bucket, key, mode, after, read, lineage, columns, began);
        let commit = commit.without(left_out.rows(), said);
        commit.begin(self, context, &work, &storage, notes.as_ref()).await
    }

    /// The fabric of a run.
    async fn fabric_of(&self, context: &RunContext) -> Result<windlass_state::FabricRow> {
        let all = self.inner.store.fabrics().await?;
        all.into_iter()
            .find(|row| row.id == context.fabric)
            .ok_or_else(|| Error::new(ErrorCode::FabricNotFound, "the fabric of the run is gone"))
    }

    /// What is wrong with the wish to remove what was read.
    async fn check_after(
        &self,
        context: &RunContext,
        after: &After,
        kept: Option<&str>,
        read: &[ReadFile],
        limited: Option<&'static str>,
    ) -> Result<()> {
        if *after == After::Keep {
            return Ok(());
        }
        if let Some(table) = kept {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("AFTER_READ would take files from the Delta Lake table `{table}`"),
            )
            .hint("its log says which files are there; leave AFTER_READ out"));
        }
        if let Some(limit) = limited {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("AFTER_READ with {limit} would remove rows that were never read"),
            )
            .hint("leave it out, or AFTER_READ"));
        }
        let mut looked: Vec<&str> = Vec::new();
        for file in read {
            if looked.contains(&file.connection.as_str()) {
                continue;
            }
            looked.push(&file.connection);
            let name = Name::new(&*file.connection)?;
            let row = self.connection_in(context.fabric, &name).await?;
            let storage = self.open_row(&row).await?.storage();
            if storage.read_only() {
                return Err(super::super::files::read_only(&name));
            }
            let mut buckets: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for other in read.iter().filter(|other| other.connection == file.connection) {
                buckets.entry(&other.bucket).or_default().extend(folders(&other.key));
            }
            for (bucket, folders) in buckets {
                refuse_delta(&storage, bucket, folders).await?;
            }
            if let After::Move(location) = after {
                let Location { bucket, .. } = storage.binding().resolve_any(location)?;
                let object = ObjectPath { bucket: file.bucket.clone(), key: location.clone() };
                if bucket.is_none() {
                    return Err(Error::new(
                        ErrorCode::PathInvalid,
                        format!("AFTER_READ_LOCATION `{}` names no bucket", object.key),
                    ));
                }
            }
        }
        Ok(())
    }
}
