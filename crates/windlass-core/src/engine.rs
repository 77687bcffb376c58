//! What a person can ask for, wherever it is done: in this process or by a server.
//!
//! The command line speaks to this trait only, so `--server` changes nothing above it.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
pub use windlass_s3::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod,
    PutOptions, PutResult, Storage, Upload,
};
pub use windlass_transfer::{CopyOptions, Item, Progress, Summary};
use windlass_types::{Location, Name, Result};

/// The answer of one statement.
pub enum Answer {
    /// Rows, streamed.
    Rows {
        /// Columns.
        schema: SchemaRef,
        /// Batches; an error ends the stream.
        batches: BoxStream<'static, Result<RecordBatch>>,
        /// False when rows say that something failed (a failed test step): exit code 1.
        good: Arc<std::sync::atomic::AtomicBool>,
    },
    /// A sentence, such as "connection `landing` created", and warnings.
    Done {
        /// What was done.
        message: String,
        /// What deserves attention.
        warnings: Vec<String>,
    },
}

/// Who asks, and where.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// Fabric that unqualified names belong to.
    pub fabric: String,
    /// Asked over the network: files and environment of this process are not theirs to name.
    pub remote: bool,
}

impl Default for Ctx {
    fn default() -> Self {
        Self { fabric: "default".to_owned(), remote: false }
    }
}

/// One side of a copy.
#[derive(Clone)]
pub struct CopySide {
    /// The storage, already opened by [`Engine::storage`], or a local one made by the caller.
    pub storage: Storage,
    /// Place in it.
    pub location: Location,
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

/// Every verb of the product.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Runs statements one after another; the stream ends with the first error. A `USE FABRIC` in
    /// the text holds for the statements after it and is stored into `ctx`.
    fn sql<'a>(&'a self, ctx: &'a mut Ctx, text: &'a str) -> BoxStream<'a, Result<Answer>>;

    /// Opens the storage of a connection (no request is sent).
    async fn storage(&self, ctx: &Ctx, connection: &Name) -> Result<Storage>;

    /// Copies, moves or syncs between two storages of this engine or of this machine.
    async fn copy(
        &self,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Summary>;

    /// The least IAM policy, for `read`, `full` or `catalog`.
    async fn policy(
        &self,
        ctx: &Ctx,
        connection: &Name,
        purpose: &str,
    ) -> Result<serde_json::Value>;

    /// Checks the installation.
    async fn doctor(&self) -> Result<Vec<Check>>;

    /// Reseals every sealed value with a new master key; answers how many.
    async fn rotate_key(&self) -> Result<u64>;

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
