//! What a person can ask for, wherever it is done: in this process or by a server.
//!
//! The command line speaks to this trait only, so `--server` changes nothing above it.

pub use crate::session::{Session, SetStatement};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
pub use windlass_query::Temporaries;
pub use windlass_s3::{
    AtVersion, ByteRange, GetOptions, Links, ListOptions, ObjectAccess, ObjectBody, ObjectMeta,
    OpenUpload, Part, PresignMethod, PutOptions, PutResult, Storage, Upload, VersionEntry,
};
pub use windlass_transfer::{CopyOptions, Item, Progress, Summary};
use windlass_types::{Error, ErrorCode, Location, Name, Result};

/// The answer of one statement.
pub enum Answer {
    /// Rows, streamed.
    Rows {
        /// Columns.
        schema: SchemaRef,
        /// Batches; an error ends the stream.
        batches: BoxStream<'static, Result<RecordBatch>>,
        /// What the rows say of the work; certain once they are read.
        verdict: Arc<Verdict>,
    },
    /// A sentence, such as "connection `landing` created", and warnings.
    Done {
        /// What was done.
        message: String,
        /// What deserves attention.
        warnings: Vec<String>,
    },
}

/// What the rows of an answer say of the work they tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// All is well.
    Good,
    /// Something failed (a failed test step, a failed run): exit code 1.
    Bad,
    /// Done, but some items failed: exit code 3.
    Partial,
}

/// A [`Grade`] that may change while rows are read, and what deserves attention besides.
#[derive(Debug)]
pub struct Verdict {
    grade: std::sync::atomic::AtomicU8,
    warnings: Mutex<Vec<String>>,
}

impl Verdict {
    const GRADES: [Grade; 3] = [Grade::Good, Grade::Bad, Grade::Partial];

    /// A verdict that is `grade` until it changes.
    pub fn new(grade: Grade) -> Arc<Self> {
        let grades = std::sync::atomic::AtomicU8::new(0);
        let verdict = Self { grade: grades, warnings: Mutex::default() };
        verdict.set(grade);
        Arc::new(verdict)
    }

    /// The grade now.
    pub fn grade(&self) -> Grade {
        let at = usize::from(self.grade.load(std::sync::atomic::Ordering::Relaxed));
        Self::GRADES.get(at).copied().unwrap_or(Grade::Bad)
    }

    /// Changes the grade.
    pub fn set(&self, grade: Grade) {
        let at = Self::GRADES.iter().position(|one| *one == grade).unwrap_or_default();
        let at = u8::try_from(at).unwrap_or_default();
        self.grade.store(at, std::sync::atomic::Ordering::Relaxed);
    }

    /// Adds a warning.
    pub fn warn(&self, text: impl Into<String>) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    /// The warnings; all of them once the rows are read.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Who asks, and where.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// Fabric that unqualified names belong to.
    pub fabric: String,
    /// Asked over the network: files and environment of this process are not theirs to name.
    pub remote: bool,
    /// What SET has set.
    pub session: Session,
    /// Values of `$1`, `$2`, ... of the next statement: arrays of one row.
    pub parameters: Vec<ArrayRef>,
    /// The name under which a client has signed in.
    pub user: Option<String>,
    /// Its temporary tables and views; clones share them.
    pub temporaries: Temporaries,
}

impl Default for Ctx {
    fn default() -> Self {
        Self {
            fabric: "default".to_owned(),
            remote: false,
            session: Session::default(),
            parameters: Vec::new(),
            user: None,
            temporaries: Temporaries::default(),
        }
    }
}

/// What a statement takes and gives.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Parameters, in order, and the columns of its rows.
    Rows {
        /// Types of `$1`, `$2`, ...
        parameters: Vec<DataType>,
        /// Columns.
        columns: SchemaRef,
    },
    /// No parameters and no rows: it does something, and says so.
    Done,
    /// Can only be learnt by running it. It has no parameters.
    Unknown,
}

/// One side of a copy.
#[derive(Clone)]
pub struct CopySide {
    /// The storage, already opened by [`Engine::storage`], or a local one made by the caller.
    pub storage: Storage,
    /// Place in it.
    pub location: Location,
}

/// What is asked of the catalogue.
#[derive(Debug, Clone)]
pub enum CatalogAsk {
    /// A page of containers, by fully qualified name.
    Containers {
        /// Of this service only.
        service: Option<String>,
        /// `active`, `not_seen` or `deleted` only.
        status: Option<String>,
        /// Directly in the container of this fully qualified name only.
        parent: Option<String>,
        /// The `next` of the page before.
        after: Option<String>,
        /// At most so many.
        limit: u32,
    },
    /// One container: by its fully qualified name, `connection:path` or `s3://bucket/path`.
    Container(String),
    /// Containers by words, the best first.
    Search {
        /// The words.
        question: String,
        /// At most so many.
        limit: u32,
        /// After so many.
        offset: u32,
    },
    /// Where the data of a place came from and went to.
    Lineage {
        /// A container or a place.
        of: String,
        /// Where it came from; with both or neither of the two, both.
        upstream: bool,
        /// Where it went.
        downstream: bool,
        /// Most steps.
        depth: Option<u64>,
        /// As events of `OpenLineage`.
        events: bool,
    },
}

/// One line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub check: String,
    /// `passed`, `warning` or `failed`.
    pub status: String,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A workflow file of `OpenMetadata`, and how it is to be crawled.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "switches of one request, each for itself")]
pub struct WorkflowFile {
    /// Its path; the end of its name says whether it is YAML or JSON.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Find tables that no manifest names.
    pub discover: bool,
    /// Mark what is gone also if it is much.
    pub allow_mass_delete: bool,
    /// Read files also where nothing changed.
    pub full: bool,
}

/// How the crawl of a workflow file ended.
#[derive(Debug, Clone)]
pub struct WorkflowEnd {
    /// Its run.
    pub run: String,
    /// Less went well than `successThreshold` asks for, and `raiseOnError` is set.
    pub failed: bool,
    /// Not everything went well, and `raiseOnError` is set.
    pub partial: bool,
    /// Counts, as the run has them.
    pub summary: serde_json::Value,
}

/// Every verb of the product.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Runs statements one after another; the stream ends with the first error. A `USE FABRIC` in
    /// the text holds for the statements after it and is stored into `ctx`.
    fn sql<'a>(&'a self, ctx: &'a mut Ctx, text: &'a str) -> BoxStream<'a, Result<Answer>>;

    /// Learns what one statement takes and gives, without running it. `types` are those of its
    /// parameters that the asker knows.
    async fn shape(&self, ctx: &Ctx, text: &str, types: &[Option<DataType>]) -> Result<Shape> {
        let _ = (ctx, text, types);
        Ok(Shape::Unknown)
    }

    /// Opens the storage of a connection (no request is sent).
    async fn storage(&self, ctx: &Ctx, connection: &Name) -> Result<Storage>;

    /// Copies, moves or syncs between two storages of this engine or of this machine. It is a run
    /// of its own in the fabric of `ctx`.
    async fn copy(
        &self,
        ctx: &Ctx,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Summary>;

    /// Crawls as a workflow file of `OpenMetadata` says, with a connection that is not stored.
    async fn crawl_workflow(
        &self,
        ctx: &Ctx,
        file: WorkflowFile,
        cancel: CancellationToken,
    ) -> Result<WorkflowEnd> {
        let _ = (ctx, file, cancel);
        Err(Error::new(
            ErrorCode::UsageInvalid,
            "a workflow file is crawled by the process that reads it",
        )
        .hint("run it without --server, or crawl a connection of the server: windlass crawl NAME"))
    }

    /// The least IAM policy, for `read`, `full` or `catalog`.
    async fn policy(
        &self,
        ctx: &Ctx,
        connection: &Name,
        purpose: &str,
    ) -> Result<serde_json::Value>;

    /// Fires the triggers of jobs and runs them, until `shutdown`; what runs then is given a
    /// little time to stop. Does nothing where that is another process's business.
    async fn serve_jobs(&self, shutdown: CancellationToken) -> Result<()> {
        shutdown.cancelled().await;
        Ok(())
    }

    /// Says where people reach this engine over HTTP, for links in alerts; an error for what is no
    /// such address. To be called before [`Engine::serve_jobs`]. Does nothing where alerts are another
    /// process's business.
    fn reachable_at(&self, url: &str) -> Result<()> {
        let _ = url;
        Ok(())
    }

    /// Waits a little for runs that were asked to stop. To be called before the process ends.
    async fn close(&self) {}

    /// Checks the installation.
    async fn doctor(&self) -> Result<Vec<Check>>;

    /// Reseals every sealed value with a new master key; answers how many.
    async fn rotate_key(&self) -> Result<u64>;

    /// Answers what other programs ask of the catalogue, as JSON.
    async fn catalog(&self, ctx: &Ctx, ask: CatalogAsk) -> Result<serde_json::Value> {
        let _ = (ctx, ask);
        Err(Error::new(ErrorCode::UsageInvalid, "this engine keeps no catalogue"))
    }

    /// Names of connections, for completion.
    async fn connection_names(&self, ctx: &Ctx) -> Result<Vec<Name>>;

    /// Signs a URL. (Storage has it too; this is for engines whose storage is remote.)
    async fn presign(
        &self,
        ctx: &Ctx,
        connection: &Name,
        path: &str,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String>;
}
