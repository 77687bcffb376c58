//! The uploads of a write, as the store remembers them.

use super::super::journal::unnamed;
use async_trait::async_trait;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use windlass_jobs::RunContext;
use windlass_query::write::UploadNotes;
use windlass_s3::Upload;
use windlass_state::{NewUpload, Store};
use windlass_types::{ConnectionId, ObjectPath, Result};

/// What the source of an upload says that belongs to a write.
pub(super) const SOURCE: &str = "write";

pub(super) struct Notes {
    pub(super) context: RunContext,
    pub(super) store: Arc<Store>,
    pub(super) connection: ConnectionId,
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("run", &self.context.run).finish_non_exhaustive()
    }
}

impl Notes {
    fn row(&self, bucket: &str, key: &str, id: &str) -> NewUpload {
        NewUpload {
            connection: self.connection,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            upload_id: id.to_owned(),
            source: json!({ SOURCE: self.context.run.to_string() }),
        }
    }

    fn unnamed(&self, to: &ObjectPath) -> NewUpload {
        self.row(&to.bucket, &to.key, &unnamed(self.context.run))
    }
}

#[async_trait]
impl UploadNotes for Notes {
    async fn begins(&self, to: &ObjectPath) -> Result<()> {
        self.context.save_upload(&self.unnamed(to)).await
    }

    async fn not_begun(&self, to: &ObjectPath) -> Result<()> {
        self.store.forget_upload(&self.unnamed(to)).await
    }

    async fn begun(&self, upload: &Upload) -> Result<()> {
        let row = self.row(&upload.bucket, &upload.key, &upload.id);
        self.context.save_upload(&row).await
    }

    async fn ended(&self, upload: &Upload) -> Result<()> {
        self.store.forget_upload(&self.row(&upload.bucket, &upload.key, &upload.id)).await
    }
}
