//! Uploads in parts that runs have begun and not ended: what an interrupted run leaves behind at a
//! service, so that another goes on with it or gives it up.

use crate::Store;
use crate::dialect::Intent;
use crate::error::{
    failed, is_reference, row_json, row_parse, row_string, row_text, row_time, row_time_opt,
    to_json,
};
use crate::leases::hold;
use crate::runs::{RunClaim, micros};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::any::AnyRow;
use windlass_types::{ConnectionId, Error, ErrorCode, Result, RunId};

/// An upload in parts that a run has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUpload {
    /// Where the object will be.
    pub connection: ConnectionId,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// What the service calls the upload.
    pub upload_id: String,
    /// What the source was when it began. If it changed, the parts are worthless.
    pub source: Value,
}

/// A stored upload.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadRow {
    /// The run that began it, or took it over.
    pub run: RunId,
    /// What it is.
    pub upload: NewUpload,
    /// When it was last written.
    pub updated: DateTime<Utc>,
}

/// A stored upload, and whether somebody works on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftUpload {
    /// Which.
    pub row: UploadRow,
    /// Its run waits for its turn, and will go on with it.
    pub queued: bool,
    /// Its run goes on, as far as the store knows.
    pub running: bool,
    /// Who does it.
    pub owner: Option<String>,
    /// Until when they are believed to be there without a word.
    pub lease_until: Option<DateTime<Utc>>,
}

impl UploadRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            run: row_parse(row, "run_id")?,
            upload: NewUpload {
                connection: row_parse(row, "connection_id")?,
                bucket: row_string(row, "bucket")?,
                key: row_string(row, "object_key")?,
                upload_id: row_string(row, "upload_id")?,
                source: row_json(row, "source")?,
            },
            updated: row_time(row, "updated_at")?,
        })
    }
}

impl LeftUpload {
    fn read(row: &AnyRow) -> Result<Self> {
        let state = row_string(row, "run_state")?;
        Ok(Self {
            row: UploadRow::read(row)?,
            queued: state == "queued",
            running: state == "running",
            owner: row_text(row, "run_owner")?,
            lease_until: row_time_opt(row, "run_lease")?,
        })
    }
}

impl Store {
    /// Notes an upload; false where the run was lost. To be called before the first part is sent,
    /// so that no upload is ever forgotten.
    pub async fn save_upload(
        &self,
        claim: RunClaim,
        upload: &NewUpload,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let doing = "note an upload";
        let mut tx = self.begin(Intent::Write).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO run_uploads (run_id, connection_id, bucket, object_key, upload_id, source, parts, updated_at) VALUES ($1, $2, $3, $4, $5, $6, '[]', $7) ON CONFLICT (run_id, connection_id, bucket, object_key) DO UPDATE SET upload_id = excluded.upload_id, source = excluded.source, updated_at = excluded.updated_at",
        )
        .bind(claim.run.to_string())
        .bind(upload.connection.to_string())
        .bind(&upload.bucket)
        .bind(&upload.key)
        .bind(&upload.upload_id)
        .bind(to_json(&upload.source)?)
        .bind(micros(now))
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_reference(&error) {
                Error::new(
                    ErrorCode::ConnectionNotFound,
                    format!("no connection `{}`", upload.connection),
                )
            } else {
                failed(doing)(error)
            }
        })?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Gives an upload of another run to this one; false where somebody was faster, this run has
    /// one to the same key already, or was lost.
    pub async fn take_upload(
        &self,
        claim: RunClaim,
        upload: &UploadRow,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let doing = "take an upload over";
        let mut tx = self.begin(Intent::Write).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(false);
        }
        let new = &upload.upload;
        let done = sqlx::query(
            "UPDATE run_uploads SET run_id = $1, updated_at = $2 WHERE run_id = $3 AND connection_id = $4 AND bucket = $5 AND object_key = $6 AND upload_id = $7 AND NOT EXISTS (SELECT 1 FROM run_uploads o WHERE o.run_id = $1 AND o.connection_id = $4 AND o.bucket = $5 AND o.object_key = $6)",
        )
        .bind(claim.run.to_string())
        .bind(micros(now))
        .bind(upload.run.to_string())
        .bind(new.connection.to_string())
        .bind(&new.bucket)
        .bind(&new.key)
        .bind(&new.upload_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected() == 1)
    }

    /// Reads the uploads to one key.
    pub async fn uploads_at(
        &self,
        connection: ConnectionId,
        bucket: &str,
        key: &str,
    ) -> Result<Vec<LeftUpload>> {
        sqlx::query(
            "SELECT u.*, r.state AS run_state, r.owner AS run_owner, r.lease_until AS run_lease FROM run_uploads u JOIN runs r ON r.id = u.run_id WHERE u.connection_id = $1 AND u.bucket = $2 AND u.object_key = $3 ORDER BY u.updated_at DESC, u.upload_id",
        )
        .bind(connection.to_string())
        .bind(bucket)
        .bind(key)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read uploads"))?
        .iter()
        .map(LeftUpload::read)
        .collect()
    }

    /// Reads all uploads that runs have begun and not ended.
    pub async fn all_uploads(&self) -> Result<Vec<LeftUpload>> {
        sqlx::query(
            "SELECT u.*, r.state AS run_state, r.owner AS run_owner, r.lease_until AS run_lease FROM run_uploads u JOIN runs r ON r.id = u.run_id ORDER BY u.connection_id, u.bucket, u.object_key, u.upload_id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read uploads"))?
        .iter()
        .map(LeftUpload::read)
        .collect()
    }

    /// Forgets an upload that was completed or aborted, whosever it is.
    pub async fn forget_upload(&self, upload: &NewUpload) -> Result<()> {
        let doing = "forget an upload";
        let mut tx = self.begin(Intent::Write).await?;
        sqlx::query(
            "DELETE FROM run_uploads WHERE connection_id = $1 AND bucket = $2 AND object_key = $3 AND upload_id = $4",
        )
        .bind(upload.connection.to_string())
        .bind(&upload.bucket)
        .bind(&upload.key)
        .bind(&upload.upload_id)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}
