//! CRAWL: what is said of it, as the payload of a run and as a plan; and doing it.

use super::keep::{DeletionRule, KeepSummary, Keeping, NewService};
use super::world::{Reached, read_all};
use crate::windlass::{Opened, Windlass};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;
use windlass_catalog::crawl::{Event, Links, Plan, Status, Told, crawl};
use windlass_catalog::filter::Filter;
use windlass_catalog::manifest::{Manifest, Scope};
use windlass_catalog::publish::Target;
use windlass_catalog::{Listed, Seen};
use windlass_jobs::RunContext;
use windlass_sql::{CrawlStatement, OptionSetting};
use windlass_types::{
    Error, ErrorCode, FabricId, KeyPattern, Level, Name, OptionMap, OptionValue, Progress, Result,
    RunItem,
};

/// Objects that are counted of a bucket whose figures only a listing can say.
const COUNTED: u64 = 2_000_000;
/// Bytes of the largest global manifest.
const MANIFEST: u64 = 64 << 20;
/// Events that wait to be kept.
const WAITING: usize = 256;

/// The payload of a run of the kind `crawl`. Stored: only add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrawlWork {
    /// The connection, by name.
    pub(crate) connection: Name,
    /// Options as SQL has them.
    #[serde(default)]
    pub(crate) options: OptionMap,
}

impl From<&CrawlStatement> for CrawlWork {
    fn from(statement: &CrawlStatement) -> Self {
        let pair = |setting: &OptionSetting| (setting.name.clone(), setting.value.clone());
        Self {
            connection: statement.connection.clone(),
            options: statement.options.iter().map(pair).collect(),
        }
    }
}

impl CrawlWork {
    /// Reads a payload.
    pub(crate) fn read(payload: &Value) -> Result<Self> {
        Self::deserialize(payload).map_err(|error| {
            Error::new(ErrorCode::StateNewer, "the payload of a crawl cannot be read").source(error)
        })
    }

    /// Writes it.
    pub(crate) fn to_payload(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorCode::Internal, "the payload of a crawl cannot be written")
                .source(error)
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.options.get(name) {
            Some(OptionValue::Text(text) | OptionValue::Word(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// The connection of the server that it is published to.
    pub(crate) fn publish_to(&self) -> Result<Option<Name>> {
        self.text("PUBLISH_TO").map(|name| Name::parse(&name)).transpose()
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        match self.options.get(name) {
            Some(OptionValue::Bool(flag)) => *flag,
            _ => default,
        }
    }

    fn globs(&self, name: &str) -> Result<Vec<KeyPattern>> {
        let texts: Vec<&str> = match self.options.get(name) {
            Some(OptionValue::Text(text)) => vec![text],
            Some(OptionValue::List(items)) => items
                .iter()
                .filter_map(|item| match item {
                    OptionValue::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        texts.into_iter().map(KeyPattern::filter).collect()
    }

    /// The plan, but for what the connection says and where manifests must be fetched.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let filter = Filter {
            buckets: self.globs("BUCKETS")?,
            exclude_buckets: self.globs("EXCLUDE_BUCKETS")?,
            paths: self.globs("INCLUDE")?,
            exclude_paths: self.globs("EXCLUDE")?,
            ..Filter::default()
        };
        let default = self.text("DEFAULT_MANIFEST");
        let default = default
            .map(|text| Manifest::parse("DEFAULT_MANIFEST", &text, Scope::Default))
            .transpose()?;
        let samples = match self.options.get("SAMPLE_FILES") {
            Some(OptionValue::Integer(number)) => usize::try_from(*number).unwrap_or(4),
            _ => 4,
        };
        Ok(Plan {
            buckets: Vec::new(),
            bounds: Vec::new(),
            filter,
            global: None,
            default,
            discover: self.flag("DISCOVER", true),
            manifests: self.flag("MANIFESTS", true),
            tags: self.flag("TAGS", false),
            structure: true,
            full: self.flag("FULL", false),
            samples,
            count_limit: COUNTED,
            links: Links {
                console: self.text("CONSOLE"),
                region: "us-east-1".to_owned(),
                ..Links::default()
            },
        })
    }
}

/// A crawl that is ready to go: what of it needs no more names.
pub(crate) struct Ready {
    pub(crate) opened: Opened,
    pub(crate) plan: Plan,
    pub(crate) service: NewService,
    pub(crate) mark_deleted: bool,
    pub(crate) allow_mass: bool,
    /// A file of this machine that takes what is found, a line of JSON each.
    pub(crate) sink: Option<std::path::PathBuf>,
    /// The server that it is published to afterwards.
    pub(crate) publish: Option<Target>,
    /// What was strange about the request.
    pub(crate) warnings: Vec<String>,
}

/// What a crawl did, as its run tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CrawlSummary {
    /// The service.
    pub(crate) service: String,
    /// Containers that were found.
    pub(crate) found: u64,
    /// Objects that were listed.
    pub(crate) listed: u64,
    /// Of the containers: not known before.
    pub(crate) new: u64,
    /// Changed.
    pub(crate) changed: u64,
    /// As they were.
    pub(crate) same: u64,
    /// Back after having been gone.
    pub(crate) back: u64,
    /// Could not be read.
    pub(crate) not_seen: u64,
    /// Gone.
    pub(crate) deleted: u64,
    /// Things that were left out as they should be.
    pub(crate) skipped: u64,
    /// Things that failed.
    pub(crate) failed: u64,
    /// Things that are strange, and were gone on with.
    #[serde(default)]
    pub(crate) warnings: u64,
    /// The first failure, or else the first warning, of those in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Containers that a server has taken, where it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) published: Option<u64>,
    /// Why deletions were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// Whether something was not seen, failed or refused.
    #[serde(default)]
    pub(crate) partial: bool,
}

impl Windlass {
    /// Opens what a crawl needs, or says what is wrong with it.
    pub(crate) async fn crawl_ready(&self, fabric: FabricId, work: &CrawlWork) -> Result<Ready> {
        let row = self.connection_in(fabric, &work.connection).await?;
        let opened = self.open_row(&row).await?;
        let mut plan = work.plan()?;
        let storage = opened.storage();
        plan.bounds = bounds(&opened);
        if let Opened::S3(store) = &opened {
            plan.links.elsewhere = store.spec().endpoint.is_some();
            if let Some(region) = &store.spec().region {
                plan.links.region.clone_from(region);
            }
        } else {
            plan.links.elsewhere = true;
            plan.links.connection = Some(row.name.as_str().to_owned());
        }
        if let Some(place) = work.text("GLOBAL_MANIFEST") {
            let text = if place.starts_with("http://") || place.starts_with("https://") {
                self.fetch(&place).await
            } else {
                let object = storage.binding().resolve_any(&place)?.object()?;
                read_all(&storage, &object, MANIFEST).await.map(|bytes| bytes.to_vec())
            };
            plan.global = Some(global(&place, text));
        }
        let service = NewService {
            fabric,
            name: work.text("SERVICE").unwrap_or_else(|| row.name.as_str().to_owned()),
            description: work.text("DESCRIPTION"),
            connection: Some(row.id),
        };
        Ok(Ready {
            opened,
            plan,
            service,
            mark_deleted: work.flag("MARK_DELETED", true),
            allow_mass: work.flag("ALLOW_MASS_DELETE", false),
            sink: None,
            publish: match work.publish_to()? {
                Some(name) => Some(self.publish_target(fabric, &name).await?),
                None => None,
            },
            warnings: Vec::new(),
        })
    }

    /// Does a crawl and keeps what it finds.
    pub(crate) async fn crawl(&self, ready: Ready, context: &RunContext) -> Result<CrawlSummary> {
        let Ready { opened, plan, service, mark_deleted, allow_mass, sink, publish, warnings } =
            ready;
        let mut book = Book::new(context, &service.name, sink)?;
        for warning in warnings {
            context.event(Level::Warning, warning);
        }
        if let Some(Err(why)) = &plan.global {
            let told = Told {
                bucket: String::new(),
                path: "global manifest".to_owned(),
                status: Status::Failed,
                reason: why.clone(),
                code: None,
            };
            book.told(told).await?;
        }
        let (fabric, name) = (service.fabric, service.name.clone());
        let keeping = self.begin_keeping(service, context.run).await?;
        let keeping = Arc::new(tokio::sync::Mutex::new(Some(keeping)));
        let filter = plan.filter.clone();
        let world = Arc::new(Reached::new(opened, Some(Arc::clone(&keeping))));
        let (send, mut receive) = mpsc::channel(WAITING);
        let token = context.token();
        let walk = crawl(plan, world, send, token.clone());
        let (walked, kept) = {
            let (book, keeping) = (&mut book, &keeping);
            // The receiver ends with it: the walk ends when nobody keeps any more.
            let keep = async move {
                while let Some(event) = receive.recv().await {
                    book.take(event, keeping).await?;
                }
                Ok::<_, Error>(())
            };
            tokio::join!(walk, keep)
        };
        kept?;
        let mut keeping = keeping
            .lock()
            .await
            .take()
            .ok_or_else(|| Error::new(ErrorCode::Internal, "the crawl was ended twice"))?;
        if token.is_cancelled() {
            // What was found is kept; what was not looked at is not judged.
            keeping.flush().await?;
            return Ok(book.end(None, 0));
        }
        let excused = move |bucket: &str, path: &str| {
            filter.bucket(bucket).is_some() || (!path.is_empty() && filter.path(path).is_some())
        };
        let rule = DeletionRule { mark: mark_deleted, allow_mass, excused: &excused };
        let summary = keeping.end(&book.places, rule).await?;
        let listed = walked?;
        if let Some(target) = publish {
            self.publish_crawl(fabric, &name, target, &mut book).await?;
        }
        Ok(book.end(Some(summary), listed))
    }

    /// Publishes what a crawl has kept. That a server does not take it is told; the crawl stays.
    async fn publish_crawl(
        &self,
        fabric: FabricId,
        service: &str,
        target: Target,
        book: &mut Book<'_>,
    ) -> Result<()> {
        let host = target.host.clone();
        let store = &self.inner.store;
        let row = store.catalog_service(fabric, service, None, None, book.context.now()).await?;
        let failed = |path: String, reason: String, code: Option<String>| Told {
            bucket: String::new(),
            path,
            status: Status::Failed,
            reason,
            code,
        };
        match Box::pin(self.publish_service(&row, target)).await {
            Ok(published) => {
                book.summary.published = Some(published.containers);
                for (name, reason) in published.failed {
                    book.told(failed(name, format!("not published: {reason}"), None)).await?;
                }
            }
            Err(error) => {
                let code = Some(error.code().to_string());
                let hint = error.hint_text().map_or(String::new(), |hint| format!("; {hint}"));
                let reason = format!("not published: {}{hint}", error.chain());
                book.told(failed(host, reason, code)).await?;
            }
        }
        Ok(())
    }

    /// What a crawl would find, by names alone; nothing is kept.
    pub(crate) async fn explain_crawl(&self, mut ready: Ready) -> Result<Vec<Event>> {
        ready.plan.structure = false;
        let world = Arc::new(Reached::new(ready.opened, None));
        let (send, mut receive) = mpsc::channel(WAITING);
        let gather = async {
            let mut all = Vec::new();
            while let Some(event) = receive.recv().await {
                all.push(event);
            }
            all
        };
        let walk = crawl(ready.plan, world, send, tokio_util::sync::CancellationToken::new());
        let (walked, events) = tokio::join!(walk, gather);
        walked?;
        Ok(events)
    }
}

/// Reads a global manifest that was fetched.
pub(super) fn global(name: &str, text: Result<Vec<u8>>) -> std::result::Result<Manifest, String> {
    let read = text.and_then(|bytes| {
        let text = String::from_utf8(bytes).map_err(|error| {
            Error::new(ErrorCode::DocumentInvalid, format!("{name} is not UTF-8")).source(error)
        })?;
        Manifest::parse(name, &text, Scope::Global)
    });
    read.map_err(|error| error.chain())
}

/// Buckets and prefixes within which a connection stays: its binding, or its display filters.
pub(super) fn bounds(opened: &Opened) -> Vec<(String, String)> {
    let storage = opened.storage();
    let binding = storage.binding();
    let filters = match opened {
        Opened::S3(store) => store.spec().display_filters.clone(),
        _ => Vec::new(),
    };
    let shown: Vec<(String, String)> =
        filters.iter().map(|url| (url.bucket.clone(), url.key.clone())).collect();
    match (&binding.bucket, shown.is_empty()) {
        (_, false) => shown,
        (Some(bucket), true) => vec![(bucket.clone(), binding.prefix.clone())],
        (None, true) => Vec::new(),
    }
}

/// What is written down of a crawl while it runs.
struct Book<'a> {
    context: &'a RunContext,
    summary: CrawlSummary,
    places: Vec<Listed>,
    progress: Progress,
    sink: Option<std::io::BufWriter<std::fs::File>>,
}

impl<'a> Book<'a> {
    fn new(
        context: &'a RunContext,
        service: &str,
        sink: Option<std::path::PathBuf>,
    ) -> Result<Self> {
        let sink = sink
            .map(|path| {
                std::fs::File::create(&path).map(std::io::BufWriter::new).map_err(|error| {
                    let what = format!("cannot write `{}`", path.display());
                    Error::new(ErrorCode::LocalFailed, what).source(error)
                })
            })
            .transpose()?;
        let summary = CrawlSummary { service: service.to_owned(), ..CrawlSummary::default() };
        Ok(Self { context, summary, places: Vec::new(), progress: Progress::default(), sink })
    }

    async fn take(
        &mut self,
        event: Event,
        keeping: &tokio::sync::Mutex<Option<Keeping>>,
    ) -> Result<()> {
        match event {
            Event::Found(found) => {
                self.summary.found += 1;
                self.summary.partial |= found.seen != Seen::Yes;
                self.progress.done_items += 1;
                self.context.progress(self.progress);
                self.write(&found)?;
                if let Some(keeping) = keeping.lock().await.as_mut() {
                    keeping.keep(*found).await?;
                }
                Ok(())
            }
            Event::Listed(listed) => {
                // What a filter leaves out is no failure.
                let left_out = |why: &String| why.starts_with("left out: ");
                self.summary.partial |=
                    listed.incomplete.as_ref().is_some_and(|why| !left_out(why));
                if !listed.incomplete.as_ref().is_some_and(left_out) {
                    self.places.push(listed);
                }
                Ok(())
            }
            Event::Told(told) => self.told(told).await,
            Event::Planned(number) => {
                let planned = self.progress.planned_items.unwrap_or(0) + number;
                self.progress.planned_items = Some(planned);
                self.context.progress(self.progress);
                Ok(())
            }
        }
    }

    async fn told(&mut self, told: Told) -> Result<()> {
        let place = match (told.bucket.as_str(), told.path.as_str()) {
            ("", path) => path.to_owned(),
            (bucket, "") => format!("s3://{bucket}"),
            (bucket, path) => format!("s3://{bucket}/{path}"),
        };
        let status = match told.status {
            Status::Skipped => {
                self.summary.skipped += 1;
                "skipped"
            }
            Status::Failed => {
                if self.summary.failed == 0 {
                    self.summary.reason = Some(format!("{place}: {}", told.reason));
                }
                self.summary.failed += 1;
                self.summary.partial = true;
                self.progress.failed_items += 1;
                "failed"
            }
            Status::Warning => {
                let text = format!("{place}: {}", told.reason);
                self.summary.warnings += 1;
                self.summary.reason.get_or_insert_with(|| text.clone());
                self.context.event(Level::Warning, text);
                return Ok(());
            }
        };
        let item = RunItem {
            action: "crawl".to_owned(),
            source: place,
            destination: String::new(),
            size: None,
            status: status.to_owned(),
            reason: Some(told.reason),
            code: told.code,
            hint: None,
        };
        self.context.item(item).await
    }

    fn write(&mut self, found: &windlass_catalog::Found) -> Result<()> {
        use std::io::Write as _;
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let mut row = serde_json::to_value(found).unwrap_or_default();
        row["service"] = Value::String(self.summary.service.clone());
        writeln!(sink, "{row}").map_err(|error| {
            Error::new(ErrorCode::LocalFailed, "cannot write the file of the sink").source(error)
        })
    }

    fn end(mut self, kept: Option<KeepSummary>, listed: u64) -> CrawlSummary {
        use std::io::Write as _;
        if let Some(sink) = &mut self.sink
            && let Err(error) = sink.flush()
        {
            self.context.event(Level::Error, format!("the file of the sink: {error}"));
            self.summary.partial = true;
        }
        let summary = &mut self.summary;
        summary.listed = listed;
        if let Some(kept) = kept {
            summary.new = kept.new;
            summary.changed = kept.changed;
            summary.same = kept.same;
            summary.back = kept.back;
            summary.not_seen = kept.not_seen;
            summary.deleted = kept.deleted;
            summary.refused = kept.refused.map(super::keep::Refused::message);
            summary.partial |= kept.not_seen > 0 || kept.refused.is_some();
        }
        self.summary
    }
}
