//! The tour: real commands on an S3 service in this process, as a person would type them.
//!
//! Nothing is staged: each step is parsed and run like any command, and what it prints is its
//! answer. A step that should fail and does not, or the other way round, fails the demo.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::session::Session;
use crate::{DemoParts, Wiring, parse, run_on};
use std::ffi::OsString;
use tokio_util::sync::CancellationToken;
use windlass_types::{Error, ErrorCode};

/// One command of the tour.
struct Step {
    /// What it shows.
    title: &'static str,
    /// Arguments after `windlass`.
    arguments: Vec<String>,
    /// How it should end.
    exit: u8,
}

fn step(title: &'static str, arguments: &[&str]) -> Step {
    Step { title, arguments: arguments.iter().map(|a| (*a).to_owned()).collect(), exit: 0 }
}

fn refused(title: &'static str, arguments: &[&str]) -> Step {
    Step { exit: 1, ..step(title, arguments) }
}

fn steps(parts: &DemoParts) -> Vec<Step> {
    let DemoParts { endpoint, access_key_id: key, secret_variable: variable, .. } = parts;
    let folder = parts.folder.display().to_string();
    let secret = format!("CREATE SECRET demo_key FROM ENV '{variable}'");
    let connect = |name: &str, more: &str| {
        format!(
            "CREATE S3 CONNECTION {name} ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE AWS_ACCESS_KEY_ID = '{key}' AWS_SECRET_ACCESS_KEY = SECRET demo_key {more}"
        )
    };
    let nightly = format!(
        "CREATE LOCAL CONNECTION disk ROOT = '{folder}'; CREATE JOB nightly SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Paris' AS SYNC FILES FROM landing LOCATION = 's3://acme-landing/orders/' TO disk LOCATION = 'orders/' DELETE = TRUE"
    );
    vec![
        step("Keep the secret key once, sealed.", &["sql", "-c", &secret]),
        step(
            "Define a connection. It is tested before it is stored.",
            &[
                "sql",
                "-c",
                &connect(
                    "landing",
                    "PATH_DISPLAY_FILTERS = ('s3://acme-landing/', 's3://acme-archive/') COMMENT = 'raw drops'",
                ),
            ],
        ),
        step("Test it, step by step.", &["connection", "test", "landing"]),
        step("Browse it.", &["ls", "landing:"]),
        step("Folder by folder.", &["ls", "landing:acme-landing/"]),
        step("One day of orders.", &["ls", "landing:acme-landing/orders/dt=2026-11-02/"]),
        step(
            "What is known of one object.",
            &["stat", "landing:acme-landing/raw/orders/2026-11-01.csv"],
        ),
        step(
            "Its first lines.",
            &["head", "-n", "3", "landing:acme-landing/raw/orders/2026-11-01.csv"],
        ),
        step(
            "Query Parquet files; `dt` comes from their paths.",
            &[
                "sql",
                "-c",
                "SELECT dt, count(*) AS orders, sum(amount) AS total FROM landing.\"acme-landing/orders/\" GROUP BY dt ORDER BY dt",
            ],
        ),
        step(
            "Query compressed JSON lines.",
            &["sql", "-c", "SELECT * FROM landing.\"acme-landing/events/\" LIMIT 3"],
        ),
        step(
            "Name files as a table, and use the name.",
            &[
                "sql",
                "-c",
                "CREATE FILE TABLE raw_orders ON landing LOCATION = 's3://acme-landing/raw/orders/'; SELECT country, count(*) AS orders FROM raw_orders GROUP BY country ORDER BY orders DESC LIMIT 3",
            ],
        ),
        step(
            "Copy to this machine, verified.",
            &["cp", "landing:acme-landing/images/", &format!("{folder}/images/")],
        ),
        step(
            "Copy inside the service: no byte comes here.",
            &["cp", "landing:acme-landing/orders/", "landing:acme-archive/orders/"],
        ),
        step("How much is there now?", &["du", "landing:acme-archive/"]),
        step(
            "Do both sides agree?",
            &["diff", "landing:acme-landing/orders/", "landing:acme-archive/orders/"],
        ),
        step(
            "Keep a folder of this machine like it: only what differs is written.",
            &["sync", "--delete", "landing:acme-landing/orders/", &format!("{folder}/orders/")],
        ),
        step("The same as a job: every night, with a history.", &["sql", "-c", &nightly]),
        step("Run it now.", &["job", "run", "nightly"]),
        step("What is to come, and what was.", &["job", "list"]),
        step(
            "Catalogue what is there: tables are found by their keys, columns from the files.",
            &["sql", "-c", "CRAWL landing BUCKETS = ('acme-landing')"],
        ),
        step(
            "Find a table by what its columns are called.",
            &["sql", "-c", "SEARCH 'customer amount'"],
        ),
        step(
            "Where did the archive come from?",
            &["sql", "-c", "SHOW LINEAGE OF 'landing:acme-archive/orders' UPSTREAM"],
        ),
        step(
            "Let somebody read one file for an hour.",
            &["presign", "--expires", "1h", "landing:acme-landing/raw/orders/2026-11-01.csv"],
        ),
        refused(
            "What these credentials may not read says so, and what to ask for.",
            &["cat", "landing:acme-private/salaries/2026.csv"],
        ),
        refused(
            "A connection that does not work is not stored.",
            &["sql", "-c", &connect("broken", "BUCKET = 'acme-landin'")],
        ),
        step(
            "The least IAM policy for what you do with it.",
            &["policy", "landing", "--for", "read"],
        ),
        step("What is defined.", &["sql", "-c", "SHOW CONNECTIONS LIKE 'land%'"]),
    ]
}

/// As a shell would need it.
fn shown(arguments: &[String]) -> String {
    let mut line = String::from("windlass");
    for argument in arguments {
        line.push(' ');
        let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c));
        if plain && !argument.is_empty() {
            line.push_str(argument);
        } else if argument.contains('\'') && !argument.contains(['"', '$', '`', '\\', '!']) {
            line.push('"');
            line.push_str(argument);
            line.push('"');
        } else {
            line.push('\'');
            line.push_str(&argument.replace('\'', "'\\''"));
            line.push('\'');
        }
    }
    line
}

/// Runs the tour; with `prompt` opens a prompt on its data afterwards.
pub async fn run(session: &Session, prompt: bool) -> Ending {
    let parts = session.wiring.open_demo().await?;
    let console = &session.console;
    console.line(
        "An S3 service with sample data runs inside this process; the home is a new, empty folder.",
    )?;
    for step in steps(&parts) {
        console.line(&format!("\n# {}\n$ {}", step.title, shown(&step.arguments)))?;
        let code = run_one(session, &parts, &step.arguments).await?;
        if code != step.exit {
            return Err(Error::new(
                ErrorCode::Internal,
                format!("the step should have ended with exit code {}, not {code}", step.exit),
            )
            .hint("this is a bug of the demo; please report what it printed")
            .into());
        }
    }
    if prompt {
        console.line("\nYour turn: statements end with `;`, `\\?` helps, `\\q` leaves.")?;
        run_one(session, &parts, &["sql".to_owned()]).await?;
        return Ok(Outcome::Done);
    }
    console.line(
        "\nNow with your own data:\n  windlass demo --prompt                                  type statements on the sample data\n  windlass sql -c \"CREATE S3 CONNECTION mine\"             the AWS credentials this machine has\n  windlass connection test mine\n  windlass ls mine:\n  windlass --help",
    )?;
    Ok(Outcome::Done)
}

async fn run_one(
    session: &Session,
    parts: &DemoParts,
    arguments: &[String],
) -> Result<u8, crate::Failure> {
    session.console.flush()?;
    let all =
        std::iter::once("windlass").chain(arguments.iter().map(String::as_str)).map(OsString::from);
    let Ok(mut cli) = parse(all) else {
        return Err(Error::new(ErrorCode::Internal, "a step of the demo is not a command").into());
    };
    cli.global.no_progress = true;
    let engine = parts.engine.clone();
    let wiring = Wiring::new(move |_| {
        let engine = engine.clone();
        async move { Ok(engine) }
    });
    let cancel: CancellationToken = session.cancel.child_token();
    // Boxed: running a command inside a command is a recursive future.
    let future: futures::future::LocalBoxFuture<'_, u8> =
        Box::pin(run_on(cli, wiring, session.console.clone(), cancel));
    Ok(future.await)
}
