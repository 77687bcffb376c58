//! The store (SQLite or PostgreSQL) and the vault for secrets.
//!
//! One SQL text serves both databases; where they differ is [`dialect`]. Whoever calls decides
//! who may; this room keeps names unique, references whole and secrets sealed.

mod alerts;
mod catalog;
mod catalog_notes;
mod catalog_search;
mod catalog_write;
mod connections;
mod dialect;
mod error;
mod fabrics;
mod jobs;
mod key;
mod leases;
mod lineage;
mod migrate;
mod run_log;
mod run_places;
mod run_tables;
mod run_uploads;
mod runs;
mod secrets;
mod tables;
mod vault;
mod views;

pub use alerts::{AlertRow, Delivery, NewAlert, Presence};
pub use catalog::{
    ContainerFilter, ContainerRow, ContainerStatus, FiguresRow, HistoryEntry, HistoryRow,
    ServiceRow, StoredContainer, StoredFigures, UnspokenRow,
};
pub use catalog_notes::{NoteChange, NoteRow};
pub use catalog_search::{Hit, words};
pub use catalog_write::{ContainerBatch, ContainerMark, ContainerPut, SearchTexts};
pub use connections::{ConnectionRow, NewConnection, Sealed};
pub use dialect::Dialect;
pub use fabrics::FabricRow;
pub use jobs::{Fired, JobRow, NewJob};
pub use key::{KeySource, MasterKey};
pub use lineage::{EdgeRow, LineageEnd, NewEdge};
pub use run_log::{RunEvent, RunLogBatch, RunMark, SeenShard};
pub use run_places::Taken;
pub use run_uploads::{LeftUpload, NewUpload, UploadRow};
pub use runs::{Beat, NewRun, RunClaim, RunEnd, RunFilter, RunRow};
pub use secrets::{SecretOrigin, SecretRow};
pub use tables::{FileTableRow, NewFileTable};
pub use vault::{KeyReport, KeyStatus};
pub use views::{SchemaChange, SchemaChangeRow, StoredColumn, StoredSchema, ViewRow};

use dialect::{Intent, Place};
use error::failed;
use sqlx::AnyPool;
use vault::Vault;
use windlass_types::Result;

/// Name of the first fabric.
pub const DEFAULT_FABRIC: &str = "default";

/// Name of the schema that every fabric has.
pub const MAIN_SCHEMA: &str = "main";

/// A transaction of either database.
type Tx = sqlx::Transaction<'static, sqlx::Any>;

/// The state of an installation.
pub struct Store {
    pool: AnyPool,
    dialect: Dialect,
    description: String,
    vault: Vault,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.description)
    }
}

impl Store {
    /// Opens the state at `url` (`postgres://…`, `sqlite:PATH` or an absolute path), makes it where there is
    /// none, and brings its schema to this version. Does not touch the key.
    pub async fn open(url: &str, key: &KeySource) -> Result<Self> {
        let place = Place::parse(url)?;
        let pool = place.connect().await?;
        // The only clock here: what a migration notes about itself.
        migrate::migrate(&pool, place.dialect(), chrono::Utc::now().timestamp_micros()).await?;
        Ok(Self {
            pool,
            dialect: place.dialect(),
            description: place.describe(),
            vault: Vault::new(key.clone()),
        })
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Where it is, without a password.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map_err(failed("reach it"))?;
        Ok(())
    }

    /// Closes all connections to the database, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Reads a note of the installation.
    pub async fn note(&self, key: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT value FROM meta WHERE key = $1")
            .bind(format!("note.{key}"))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a note"))
    }

    /// Writes a note of the installation if there is none; whether it was written. Of several
    /// processes that try, one is told true.
    pub async fn note_once(&self, key: &str, value: &str) -> Result<bool> {
        let doing = "write a note";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        )
        .bind(format!("note.{key}"))
        .bind(value)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected() == 1)
    }

    async fn begin(&self, intent: Intent) -> Result<Tx> {
        self.dialect.begin(&self.pool, intent).await.map_err(failed("begin a change"))
    }
}
