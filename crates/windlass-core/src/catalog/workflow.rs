//! Crawls as a workflow file of OpenMetadata says: a connection of its own that is not stored.

use super::crawl::{CrawlSummary, CrawlWork, Ready, bounds, global};
use super::keep::NewService;
use super::kind::CRAWL;
use super::world::read_all;
use crate::engine::{Ctx, WorkflowEnd, WorkflowFile};
use crate::windlass::{Opened, Windlass};
use futures::future::BoxFuture;
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_catalog::filter::Patterns;
use windlass_catalog::publish::Target;
use windlass_catalog::workflow::{Aws, ManifestAt, Sink, Workflow};
use windlass_jobs::OneOff;
use windlass_s3::{MemoryRegions, S3Store};
use windlass_types::{
    ConnectionKind, ConnectionSpec, Error, ErrorCode, Name, ObjectPath, OptionMap, OptionValue,
    Result, RunState, S3Spec,
};

/// Bytes of the largest global manifest.
const MANIFEST: u64 = 64 << 20;

/// A connection that is not stored, as `awsConfig` says.
fn open(aws: &Aws) -> Result<S3Store> {
    let mut options = OptionMap::new();
    let mut sealed = windlass_state::Sealed::new();
    let text = |text: &str| OptionValue::Text(text.to_owned());
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            options.insert(name.to_owned(), text(value));
        }
    };
    put("REGION", Some(&aws.region));
    put("ENDPOINT", aws.endpoint.as_deref());
    // Their one endpoint is that of CloudWatch too; roles are always assumed at AWS.
    put("CLOUDWATCH_ENDPOINT", aws.endpoint.as_deref());
    put("AWS_PROFILE", aws.profile.as_deref());
    put("AWS_ROLE", aws.role.as_deref());
    put("ROLE_SESSION_NAME", aws.session.as_deref());
    put("ROLE_SOURCE_IDENTITY", aws.source_identity.as_deref());
    if aws.role.is_some() && aws.endpoint.is_some() {
        put("STS_ENDPOINT", Some(&format!("https://sts.{}.amazonaws.com", aws.region)));
    }
    if aws.endpoint.as_deref().is_some_and(|url| url.starts_with("http://")) {
        options.insert("ALLOW_HTTP".to_owned(), OptionValue::Bool(true));
    }
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", &aws.access_key),
        ("AWS_SECRET_ACCESS_KEY", &aws.secret_key),
        ("AWS_SESSION_TOKEN", &aws.token),
    ] {
        if let Some(value) = value.as_ref().filter(|value| !value.expose_secret().is_empty()) {
            options.insert(name.to_owned(), OptionValue::Sealed);
            sealed.insert(name.to_owned(), value.clone());
        }
    }
    let spec = S3Spec::build(&options)?;
    let secrets = crate::connections::secrets_from(sealed)?;
    S3Store::open(Name::new("workflow")?, spec, secrets, Arc::new(MemoryRegions::default()))
}

impl Windlass {
    /// Fetches what is at an address on the web.
    pub(super) fn fetch<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(self.fetched(address))
    }

    async fn fetched(&self, address: &str) -> Result<Vec<u8>> {
        let (folder, file) = address.rsplit_once('/').unwrap_or((address, ""));
        let file = file.split(['?', '#']).next().unwrap_or(file);
        let options = OptionMap::from([
            ("ENDPOINT".to_owned(), OptionValue::Text(format!("{folder}/"))),
            ("ALLOW_HTTP".to_owned(), OptionValue::Bool(true)),
        ]);
        let spec = ConnectionSpec::build(ConnectionKind::Http, &options)?;
        let id = windlass_types::ConnectionId::new();
        let sealed = windlass_state::Sealed::new();
        let storage = self.open_spec(id, Name::new("manifest")?, spec, sealed)?.storage();
        let object = storage.binding().resolve_any(file)?.object()?;
        read_all(&storage, &object, MANIFEST).await.map(|bytes| bytes.to_vec())
    }

    /// The global manifest of a workflow, or why it could not be read.
    async fn global_of(
        &self,
        at: &ManifestAt,
    ) -> std::result::Result<windlass_catalog::manifest::Manifest, String> {
        let (name, text) = match at {
            ManifestAt::Unsupported(why) => return Err(why.clone()),
            ManifestAt::File(path) => {
                let read = tokio::fs::read(path).await.map_err(|error| {
                    let code = match error.kind() {
                        std::io::ErrorKind::NotFound => ErrorCode::LocalNotFound,
                        std::io::ErrorKind::PermissionDenied => ErrorCode::LocalDenied,
                        _ => ErrorCode::LocalFailed,
                    };
                    Error::new(code, format!("cannot read `{path}`")).source(error)
                });
                (path.clone(), read)
            }
            ManifestAt::Http(address) => (address.clone(), self.fetch(address).await),
            ManifestAt::S3 { aws, bucket, key } => {
                let object = ObjectPath { bucket: bucket.clone(), key: key.clone() };
                let read = match open(aws) {
                    Ok(store) => {
                        let storage: windlass_s3::Storage = Arc::new(store);
                        read_all(&storage, &object, MANIFEST).await.map(|bytes| bytes.to_vec())
                    }
                    Err(error) => Err(error),
                };
                (format!("s3://{bucket}/{key}"), read)
            }
        };
        global(&name, text)
    }

    /// Crawls as a workflow file says, and waits for the end.
    pub(crate) async fn run_workflow(
        &self,
        ctx: &Ctx,
        file: WorkflowFile,
        cancel: CancellationToken,
    ) -> Result<WorkflowEnd> {
        let environment = |name: &str| (self.inner.settings.environment)(name);
        let workflow = Workflow::parse(&file.name, &file.text, &environment)?;
        let fabric = self.fabric(&ctx.fabric).await?;
        let opened = Opened::S3(open(&workflow.aws)?);
        let blank = CrawlWork { connection: Name::new("workflow")?, options: OptionMap::new() };
        let mut plan = blank.plan()?;
        plan.bounds = bounds(&opened);
        plan.buckets.clone_from(&workflow.buckets);
        plan.filter.patterns = Patterns::new(&workflow.includes, &workflow.excludes)?;
        plan.filter.named = !workflow.buckets.is_empty();
        plan.links.console.clone_from(&workflow.console);
        plan.links.region.clone_from(&workflow.aws.region);
        plan.discover = file.discover;
        plan.full = file.full;
        plan.tags = workflow.tags;
        plan.default = workflow.default;
        plan.global = match &workflow.global {
            Some(at) => Some(self.global_of(at).await),
            None => None,
        };
        let service = NewService {
            fabric: fabric.id,
            name: workflow.service.clone(),
            description: None,
            connection: None,
        };
        let ready = Ready {
            opened,
            plan,
            service,
            mark_deleted: workflow.mark_deleted,
            allow_mass: file.allow_mass_delete,
            sink: match &workflow.sink {
                Sink::Catalogue => None,
                Sink::File(path) => Some(path.into()),
            },
            publish: workflow.server.map(|server| Target::new(server.url, server.token)),
            warnings: workflow.warnings,
        };
        let payload = self.keep_crawl(ready);
        let what = OneOff::new(CRAWL, fabric.id, format!("crawl -c {}", file.name), payload);
        let run = self.scheduler().start(what, None).await?;
        let waiting = self.wait_or_stop(run);
        tokio::pin!(waiting);
        let row = tokio::select! {
            row = &mut waiting => row?,
            () = cancel.cancelled() => {
                match self.scheduler().cancel(run).await {
                    Err(error) if error.code() != ErrorCode::RunEnded => return Err(error),
                    _ => waiting.await?,
                }
            }
        };
        let state = row.state;
        let summary: CrawlSummary = crate::jobs::ended(row)?;
        let percent = {
            let done = summary.found.max(1);
            100 * done / (done + summary.failed)
        };
        let partial = state == RunState::Partial;
        Ok(WorkflowEnd {
            run: run.to_string(),
            failed: workflow.raise_on_error && percent < u64::from(workflow.success_threshold),
            partial: workflow.raise_on_error && partial,
            summary: serde_json::to_value(&summary).unwrap_or_default(),
        })
    }
}
