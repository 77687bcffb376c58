//! `crawl`: look at what is there, and keep it in the catalogue.

use crate::commands::{Ending, sql, text_of};
use crate::failure::Outcome;
use crate::session::Session;
use clap::Args;
use futures::StreamExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass_core::engine::{Answer, WorkflowFile};
use windlass_core::sql::text_literal;
use windlass_core::value::text;
use windlass_types::Name;

/// Time between two lines of progress.
const PAUSE: Duration = Duration::from_secs(3);

/// Look at what is there, and keep it in the catalogue.
#[derive(Debug, Args)]
#[command(
    after_help = "A connection is crawled with all its buckets, with and without manifests. A workflow file of
OpenMetadata is crawled as it is: tables that no manifest names are found only with --discover.
Exit 3 when something could not be read; with a file as its successThreshold and raiseOnError say.

Examples:
  1. A connection:        windlass crawl landing
  2. What would be found: windlass crawl landing --explain
  3. Some of it:          windlass crawl landing --include 'sales/**' --exclude-bucket 'tmp-*'
  4. A workflow file:     windlass crawl -c workflow.yaml
  5. What was found:      windlass sql -c 'SHOW CONTAINERS'"
)]
#[allow(clippy::struct_excessive_bools, reason = "switches of one command, each for itself")]
pub struct Crawl {
    /// The connection
    #[arg(required_unless_present = "config", conflicts_with = "config")]
    pub connection: Option<Name>,
    /// A workflow file of OpenMetadata: .yaml, .yml or .json
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show what would be found, by names alone
    #[arg(long, conflicts_with = "config")]
    pub explain: bool,
    /// Only these buckets (repeatable)
    #[arg(long, value_name = "GLOB", conflicts_with = "config")]
    pub bucket: Vec<String>,
    /// Never these buckets (repeatable)
    #[arg(long, value_name = "GLOB", conflicts_with = "config")]
    pub exclude_bucket: Vec<String>,
    /// Only containers at or below these paths (repeatable)
    #[arg(long, value_name = "GLOB", conflicts_with = "config")]
    pub include: Vec<String>,
    /// Never containers at or below these paths (repeatable)
    #[arg(long, value_name = "GLOB", conflicts_with = "config")]
    pub exclude: Vec<String>,
    /// Read tags
    #[arg(long, conflicts_with = "config")]
    pub tags: bool,
    /// Publish it to the OpenMetadata server of this HTTP connection
    #[arg(long, value_name = "CONNECTION", conflicts_with_all = ["config", "explain"])]
    pub publish_to: Option<Name>,
    /// Of a workflow file: find tables that no manifest names
    #[arg(long, requires = "config")]
    pub discover: bool,
    /// Read files also of containers in which nothing changed
    #[arg(long)]
    pub full: bool,
    /// Mark what is gone also if it is more than 30 of a hundred containers
    #[arg(long)]
    pub allow_mass_delete: bool,
}

fn list(name: &str, values: &[String]) -> String {
    match values {
        [] => String::new(),
        values => {
            let values: Vec<String> = values.iter().map(|value| text_literal(value)).collect();
            format!(" {name} = ({})", values.join(", "))
        }
    }
}

fn statement(name: &Name, args: &Crawl) -> String {
    let mut text = format!("{}CRAWL {name}", if args.explain { "EXPLAIN " } else { "" });
    for (option, values) in [
        ("BUCKETS", &args.bucket),
        ("EXCLUDE_BUCKETS", &args.exclude_bucket),
        ("INCLUDE", &args.include),
        ("EXCLUDE", &args.exclude),
    ] {
        text.push_str(&list(option, values));
    }
    for (option, set) in
        [("TAGS", args.tags), ("FULL", args.full), ("ALLOW_MASS_DELETE", args.allow_mass_delete)]
    {
        if set {
            text.push(' ');
            text.push_str(option);
            text.push_str(" = TRUE");
        }
    }
    if let Some(server) = &args.publish_to {
        text.push_str(" PUBLISH_TO = ");
        text.push_str(&text_literal(server.as_str()));
    }
    text
}

/// `crawl`.
pub async fn run(session: &Session, args: Crawl) -> Ending {
    if let Some(name) = &args.connection {
        let text = statement(name, &args);
        let mut ctx = session.ctx();
        let crawled = sql::execute(session, &session.printer, &mut ctx, &text, false);
        let outcome = watched(session, crawled).await?;
        if outcome == Outcome::Partial {
            let hint = "hint: `windlass job logs RUN --failed`, with the id in the column `run`, shows what failed";
            session.console.talk(hint);
        }
        return Ok(outcome);
    }
    let path = args.config.clone().unwrap_or_default();
    let text = text_of(&path).await?;
    let file = WorkflowFile {
        name: path.display().to_string(),
        text,
        discover: args.discover,
        allow_mass_delete: args.allow_mass_delete,
        full: args.full,
    };
    let engine = session.engine().await?;
    let ctx = session.ctx();
    let crawled = engine.crawl_workflow(&ctx, file, session.cancel.clone());
    let end = watched(session, crawled).await?;
    let count = |name: &str| end.summary.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let said = |name: &str| end.summary.get(name).and_then(serde_json::Value::as_str).unwrap_or("");
    let mut answer = end.summary.clone();
    answer["run"] = serde_json::Value::String(end.run.clone());
    if session.global.output.is_json() {
        session.console.line(&answer.to_string())?;
    } else {
        session.console.line(&format!(
            "{} containers of {} found: {} new, {} changed, {} as they were, {} back, {} not seen, {} gone; {} skipped, {} failed ({})",
            count("found"), said("service"), count("new"), count("changed"), count("same"), count("back"),
            count("not_seen"), count("deleted"), count("skipped"), count("failed"), end.run
        ))?;
    }
    if !said("refused").is_empty() {
        session
            .console
            .talk(&format!("warning: {}; --allow-mass-delete allows it", said("refused")));
    }
    if count("failed") > 0 || count("not_seen") > 0 {
        session
            .console
            .talk(&format!("hint: `windlass job logs {} --failed` shows what failed", end.run));
    }
    if count("warnings") > 0 {
        let number = count("warnings");
        session
            .console
            .talk(&format!("{number} warnings: `windlass job logs {}` has them", end.run));
    }
    if let Some(published) = end.summary.get("published").and_then(serde_json::Value::as_u64) {
        session.console.talk(&format!("{published} containers were published"));
    }
    if end.failed {
        return Ok(Outcome::Failed);
    }
    Ok(if end.partial { Outcome::Partial } else { Outcome::Done })
}

/// Does `work`, and says every few seconds how far the crawl is.
async fn watched<T>(session: &Session, work: impl Future<Output = T>) -> T {
    if !session.shows_progress() {
        return work.await;
    }
    let told = futures::stream::unfold(Instant::now(), |began| async move {
        tokio::time::sleep(PAUSE).await;
        Some((how_far(session, began).await, began))
    });
    let (mut work, mut told) = (std::pin::pin!(work), std::pin::pin!(told));
    loop {
        tokio::select! {
            biased;
            end = &mut work => return end,
            Some(line) = told.next() => if let Some(line) = line {
                session.console.talk(&line);
            },
        }
    }
}

/// What the crawl that began last has done; None before it has anything to say.
async fn how_far(session: &Session, began: Instant) -> Option<String> {
    const LAST: &str = "SELECT done_items, planned_items FROM system.runs
        WHERE kind = 'crawl' AND state = 'running' ORDER BY started_at DESC LIMIT 1";
    let (engine, mut ctx) = (session.engine().await.ok()?, session.ctx());
    let Ok(Answer::Rows { mut batches, .. }) = engine.sql(&mut ctx, LAST).next().await? else {
        return None;
    };
    let batch = batches.next().await?.ok().filter(|batch| batch.num_rows() == 1)?;
    let number = |at: usize| text(batch.column(at).as_ref(), 0)?.parse::<u64>().ok();
    Some(progress_line(number(0)?, number(1), began.elapsed()))
}

fn progress_line(done: u64, planned: Option<u64>, elapsed: Duration) -> String {
    match planned {
        None => format!("listing, {} s", elapsed.as_secs()),
        // Buckets are containers too, and are not planned.
        Some(planned) if done == 0 || planned <= done => {
            format!("{done} of {} containers", planned.max(done))
        }
        Some(planned) => {
            let left = elapsed.as_secs() * (planned - done) / done;
            format!("{done} of {planned} containers, {left} s left")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_an_estimate_once_there_is_one() {
        let line = |done, planned| progress_line(done, planned, Duration::from_secs(10));
        assert_eq!(line(0, None), "listing, 10 s");
        assert_eq!(line(0, Some(40)), "0 of 40 containers");
        assert_eq!(line(10, Some(40)), "10 of 40 containers, 30 s left");
        assert_eq!(line(41, Some(40)), "41 of 41 containers");
    }
}
