//! [`Engine`] in this process.

use crate::engine::{
    Answer, Check, CopyOptions, CopySide, Ctx, Engine, PresignMethod, Progress, Shape, Summary,
};
use crate::limit::Limit;
use crate::windlass::Windlass;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_s3::Storage;
use windlass_s3::policy::{Purpose, policy};
use windlass_state::MasterKey;
use windlass_transfer::{CopyRequest, Earlier, Journal, Side};
use windlass_types::{ConnectionSpec, Error, ErrorCode, Name, Result};

#[async_trait]
impl Engine for Windlass {
    fn sql<'a>(&'a self, ctx: &'a mut Ctx, text: &'a str) -> BoxStream<'a, Result<Answer>> {
        ctx.session.adopt(self.inner.settings.session());
        async_stream::try_stream! {
            for parsed in windlass_sql::parse(text)? {
                let limit = Limit::of(ctx);
                let answer = limit.hold(self.run(ctx, parsed.statement)).await?;
                yield limit.hold_rows(answer);
            }
        }
        .boxed()
    }

    async fn shape(&self, ctx: &Ctx, text: &str, types: &[Option<DataType>]) -> Result<Shape> {
        self.shape_of(ctx, text, types).await
    }

    async fn storage(&self, ctx: &Ctx, connection: &Name) -> Result<Storage> {
        let fabric = self.fabric(&ctx.fabric).await?;
        let row = self.connection(&fabric, connection).await?;
        Ok(self.open_row(&row).await?.storage())
    }

    async fn copy(
        &self,
        ctx: &Ctx,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Summary> {
        self.run_copy(ctx, source, destination, options, progress, cancel).await
    }

    async fn crawl_workflow(
        &self,
        ctx: &Ctx,
        file: crate::engine::WorkflowFile,
        cancel: CancellationToken,
    ) -> Result<crate::engine::WorkflowEnd> {
        self.run_workflow(ctx, file, cancel).await
    }

    async fn serve_jobs(&self, shutdown: CancellationToken) -> Result<()> {
        self.scheduler().run_until(shutdown).await
    }

    fn reachable_at(&self, url: &str) -> Result<()> {
        windlass_jobs::check_base_url(url)?;
        // The first address counts: alerts go on with what they began with.
        let _ = self.inner.base_url.set(url.to_owned());
        Ok(())
    }

    async fn close(&self) {
        self.wait_for_stops().await;
    }

    async fn policy(
        &self,
        ctx: &Ctx,
        connection: &Name,
        purpose: &str,
    ) -> Result<serde_json::Value> {
        let purpose: Purpose = purpose.parse()?;
        let fabric = self.fabric(&ctx.fabric).await?;
        let row = self.connection(&fabric, connection).await?;
        match ConnectionSpec::build(row.kind, &row.options)? {
            ConnectionSpec::S3(spec) => policy(&spec, purpose),
            ConnectionSpec::Local(_) | ConnectionSpec::Remote(_) => Err(Error::new(
                ErrorCode::UsageInvalid,
                format!(
                    "connection `{}` is of kind {}, which has no IAM policy",
                    row.name.as_str(),
                    row.kind.as_str()
                ),
            )
            .hint("name an S3 connection")),
        }
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(crate::doctor::doctor(self).await)
    }

    async fn rotate_key(&self) -> Result<u64> {
        self.inner.store.rotate_key(MasterKey::generate()?).await
    }

    async fn catalog(
        &self,
        ctx: &Ctx,
        ask: crate::engine::CatalogAsk,
    ) -> Result<serde_json::Value> {
        let fabric = self.fabric(&ctx.fabric).await?;
        self.ask_catalog(&fabric, ask).await
    }

    async fn connection_names(&self, ctx: &Ctx) -> Result<Vec<Name>> {
        let fabric = self.fabric(&ctx.fabric).await?;
        Ok(self.inner.store.connections(fabric.id).await?.into_iter().map(|row| row.name).collect())
    }

    async fn presign(
        &self,
        ctx: &Ctx,
        connection: &Name,
        path: &str,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        let storage = self.storage(ctx, connection).await?;
        let object = storage.binding().resolve_any(path)?.object()?;
        storage.presign(&object, method, expires).await
    }
}

/// Copies, moves or syncs between any two storages from this process. With a journal it goes on with
/// uploads that an interrupted run has left.
pub async fn copy_between(
    source: CopySide,
    destination: CopySide,
    options: CopyOptions,
    journal: Option<Arc<dyn Journal>>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    copy_again(source, destination, options, (journal, None), progress, cancel).await
}

/// The same for a run that may have had earlier attempts: what they did is not done again.
pub(crate) async fn copy_again(
    source: CopySide,
    destination: CopySide,
    options: CopyOptions,
    (journal, earlier): (Option<Arc<dyn Journal>>, Option<Arc<Earlier>>),
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    let filter = match &options.where_ {
        Some(text) => Some(crate::filter::compiled(text, chrono::Utc::now())?),
        None => None,
    };
    let side = |side: CopySide| Side { storage: side.storage, location: side.location };
    let (source, destination) = (side(source), side(destination));
    let request = CopyRequest { source, destination, options, filter, journal, earlier };
    windlass_transfer::copy(request, progress, cancel).await
}

impl Windlass {
    /// Runs statements and collects the rows of each: for tests and small answers.
    pub async fn collect(
        &self,
        ctx: &mut Ctx,
        text: &str,
    ) -> Result<Vec<Vec<arrow::record_batch::RecordBatch>>> {
        let mut answers = Vec::new();
        let mut stream = self.sql(ctx, text);
        while let Some(answer) = stream.next().await {
            match answer? {
                Answer::Rows { batches, .. } => answers.push(batches.try_collect().await?),
                Answer::Done { .. } => answers.push(Vec::new()),
            }
        }
        Ok(answers)
    }

    /// The probe of a connection's storage, for `doctor`.
    pub(crate) async fn probe_named(
        &self,
        name: &str,
    ) -> Result<Vec<windlass_s3::probe::ProbeStep>> {
        let fabric = self.fabric("default").await?;
        let row = self.connection(&fabric, &Name::new(name)?).await?;
        Ok(crate::connections::probe(&self.open_row(&row).await?, false).await)
    }
}
