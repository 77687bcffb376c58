//! `serve`: the same verbs over HTTP, and the jobs.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::session::Session;
use clap::Args;
use std::net::SocketAddr;
use windlass_types::{Error, ErrorCode};

/// Answer over HTTP, and run jobs when their time comes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. On this machine:         windlass serve
  2. On a port of your own:   windlass serve --listen 127.0.0.1:9000
  3. Use it:                  windlass --server http://127.0.0.1:8650 ls landing:")]
pub struct Serve {
    /// Where to listen; loopback only, until people can sign in. Port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8650", value_name = "ADDR")]
    pub listen: SocketAddr,
}

/// `serve`.
pub async fn run(session: &Session, args: Serve) -> Ending {
    if !args.listen.ip().is_loopback() {
        return Err(Error::new(
            ErrorCode::ServerListen,
            format!("`{}` could be reached by others, and nobody can sign in yet", args.listen),
        )
        .hint("listen on `127.0.0.1` and reach it through a tunnel, such as `ssh -L`")
        .into());
    }
    let engine = session.engine().await?;
    let cannot = |error| {
        Error::new(ErrorCode::ServerListen, format!("cannot listen on `{}`", args.listen))
            .source(error)
            .hint("another program may use the port; give another with `--listen`")
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    if session.global.output.is_json() {
        session.console.line(&serde_json::json!({ "listening": url }).to_string())?;
        session.console.flush()?;
    } else {
        session.console.talk(&format!("windlass listens on {url} (Ctrl-C ends it)"));
    }
    // When the server stops, for whatever reason, so do the jobs; runs that go on are given back.
    let stop = session.cancel.child_token();
    let serve = async {
        let served = windlass_server::serve(engine.clone(), listener, stop.clone()).await;
        stop.cancel();
        served
    };
    let (served, jobs) = tokio::join!(serve, engine.serve_jobs(stop.clone()));
    served?;
    jobs?;
    Ok(Outcome::Done)
}
