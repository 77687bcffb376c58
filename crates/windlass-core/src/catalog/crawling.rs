//! Statements of crawls: CRAWL, EXPLAIN CRAWL, SHOW MANIFEST.

use super::crawl::{CrawlSummary, CrawlWork};
use super::kind::CRAWL;
use crate::engine::{Answer, Ctx, Grade};
use crate::jobs::ended;
use crate::rows::{self, Columns, Kind};
use crate::windlass::Windlass;
use windlass_catalog::crawl::{Event, Status};
use windlass_jobs::OneOff;
use windlass_sql::{CrawlStatement, Statement};
use windlass_state::FabricRow as Fabric;
use windlass_types::{Name, Result, RunState};

/// The summary of a crawl as a row.
const SUMMARY: Columns = &[
    ("run", Kind::Text),
    ("service", Kind::Text),
    ("found", Kind::Integer),
    ("new", Kind::Integer),
    ("changed", Kind::Integer),
    ("same", Kind::Integer),
    ("back", Kind::Integer),
    ("not_seen", Kind::Integer),
    ("deleted", Kind::Integer),
    ("skipped", Kind::Integer),
    ("failed", Kind::Integer),
    ("refused", Kind::Text),
    ("published", Kind::Integer),
    ("warnings", Kind::Integer),
    ("reason", Kind::Text),
];

/// What a crawl would find.
const EXPLAIN: Columns = &[
    ("bucket", Kind::Text),
    ("path", Kind::Text),
    ("kind", Kind::Text),
    ("formats", Kind::Text),
    ("is_partitioned", Kind::Bool),
    ("object_count", Kind::Integer),
    ("size", Kind::Integer),
    ("why", Kind::Text),
];

const MANIFESTS: Columns = &[("bucket", Kind::Text), ("key", Kind::Text), ("manifest", Kind::Text)];

impl Windlass {
    /// CRAWL, at once.
    pub(crate) async fn run_crawl(
        &self,
        fabric: &Fabric,
        ctx: &Ctx,
        statement: CrawlStatement,
    ) -> Result<Answer> {
        let work = CrawlWork::from(&statement);
        // What is wrong with the statement itself is an error, not a failed run.
        work.plan()?;
        self.connection(fabric, &work.connection).await?;
        if let Some(name) = work.publish_to()? {
            self.publish_target(fabric.id, &name).await?;
        }
        let definition = Statement::Crawl(statement).to_string();
        let what = OneOff::new(CRAWL, fabric.id, definition, work.to_payload()?);
        let run = self.scheduler().start(what, None).await?;
        let row = if ctx.remote {
            self.scheduler().wait(run).await?
        } else {
            self.wait_or_stop(run).await?
        };
        let partial = row.state == RunState::Partial;
        let summary = ended::<CrawlSummary>(row)?;
        let cells = vec![
            run.to_string().into(),
            summary.service.into(),
            summary.found.into(),
            summary.new.into(),
            summary.changed.into(),
            summary.same.into(),
            summary.back.into(),
            summary.not_seen.into(),
            summary.deleted.into(),
            summary.skipped.into(),
            summary.failed.into(),
            summary.refused.into(),
            summary.published.into(),
            summary.warnings.into(),
            summary.reason.into(),
        ];
        rows::answer(SUMMARY, &[cells], if partial { Grade::Partial } else { Grade::Good })
    }

    /// EXPLAIN CRAWL: what would be found by names alone, what is left out, and why.
    pub(crate) async fn explain(
        &self,
        fabric: &Fabric,
        statement: CrawlStatement,
    ) -> Result<Answer> {
        let ready = self.crawl_ready(fabric.id, &CrawlWork::from(&statement)).await?;
        let mut all: Vec<(String, String, Vec<rows::Cell>)> = Vec::new();
        for event in self.explain_crawl(ready).await? {
            match event {
                Event::Found(found) => {
                    let kind = serde_json::to_value(found.kind).unwrap_or_default();
                    let cells = vec![
                        found.bucket.clone().into(),
                        found.path.clone().into(),
                        kind.as_str().unwrap_or_default().into(),
                        Some(found.formats.join(", ")).filter(|text| !text.is_empty()).into(),
                        rows::Cell::Bool(found.partitioned),
                        found.figures.objects.into(),
                        found.figures.size.into(),
                        found.why.join("; ").into(),
                    ];
                    all.push((found.bucket, found.path, cells));
                }
                Event::Told(told) => {
                    let kind = match told.status {
                        Status::Skipped => "skipped",
                        Status::Failed => "failed",
                        Status::Warning => "warning",
                    };
                    let cells = vec![
                        told.bucket.clone().into(),
                        told.path.clone().into(),
                        kind.into(),
                        rows::Cell::Text(None),
                        rows::Cell::Bool(None),
                        None::<u64>.into(),
                        None::<u64>.into(),
                        told.reason.into(),
                    ];
                    all.push((told.bucket, told.path, cells));
                }
                Event::Listed(_) | Event::Planned(_) => {}
            }
        }
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let cells: Vec<Vec<rows::Cell>> = all.into_iter().map(|(.., cells)| cells).collect();
        rows::answer(EXPLAIN, &cells, Grade::Good)
    }

    /// SHOW MANIFEST FOR CONNECTION: of each bucket the manifest that says what was found in it.
    pub(crate) async fn show_manifest(&self, fabric: &Fabric, connection: Name) -> Result<Answer> {
        let work = CrawlWork { connection, options: windlass_types::OptionMap::new() };
        let ready = self.crawl_ready(fabric.id, &work).await?;
        let world = super::world::Reached::new(ready.opened, None);
        let found = windlass_catalog::crawl::manifests(&ready.plan, &world).await?;
        let cells: Vec<Vec<rows::Cell>> = found
            .into_iter()
            .map(|(bucket, text)| {
                vec![bucket.into(), windlass_catalog::manifest::FILE.into(), text.into()]
            })
            .collect();
        rows::answer(MANIFESTS, &cells, Grade::Good)
    }
}
