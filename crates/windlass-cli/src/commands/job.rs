//! `job`: look at jobs, run them, read what their runs said.

use crate::commands::{Ending, sql};
use crate::session::Session;
use clap::{Args, Subcommand};
use futures::StreamExt as _;
use windlass_core::engine::Answer;
use windlass_core::json::objects;
use windlass_core::sql::text_literal;
use windlass_types::{Error, ErrorCode, Name, Result, RunId};

/// Look at jobs, run them, read what their runs said.
#[derive(Debug, Args)]
#[command(after_help = "Jobs are made by CREATE JOB; `windlass sql` and the SQL reference have it.

Examples:
  1. Make one:      windlass sql -c \"CREATE JOB nightly EVERY DAY AT '02:00' AS SYNC FILES FROM landing LOCATION = 'in/' TO disk LOCATION = 'in/'\"
  2. Run it now:    windlass job run nightly
  3. What failed:   windlass job logs nightly --failed")]
pub struct Job {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the jobs
    #[command(after_help = "Examples:
  1. All:            windlass job list
  2. For programs:   windlass job list -o json")]
    List,
    /// Show what is known of a job; secrets are masked
    #[command(after_help = "Examples:
  1. Its properties:               windlass job show nightly
  2. The statement that makes it:  windlass job show nightly --sql")]
    Show {
        /// The job
        name: Name,
        /// Print the statement that makes it
        #[arg(long)]
        sql: bool,
    },
    /// Run a job now and wait; exit 1 when the run fails, 3 when some items failed
    #[command(after_help = "Examples:
  1. Run and wait:   windlass job run nightly
  2. In a script:    windlass -o json job run nightly || windlass job logs nightly")]
    Run {
        /// The job
        name: Name,
    },
    /// Let no trigger start a job
    Pause {
        /// The job
        name: Name,
    },
    /// Let the trigger of a paused job start it again
    Resume {
        /// The job
        name: Name,
    },
    /// Stop the runs of a job, or one run
    #[command(after_help = "Examples:
  1. Every run of a job:  windlass job cancel nightly
  2. One run:             windlass job cancel rn_01997e6d0000700080000000000000a1")]
    Cancel {
        /// The job, or the id of a run
        what: String,
    },
    /// List runs, the latest first: of a job, or all
    #[command(after_help = "Examples:
  1. All:            windlass job runs
  2. Of one job:     windlass job runs nightly --limit 5")]
    Runs {
        /// The job
        name: Option<Name>,
        /// Most runs
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Show what a run said: the latest of a job, or the one of this id
    #[command(after_help = "Examples:
  1. The latest run of a job:  windlass job logs nightly
  2. What failed in it:        windlass job logs nightly --failed
  3. One run:                  windlass job logs rn_01997e6d0000700080000000000000a1 --items")]
    Logs {
        /// The job, or the id of a run
        what: String,
        /// Its files instead: all that failed, and the first 10,000 others
        #[arg(long, conflicts_with = "failed")]
        items: bool,
        /// The files that failed instead
        #[arg(long)]
        failed: bool,
    },
}

/// `job`.
pub async fn run(session: &Session, args: Job) -> Ending {
    let statement = match args.verb {
        Verb::List => {
            "SELECT name, state, \"trigger\", next_run_at, last_state, last_finished_at FROM system.jobs ORDER BY name"
                .to_owned()
        }
        Verb::Show { name, sql: false } => format!("DESCRIBE JOB {name}"),
        Verb::Show { name, sql: true } => format!("SHOW CREATE JOB {name}"),
        Verb::Run { name } => format!("RUN JOB {name}"),
        Verb::Pause { name } => format!("PAUSE JOB {name}"),
        Verb::Resume { name } => format!("RESUME JOB {name}"),
        Verb::Cancel { what } => match what.parse::<RunId>() {
            Ok(run) => format!("CANCEL RUN '{run}'"),
            Err(_) => format!("CANCEL JOB {}", Name::parse(&what)?),
        },
        Verb::Runs { name, limit } => {
            if let Some(name) = &name {
                check_job(session, name).await?;
            }
            let of = name.map_or_else(String::new, |name| {
                format!("WHERE job = {} ", text_literal(name.as_str()))
            });
            format!(
                "SELECT id, job, state, cause, started_at, seconds, copied, updated, deleted, skipped, failed, bytes, message FROM system.runs {of}ORDER BY scheduled_for DESC LIMIT {limit}"
            )
        }
        Verb::Logs { what, items, failed } => {
            let run = if let Ok(run) = what.parse::<RunId>() {
                check_run(session, run).await?;
                Some(run)
            } else {
                let name = Name::parse(&what)?;
                check_job(session, &name).await?;
                latest_run(session, &name).await?
            };
            logs(run, items, failed)
        }
    };
    sql::execute(session, &session.printer, &mut session.ctx(), &statement, false).await
}

/// How many rows a query has; an error of what it asks for.
async fn rows(session: &Session, text: &str) -> Result<usize> {
    let engine = session.engine().await?;
    let mut ctx = session.ctx();
    let mut answers = engine.sql(&mut ctx, text);
    let mut rows = 0;
    while let Some(answer) = answers.next().await {
        let Answer::Rows { mut batches, .. } = answer? else { continue };
        while let Some(batch) = batches.next().await {
            rows += batch?.num_rows();
        }
    }
    Ok(rows)
}

/// An error unless there is such a job, or was when it ran.
async fn check_job(session: &Session, name: &Name) -> Result<()> {
    let job = text_literal(name.as_str());
    if rows(session, &format!("SELECT id FROM system.runs WHERE job = {job} LIMIT 1")).await? == 0 {
        rows(session, &format!("DESCRIBE JOB {name}")).await?;
    }
    Ok(())
}

/// An error unless there is such a run.
async fn check_run(session: &Session, run: RunId) -> Result<()> {
    if rows(session, &format!("SELECT id FROM system.runs WHERE id = '{run}'")).await? > 0 {
        return Ok(());
    }
    Err(Error::new(ErrorCode::RunNotFound, format!("no run `{run}`"))
        .hint("`windlass job runs` lists them"))
}

/// The latest run of a job; None if there is none yet.
async fn latest_run(session: &Session, name: &Name) -> Result<Option<RunId>> {
    let text = format!(
        "SELECT id FROM system.runs WHERE job = {} ORDER BY scheduled_for DESC LIMIT 1",
        text_literal(name.as_str())
    );
    let engine = session.engine().await?;
    let mut ctx = session.ctx();
    let mut answers = engine.sql(&mut ctx, &text);
    let mut found = None;
    while let Some(answer) = answers.next().await {
        let Answer::Rows { mut batches, .. } = answer? else { continue };
        while let Some(batch) = batches.next().await {
            for row in objects(&batch?)? {
                found = row["id"].as_str().and_then(|id| id.parse().ok());
            }
        }
    }
    Ok(found)
}

/// The statement that shows what a run said. Its id stands there as text, so that all of its rows are
/// read, and no others; of no run there are none.
fn logs(run: Option<RunId>, items: bool, failed: bool) -> String {
    let run = run.map_or_else(|| "''".to_owned(), |run| format!("'{run}'"));
    let columns = "action, source, destination, size, status, reason, code, hint";
    match (items, failed) {
        (_, true) => format!(
            "SELECT {columns} FROM system.run_items WHERE run = {run} AND status = 'failed'"
        ),
        (true, false) => format!("SELECT {columns} FROM system.run_items WHERE run = {run}"),
        (false, false) => {
            format!(
                "SELECT at, level, message FROM system.run_events WHERE run = {run} ORDER BY at"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_name_their_run_as_text() {
        let id = RunId::new();
        assert!(logs(Some(id), true, false).ends_with(&format!("run = '{id}'")));
        assert!(
            logs(Some(id), false, true).contains(&format!("run = '{id}' AND status = 'failed'"))
        );
        assert!(logs(None, false, false).contains("run = '' "));
    }
}
