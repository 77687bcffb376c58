//! One session with an SSH server: who answers, who we are, and the SFTP subsystem.

use crate::error::{failed, timeout, unreachable};
use crate::secrets::RemoteSecrets;
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, MethodKind};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::rawsession::Limits;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass_types::connection::{HostKeys, SftpSpec};
use windlass_types::{Error, ErrorCode, Result};

/// Open files and folders of one session, at most: handles are numbers, and from 128 on `OpenSSH`'s
/// are not UTF-8, which the library cannot hold.
const HANDLES: u64 = 100;

/// What proves who we are.
pub(super) struct Proof {
    pub(super) key: Option<Arc<PrivateKey>>,
    pub(super) secrets: Arc<RemoteSecrets>,
}

impl Proof {
    /// Reads the private key, if there is one.
    pub(super) fn read(secrets: &Arc<RemoteSecrets>) -> Result<Self> {
        let passphrase = secrets.get("PRIVATE_KEY_PASSPHRASE");
        let key = secrets
            .get("PRIVATE_KEY")
            .map(|text| {
                russh::keys::decode_secret_key(text, passphrase).map_err(|error| {
                    let hint = if passphrase.is_some() {
                        "check PRIVATE_KEY and PRIVATE_KEY_PASSPHRASE"
                    } else {
                        "if the key has a passphrase, give PRIVATE_KEY_PASSPHRASE; else check that the whole file was given"
                    };
                    Error::new(ErrorCode::ConnectionCredentials, "PRIVATE_KEY cannot be opened")
                        .source(error)
                        .hint(hint)
                })
            })
            .transpose()?
            .map(Arc::new);
        Ok(Self { key, secrets: Arc::clone(secrets) })
    }
}

/// A session; many requests may be on their way in it.
pub(super) struct Session {
    pub(super) sftp: RawSftpSession,
    /// Extensions that the server offers.
    pub(super) extensions: HashSet<String>,
    handle: Handle<Door>,
}

impl Session {
    /// Whether the server or the network has ended it.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.sftp.close_session();
    }
}

/// Looks at who answers.
struct Door {
    keys: HostKeys,
    offered: Arc<Mutex<Option<Offered>>>,
}

#[derive(Clone)]
struct Offered {
    line: String,
    fingerprint: String,
}

impl client::Handler for Door {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> std::result::Result<bool, Self::Error> {
        let key = key.public_key();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let good = match &self.keys {
            HostKeys::Any => true,
            HostKeys::Fingerprints(known) => known.contains(&fingerprint),
        };
        let line = key.to_openssh().unwrap_or_default();
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Offered { line, fingerprint });
        Ok(good)
    }
}

/// Connects, checks the server's key, signs in and starts SFTP.
pub(super) async fn connect(spec: &SftpSpec, proof: &Proof, limit: Duration) -> Result<Session> {
    let place = format!("{}:{}", spec.host, spec.port);
    match tokio::time::timeout(limit, connect_at(spec, proof, &place, limit)).await {
        Ok(done) => done.map_err(|error| proof.secrets.clean(error)),
        Err(_) => Err(timeout(&format!("signing in at `{place}`"))),
    }
}

async fn connect_at(
    spec: &SftpSpec,
    proof: &Proof,
    place: &str,
    limit: Duration,
) -> Result<Session> {
    let stream = tokio::net::TcpStream::connect((spec.host.as_str(), spec.port))
        .await
        .map_err(|error| unreachable(&place, error))?;
    let _ = stream.set_nodelay(true);
    let offered = Arc::new(Mutex::new(None));
    let door = Door { keys: spec.host_keys.clone(), offered: Arc::clone(&offered) };
    let config = client::Config {
        keepalive_interval: Some(Duration::from_secs(30)),
        window_size: 8 << 20,
        ..client::Config::default()
    };
    let mut handle =
        client::connect_stream(Arc::new(config), stream, door).await.map_err(|error| {
            let offered = offered.lock().unwrap_or_else(PoisonError::into_inner).clone();
            greeting(spec, place, offered, error)
        })?;
    sign_in(&mut handle, spec, proof).await?;
    let no_sftp = |error: russh::Error| {
        failed(format!("`{place}` signed in `{}` but has no SFTP", spec.user))
            .source(error)
            .hint("the server must offer the `sftp` subsystem to this user")
    };
    let channel = handle.channel_open_session().await.map_err(no_sftp)?;
    channel.request_subsystem(true, "sftp").await.map_err(no_sftp)?;
    let config = russh_sftp::client::Config {
        request_timeout_secs: limit.as_secs().max(1),
        ..russh_sftp::client::Config::default()
    };
    let mut sftp = RawSftpSession::new_with_config(channel.into_stream(), config);
    let version = sftp.init().await.map_err(|error| {
        failed(format!("`{place}` does not begin SFTP as it should"))
            .source(error)
            .hint("a server that prints a greeting for every shell breaks SFTP")
    })?;
    sftp.set_limits(Limits { open_handles: Some(HANDLES), ..Limits::default() });
    let extensions = version.extensions.into_keys().collect();
    Ok(Session { sftp, extensions, handle })
}

/// Why the session did not begin.
fn greeting(spec: &SftpSpec, place: &str, offered: Option<Offered>, error: russh::Error) -> Error {
    match (error, offered, &spec.host_keys) {
        (russh::Error::UnknownKey, Some(offered), HostKeys::Fingerprints(known)) => {
            let Offered { line, fingerprint } = offered;
            if known.is_empty() {
                return Error::new(
                    ErrorCode::ConnectionCredentials,
                    format!("HOST_KEY is missing; `{place}` offers `{fingerprint}`"),
                )
                .hint(format!(
                    "compare it with what the server's administrator says, then add `HOST_KEY = '{line}'`; `ACCEPT_ANY_HOST_KEY = TRUE` trusts whoever answers"
                ));
            }
            Error::new(
                ErrorCode::ConnectionDenied,
                format!(
                    "`{place}` offers the key `{fingerprint}`, which is not HOST_KEY: it may be another server"
                ),
            )
            .hint(format!(
                "ask the server's administrator whether its key changed; only then set `HOST_KEY = '{line}'`"
            ))
        }
        (russh::Error::IO(error), ..) => unreachable(&place, error),
        (error @ (russh::Error::Disconnect | russh::Error::HUP), ..) => {
            Error::new(ErrorCode::ConnectionBusy, format!("`{place}` ended the connection at once"))
                .source(error)
                .hint(
                    "it may have too many sessions, or not be an SSH server; lower MAX_CONCURRENCY",
                )
        }
        (error, ..) => failed(format!("`{place}` does not answer as an SSH server does"))
            .source(error)
            .hint("check HOST and PORT"),
    }
}

/// Proves who we are: by key first, then by password, then by answering questions with the password.
async fn sign_in(handle: &mut Handle<Door>, spec: &SftpSpec, proof: &Proof) -> Result<()> {
    let broke = |error: russh::Error| failed("signing in broke off").source(error);
    let mut allowed: Vec<MethodKind> = Vec::new();
    let mut tried: Vec<&str> = Vec::new();
    if let Some(key) = &proof.key {
        let hash = handle.best_supported_rsa_hash().await.map_err(broke)?.flatten();
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        match handle.authenticate_publickey(&spec.user, key).await.map_err(broke)? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { remaining_methods, .. } => allowed = remaining_methods.to_vec(),
        }
        tried.push("PRIVATE_KEY");
    }
    if let Some(password) = proof.secrets.get("PASSWORD") {
        match handle.authenticate_password(&spec.user, password).await.map_err(broke)? {
            AuthResult::Success => return Ok(()),
            AuthResult::Failure { remaining_methods, .. } => allowed = remaining_methods.to_vec(),
        }
        if allowed.contains(&MethodKind::KeyboardInteractive)
            && answers(handle, &spec.user, password).await.map_err(broke)?
        {
            return Ok(());
        }
        tried.push("PASSWORD");
    }
    let allowed: Vec<&str> = allowed.iter().map(Into::into).collect();
    let allowed = if allowed.is_empty() { "nothing else".to_owned() } else { allowed.join(", ") };
    let _ = handle.disconnect(Disconnect::ByApplication, "", "en").await;
    Err(Error::new(
        ErrorCode::ConnectionCredentials,
        format!("the server does not let `{}` in by {}", spec.user, tried.join(" or ")),
    )
    .hint(format!("check USER and the credentials; the server accepts {allowed}")))
}

/// Answers what the server asks with the password, as servers do that know no other way.
async fn answers(
    handle: &mut Handle<Door>,
    user: &str,
    password: &str,
) -> std::result::Result<bool, russh::Error> {
    let mut answer = handle.authenticate_keyboard_interactive_start(user, None::<String>).await?;
    for _ in 0..4 {
        match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let replies = prompts.iter().map(|_| password.to_owned()).collect();
                answer = handle.authenticate_keyboard_interactive_respond(replies).await?;
            }
        }
    }
    Ok(false)
}
