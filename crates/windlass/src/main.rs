//! The one binary: arguments to wiring. Composition root, nothing else.

use mimalloc::MiMalloc;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;
use windlass_cli::remote::Remote;
use windlass_cli::{DemoParts, OpenRequest, Wiring};
use windlass_core::engine::Engine;
use windlass_core::{Settings, Windlass};
use windlass_testkit::{TestS3, TestS3Options, sample};
use windlass_types::{Error, ErrorCode, Result};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Where the demo's engine finds the secret key of the demo's service.
const DEMO_SECRET: &str = "DEMO_SECRET";

/// What is waited for at the end.
const ENDING: Duration = Duration::from_secs(2);

fn main() {
    if let Ok(shell) = std::env::var(windlass_cli::complete::VARIABLE)
        && !shell.is_empty()
    {
        complete(&shell);
    }
    let cli = match windlass_cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => exit(code.into()),
    };
    log();
    let wiring = Wiring::new(open).with_demo(demo);
    let runtime = runtime(cli.queries());
    let code = runtime.block_on(windlass_cli::run(cli, wiring));
    // Tasks clean up behind them. A thread may still wait for standard input, or be busy with a query
    // that was given up: it must not keep the process.
    runtime.shutdown_timeout(ENDING);
    exit(code.into());
}

/// Answers the script of a shell.
fn complete(shell: &str) -> ! {
    let answer = windlass_cli::complete::complete(shell, std::env::args_os(), Wiring::new(open));
    exit(runtime(false).block_on(answer).into());
}

/// Where all runs. `queries`: one thread more than processors, so that timers, sockets and signals are
/// heard while a join keeps every other one busy without a pause.
fn runtime(queries: bool) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if queries && let Ok(processors) = std::thread::available_parallelism() {
        builder.worker_threads(processors.get() + 1);
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error[internal]: cannot start the runtime: {error}");
            exit(2);
        }
    }
}

/// Logs go to standard error, only when `WINDLASS_LOG` asks for them. The libraries that sign and
/// send requests print whole headers below INFO, secrets among them: those are never shown.
fn log() {
    use tracing_subscriber::filter::{FilterExt as _, filter_fn};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;
    let Ok(filter) = std::env::var("WINDLASS_LOG") else { return };
    let ours_or_calm = filter_fn(|meta| {
        let wire = ["aws_", "hyper", "h2", "rustls", "reqwest", "sqlx"]
            .iter()
            .any(|name| meta.target().starts_with(name));
        !wire || *meta.level() <= tracing_subscriber::filter::LevelFilter::INFO
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(tracing_subscriber::EnvFilter::new(filter).and(ours_or_calm));
    tracing_subscriber::registry().with(layer).init();
}

async fn open(request: OpenRequest) -> Result<Arc<dyn Engine>> {
    if let Some(url) = request.server {
        return Ok(Arc::new(Remote::new(&url)?));
    }
    let environment = Arc::new(|name: &str| std::env::var(name).ok());
    let settings = Settings::from_environment(request.home.as_deref(), environment)?;
    Ok(Arc::new(Windlass::open(settings).await?))
}

/// An S3 service with sample data, and an engine with a home of its own.
async fn demo() -> Result<DemoParts> {
    let folder = tempfile::Builder::new().prefix("windlass-demo-").tempdir().map_err(|error| {
        Error::new(ErrorCode::HomeInvalid, "cannot create a temporary folder for the demo")
            .source(error)
    })?;
    let service = TestS3::start_with(TestS3Options {
        identities: sample::demo_identities(),
        ..TestS3Options::default()
    })
    .await;
    sample::fill(service.state());
    let (key, secret) = (sample::DEMO_ACCESS_KEY_ID.to_owned(), sample::DEMO_SECRET_ACCESS_KEY);
    let environment = Arc::new(move |name: &str| (name == DEMO_SECRET).then(|| secret.to_owned()));
    let settings =
        Settings::from_environment(Some(Path::new(&folder.path().join("home"))), environment)?;
    let copies = folder.path().join("copies");
    std::fs::create_dir(&copies).map_err(|error| {
        Error::new(ErrorCode::HomeInvalid, "cannot create a temporary folder for the demo")
            .source(error)
    })?;
    Ok(DemoParts {
        engine: Arc::new(Windlass::open(settings).await?),
        endpoint: service.endpoint(),
        access_key_id: key,
        secret_variable: DEMO_SECRET.to_owned(),
        folder: copies,
        keep: Box::new((service, folder)),
    })
}
