//! `serve`: the same verbs over HTTP and PostgreSQL's protocol, and the jobs.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::session::Session;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use windlass_server::pg::{PgOptions, PgServer};
use windlass_types::{Error, ErrorCode};

/// Answer over HTTP and PostgreSQL's protocol, and run jobs when their time comes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. On this machine:         windlass serve
  2. On a port of your own:   windlass serve --listen 127.0.0.1:9000
  3. Use it:                  windlass --server http://127.0.0.1:8650 ls landing:
  4. For psql and others:     windlass serve --pg 127.0.0.1:5432")]
pub struct Serve {
    /// Where to listen; loopback only, until people can sign in. Port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8650", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where people reach it, for links in alerts, if that is not where it listens: `https://host/path`
    #[arg(long, value_name = "URL", env = "WINDLASS_BASE_URL", hide_env_values = true)]
    pub base_url: Option<String>,
    /// Where clients of PostgreSQL's protocol come in, such as 127.0.0.1:5432. Port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub pg: Option<SocketAddr>,
    /// Lines `user:password`, readable by you only. Without it any user enters, on loopback
    #[arg(long, value_name = "FILE", requires = "pg")]
    pub pg_password_file: Option<PathBuf>,
    /// Certificates in PEM, the server's own first; for TLS with `--pg`
    #[arg(long, value_name = "FILE", requires = "pg")]
    pub pg_tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, value_name = "FILE", requires = "pg")]
    pub pg_tls_key: Option<PathBuf>,
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
    // What is wrong with it is said before anything is opened.
    let pg = match args.pg {
        None => None,
        Some(address) => {
            let options = PgOptions {
                password_file: args.pg_password_file,
                tls_certificate: args.pg_tls_cert,
                tls_key: args.pg_tls_key,
            };
            Some(PgServer::bind(address, &options).await?)
        }
    };
    let engine = session.engine().await?;
    let cannot = |error| {
        Error::new(ErrorCode::ServerListen, format!("cannot listen on `{}`", args.listen))
            .source(error)
            .hint("another program may use the port; give another with `--listen`")
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(cannot)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
    let given = args.base_url.as_deref().filter(|given| !given.is_empty());
    engine.reachable_at(given.unwrap_or(&url))?;
    let pg_address = pg.as_ref().map(PgServer::address).transpose()?;
    if session.global.output.is_json() {
        let mut line = serde_json::json!({ "listening": url });
        if let Some(address) = pg_address {
            line["pg"] = address.to_string().into();
        }
        session.console.line(&line.to_string())?;
        session.console.flush()?;
    } else {
        session.console.talk(&format!("windlass listens on {url} (Ctrl-C ends it)"));
        if let Some(address) = pg_address {
            session.console.talk(&format!(
                "PostgreSQL clients: psql -h {} -p {} -d default",
                address.ip(),
                address.port()
            ));
        }
    }
    // When the server stops, for whatever reason, so do the jobs; runs that go on are given back.
    let stop = session.cancel.child_token();
    let serve = async {
        let served = windlass_server::serve(engine.clone(), listener, stop.clone()).await;
        stop.cancel();
        served
    };
    let protocol = async {
        let Some(pg) = pg else { return Ok(()) };
        let served = pg.serve(engine.clone(), stop.clone()).await;
        stop.cancel();
        served
    };
    let (http, postgres, jobs) = tokio::join!(serve, protocol, engine.serve_jobs(stop.clone()));
    http?;
    postgres?;
    jobs?;
    Ok(Outcome::Done)
}
