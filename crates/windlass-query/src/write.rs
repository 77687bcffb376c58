//! Writing the rows of a query to files: everything up to the moment they are to be seen.
//!
//! [`Engine::source`] runs the query, [`prepare`] sends the files; what it answers is complete at the
//! storage but for one request a file, [`publish`]. Until then nobody sees anything. Which files are
//! there already, in what order things become visible and what is remembered of it is for core.
//!
//! Memory: a batch, what encoders hold (relieved beyond [`HELD`]), and [`FLYING`] bytes on their way.
//! Rows of more folders than [`OPEN`] at once are sorted by folder, on disk where memory does not do.

mod files;
mod folders;
mod insert;
pub(crate) mod lineage;
mod numbers;
mod overflow;
mod partial;
mod source;
mod upload;

pub use crate::store::LeftOut;
pub use folders::{DatePattern, Layout};
pub use insert::{InsertInto, InsertTarget};
pub use lineage::{Lineage, ReadPlace};
pub use partial::{Partial, PartlyRead};
pub(crate) use source::ReadLog;
pub use source::{ReadFile, Source};
pub use upload::{Body, UploadNotes, WrittenFile, give_up, publish};
pub use windlass_formats::write::{FileFormat, Format, named};

use crate::write::files::Files;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use windlass_s3::Storage;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Folders whose files are written side by side.
const OPEN: usize = 32;
/// Bytes that encoders hold together before the largest lets go.
const HELD: usize = 192 << 20;
/// Bytes of a first part. Later ones may have more, the last of a file may have fewer.
const PART: usize = 8 << 20;
/// Parts of one size before they begin to grow: some services want them equal.
const EQUAL_PARTS: usize = 5_000;
/// Of how many parts each has the size before it doubles.
const DOUBLES: usize = 100;
/// Bytes of a part that has grown. What one file has in memory goes with it.
const LARGEST_PART: usize = 1280 << 20;
/// Parts that services take of one file.
const MOST_PARTS: usize = 10_000;
/// Bytes on their way to the storage.
const FLYING: usize = 64 << 20;
/// Requests side by side.
const REQUESTS: usize = 16;
/// Files that wait for their last part.
const ENDING: usize = 64;

/// What is to be written, and where.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    /// Where to.
    pub storage: Storage,
    /// The bucket.
    pub bucket: String,
    /// The key of the one file; or a prefix that ends in `/`, or is empty.
    pub key: String,
    /// How one file is written.
    pub format: FileFormat,
    /// Which rows go into which file.
    pub layout: Layout,
    /// The run, for names and tokens.
    pub run: String,
    /// Whether names of files differ from run to run.
    pub unique: bool,
    /// Whether files come beside others: none of those is replaced, and numbers go on after theirs.
    pub appends: bool,
    /// Whether a write of one small file holds it here until it is seen, instead of sending it first.
    pub may_hold: bool,
}

impl WriteRequest {
    /// Whether the path is that of exactly one file.
    pub fn is_one_file(&self) -> bool {
        !self.key.is_empty() && !self.key.ends_with('/')
    }

    /// The pattern of the names of files.
    fn name(&self) -> &str {
        let usual = if self.unique { "{run}-{n}" } else { "part-{n}" };
        self.layout.file_name.as_deref().unwrap_or(usual)
    }

    fn object(&self, folder: &str, number: usize) -> ObjectPath {
        let key = if self.is_one_file() {
            self.key.clone()
        } else {
            let name = self.name();
            let name = name.replace("{n}", &format!("{number:05}")).replace("{run}", &self.run);
            format!("{}{folder}{name}.{}", self.key, self.format.extension())
        };
        ObjectPath { bucket: self.bucket.clone(), key }
    }

    /// Whether a file must not replace one that is there; what has the name of the run is of the run.
    fn only_new(&self, object: &ObjectPath) -> bool {
        !self.unique || (self.appends && !object.key.contains(&self.run))
    }
}

/// What was sent and is not seen yet.
#[derive(Debug, Default)]
pub struct Prepared {
    /// The files, in order of key.
    pub files: Vec<WrittenFile>,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Is told how far the work is, in bytes of files.
pub type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// Runs a query to its end and sends its rows as files. Nothing can be seen afterwards; what was
/// begun before a failure is given up.
pub async fn prepare(
    source: Source,
    request: Arc<WriteRequest>,
    notes: Arc<dyn UploadNotes>,
    watch: Watch,
    cancel: CancellationToken,
) -> Result<Prepared> {
    let schema = source.stream.schema();
    let mut files = Files::new(&schema, Arc::clone(&request), notes, watch).await?;
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(ErrorCode::Interrupted, "asked to stop")),
        result = all(source, &mut files) => result,
    };
    match result {
        Ok(()) => files.finish(&cancel).await,
        Err(error) => {
            files.give_up().await;
            Err(error)
        }
    }
}

async fn all(source: Source, files: &mut Files) -> Result<()> {
    let Source { stream, store, task, .. } = source;
    // The query goes on while rows are encoded.
    let (sender, mut batches) = tokio::sync::mpsc::channel(2);
    let mut stream: SendableRecordBatchStream = stream;
    let reading = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| store.explain(error));
            let ends = batch.is_err();
            if sender.send(batch).await.is_err() || ends {
                return;
            }
        }
    }));
    while let Some(batch) = batches.recv().await {
        files.write(batch?, &task).await?;
    }
    if let Err(error) = reading.await
        && error.is_panic()
    {
        return Err(Error::new(ErrorCode::Internal, "the query broke").source(error));
    }
    files.sorted().await
}

/// An error of Arrow as one of ours.
fn of_arrow(error: arrow::error::ArrowError) -> Error {
    crate::error::from_engine(error.into())
}
