//! PostgreSQL's protocol: the same statements, for any program that speaks it.
//!
//! Every client has a session of its own. The crate gives messages, SCRAM and the codec; what is done
//! with a message is decided here, because its own handlers gather rows before they send them.

mod access;
mod cancel;
mod client;
mod encode;
mod literals;
mod params;
mod run;
mod said;
mod types;
mod wire;
mod words;

pub use access::PgOptions;

use access::Door;
use cancel::Running;
use client::Client;
use futures::{SinkExt as _, StreamExt as _};
use pgwire::api::auth::sasl::SASLState;
use pgwire::api::auth::sasl::scram::ScramAuth;
use pgwire::api::auth::{protocol_negotiation, save_startup_parameters_to_metadata};
use pgwire::api::{ClientInfo as _, PgWireConnectionState};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::startup::{Authentication, BackendKeyData, PasswordMessageFamily, SecretKey};
use pgwire::messages::{PgWireBackendMessage as Out, PgWireFrontendMessage as In};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Ctx, Engine};
use windlass_types::{Error, ErrorCode, Result};
use wire::Wire;

/// Clients at once.
const CLIENTS: usize = 200;
/// How long a client may take to come in.
const PATIENCE: Duration = Duration::from_mins(1);
const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_BOUND: &str = "SCRAM-SHA-256-PLUS";

/// A bound address where clients of PostgreSQL's protocol come in.
pub struct PgServer {
    listener: TcpListener,
    door: Door,
}

impl std::fmt::Debug for PgServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl PgServer {
    /// Binds an address. One that others can reach needs passwords and TLS.
    pub async fn bind(address: SocketAddr, options: &PgOptions) -> Result<Self> {
        let door = Door::new(address, options)?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::new(ErrorCode::ServerListen, format!("cannot listen on `{address}`"))
                .source(error)
                .hint("another program may use the port; give another with `--pg`")
        })?;
        Ok(Self { listener, door })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::new(ErrorCode::ServerListen, "the address is not known").source(error)
        })
    }

    /// Serves until `shutdown`; statements that run then are ended.
    pub async fn serve(self, engine: Arc<dyn Engine>, shutdown: CancellationToken) -> Result<()> {
        let running = Arc::new(Running::default());
        let door = Arc::new(self.door);
        let seats = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            let Ok((tcp, _)) = accepted else {
                // Out of file handles, or the client has gone already.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (engine, running) = (Arc::clone(&engine), Arc::clone(&running));
            let (door, shutdown) = (Arc::clone(&door), shutdown.clone());
            let seat = Arc::clone(&seats).try_acquire_owned().ok();
            tokio::spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = one(tcp, engine, running, &door, seat.is_some()) => {}
                }
                drop(seat);
            });
        }
    }
}

/// One connection, from its first byte to its last.
async fn one(
    tcp: TcpStream,
    engine: Arc<dyn Engine>,
    running: Arc<Running>,
    door: &Door,
    seat: bool,
) {
    let entered = tokio::time::timeout(PATIENCE, enter(tcp, engine, running, door, seat)).await;
    if let Ok(Some(mut client)) = entered {
        client.serve().await;
    }
}

/// Everything before the first statement. None: the connection is over.
async fn enter(
    tcp: TcpStream,
    engine: Arc<dyn Engine>,
    running: Arc<Running>,
    door: &Door,
    seat: bool,
) -> Option<Client> {
    let mut wire = match wire::greet(tcp, door).await {
        Ok(wire) => wire?,
        Err(error) => {
            tracing::debug!(error = %error, "a client could not be greeted");
            return None;
        }
    };
    let startup = match wire.next().await?.ok()? {
        In::CancelRequest(request) => {
            running.cancel(request.pid, &request.secret_key);
            return None;
        }
        In::Startup(startup) => startup,
        _ => return None,
    };
    let refusal = if !seat {
        Some(said::plain("FATAL", "53300", "there are too many clients", Some("close some")))
    } else if door.open && !wire.is_secure() {
        Some(said::plain(
            "FATAL",
            "28000",
            "TLS is required here",
            Some("connect with sslmode=require, or better verify-full"),
        ))
    } else {
        None
    };
    if let Some(info) = refusal {
        return refuse(wire, info).await;
    }
    if let Err(error) = protocol_negotiation(&mut wire, &startup).await {
        return refuse(wire, error.into()).await;
    }
    save_startup_parameters_to_metadata(&mut wire, &startup);
    wire.set_state(PgWireConnectionState::AuthenticationInProgress);
    if let Some(scram) = &door.scram
        && let Err(error) = prove(&mut wire, scram).await
    {
        let user = wire.metadata().get("user").cloned().unwrap_or_default();
        let info = match error {
            PgWireError::InvalidPassword(_) => said::plain(
                "FATAL",
                "28P01",
                format!("password authentication failed for user \"{user}\""),
                Some("the password file of the server names users and passwords"),
            ),
            PgWireError::IoError(_) => return None,
            other => other.into(),
        };
        return refuse(wire, info).await;
    }
    let ctx = match session(engine.as_ref(), wire.metadata()).await {
        Ok(ctx) => ctx,
        Err(error) => {
            let _ = wire.send(said::error(&error, true)).await;
            return None;
        }
    };
    let ticket = running.ticket()?;
    let key = BackendKeyData::new(ticket.pid, SecretKey::I32(ticket.secret));
    wire.feed(Out::Authentication(Authentication::Ok)).await.ok()?;
    let mut client = Client::new(wire, engine, ctx, ticket);
    client.tell_parameters().await.ok()?;
    client.wire.feed(Out::BackendKeyData(key)).await.ok()?;
    client.wire.set_state(PgWireConnectionState::ReadyForQuery);
    client.ready().await.ok()?;
    Some(client)
}

async fn refuse(mut wire: Wire, mut info: ErrorInfo) -> Option<Client> {
    "FATAL".clone_into(&mut info.severity);
    let _ = wire.send(Out::ErrorResponse(info.into())).await;
    None
}

/// Lets a client prove who it is.
async fn prove(wire: &mut Wire, scram: &ScramAuth) -> std::result::Result<(), PgWireError> {
    let mut ways = vec![SCRAM.to_owned()];
    if scram.supports_channel_binding() && wire.is_secure() {
        ways.insert(0, SCRAM_BOUND.to_owned());
    }
    wire.send(Out::Authentication(Authentication::SASL(ways.clone()))).await?;
    let mut state = SASLState::ScramClientFirstReceived;
    let mut first = true;
    while !matches!(state, SASLState::Finished) {
        let message = match wire.next().await {
            Some(Ok(In::PasswordMessageFamily(message))) => message,
            Some(Err(error)) => return Err(error),
            _ => return Err(PgWireError::IoError(std::io::ErrorKind::UnexpectedEof.into())),
        };
        let message = if std::mem::take(&mut first) {
            let initial = message.into_sasl_initial_response()?;
            if !ways.contains(&initial.auth_method) {
                return Err(PgWireError::UnsupportedSASLAuthMethod(initial.auth_method));
            }
            PasswordMessageFamily::SASLInitialResponse(initial)
        } else {
            PasswordMessageFamily::SASLResponse(message.into_sasl_response()?)
        };
        let (answer, next) = scram.process_scram_message(wire, message, &state).await?;
        wire.send(Out::Authentication(answer)).await?;
        state = next;
    }
    Ok(())
}

/// The session that a client's start-up message asks for.
async fn session(engine: &dyn Engine, startup: &HashMap<String, String>) -> Result<Ctx> {
    let user = startup.get("user").cloned().unwrap_or_default();
    let fabric = startup.get("database").filter(|name| !name.is_empty()).unwrap_or(&user);
    let mut ctx = Ctx {
        fabric: if fabric.is_empty() { "default".to_owned() } else { fabric.clone() },
        remote: true,
        user: Some(user.clone()),
        ..Ctx::default()
    };
    if let Err(error) = engine.connection_names(&ctx).await {
        return Err(match error.code() {
            ErrorCode::FabricNotFound | ErrorCode::NameInvalid => Error::new(
                ErrorCode::FabricNotFound,
                format!("database \"{}\" does not exist: there is no such fabric", ctx.fabric),
            )
            .hint("the database is a fabric; the first one is `default`"),
            _ => error,
        });
    }
    ctx.session.default_to("session_authorization", user);
    for (name, value) in startup {
        match name.as_str() {
            "user" | "database" | "replication" => {}
            "options" => {
                for (name, value) in options(value) {
                    ctx.session.set(&name, &value)?;
                }
            }
            // Options of the protocol itself.
            name if name.starts_with("_pq_.") => {}
            name => {
                ctx.session.set(name, value)?;
            }
        }
    }
    Ok(ctx)
}

/// `-c name=value`, `-cname=value` and `--name=value` of the start-up option `options`.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    let mut out = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty() && *word != "-c") {
        let word = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        if let Some((name, value)) = word.split_once('=') {
            out.push((name.replace('-', "_"), value.to_owned()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn start_up_options_are_settings() {
        let read = super::options("-c statement_timeout=5s --search-path=a\\ b -cjit=off  -x");
        let read: Vec<String> = read.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(read, ["statement_timeout=5s", "search_path=a b", "jit=off"]);
    }
}
