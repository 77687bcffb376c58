//! Connections to storages that are neither S3 nor a folder of this machine: what was written,
//! validated. Which secrets there are is part of the spec; their values are not.

use super::checks::{check_header, check_host};
use super::cloud::{self, AzureBlobSpec, GcsSpec};
use super::{ConnectionKind, Pull, contradiction};
use crate::error::Result;
use crate::options::{OptionMap, OptionValue};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use url::Url;

/// A validated connection to another storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSpec {
    /// Which storage, and how to reach it.
    pub service: RemoteService,
    /// No writes.
    pub read_only: bool,
    /// Whether names that differ in case only are two files.
    pub case_sensitive: bool,
    /// Requests in flight, or sessions open, at once.
    pub max_concurrency: usize,
    /// Seconds one request waits for an answer to begin or go on.
    pub timeout: u64,
}

/// One of the storages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteService {
    /// SFTP.
    Sftp(SftpSpec),
    /// FTP.
    Ftp(FtpSpec),
    /// `WebDAV`.
    WebDav(WebDavSpec),
    /// A web server.
    Http(HttpSpec),
    /// Azure Blob Storage.
    AzureBlob(AzureBlobSpec),
    /// Google Cloud Storage.
    Gcs(GcsSpec),
}

/// Which keys an SSH server may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeys {
    /// Any: nobody checks who answers.
    Any,
    /// These: `SHA256:…` fingerprints without padding.
    Fingerprints(Vec<String>),
}

/// A validated SFTP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpSpec {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Which keys the server may have.
    pub host_keys: HostKeys,
    /// Folder it is bound to; empty is the one after signing in.
    pub root: String,
}

/// How FTP uses TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FtpTls {
    /// Asked for before signing in.
    Explicit,
    /// From the first byte.
    Implicit,
    /// Not at all.
    None,
}

/// A validated FTP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FtpSpec {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; `anonymous` where none was given.
    pub user: String,
    /// Use of TLS.
    pub tls: FtpTls,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
    /// Folder it is bound to; empty is the one after signing in.
    pub root: String,
}

/// A validated `WebDAV` connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebDavSpec {
    /// URL without a trailing slash; may have a path.
    pub endpoint: String,
    /// User for basic authentication; else a token, if there is one.
    pub user: Option<String>,
    /// Folder it is bound to.
    pub root: String,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
}

/// A validated connection to a web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSpec {
    /// URL without a trailing slash; may have a path.
    pub endpoint: String,
    /// User for basic authentication.
    pub user: Option<String>,
    /// Path of the file that lists what there is.
    pub index: Option<String>,
    /// PEM file of authorities.
    pub ca_file: Option<String>,
}

impl RemoteSpec {
    /// Validates options: contradictions are errors that say which and why.
    ///
    /// # Panics
    /// Where `kind` is S3 or LOCAL, which have specs of their own.
    pub fn build(kind: ConnectionKind, options: &OptionMap) -> Result<Self> {
        let pull = Pull(options);
        check_clear_secrets(kind, options)?;
        let service = match kind {
            ConnectionKind::Sftp => RemoteService::Sftp(sftp(&pull)?),
            ConnectionKind::Ftp => RemoteService::Ftp(ftp(&pull)?),
            ConnectionKind::WebDav => RemoteService::WebDav(webdav(&pull)?),
            ConnectionKind::Http => RemoteService::Http(http(&pull)?),
            ConnectionKind::AzureBlob => RemoteService::AzureBlob(cloud::azure_blob(&pull)?),
            ConnectionKind::Gcs => RemoteService::Gcs(cloud::gcs(&pull)?),
            ConnectionKind::S3 | ConnectionKind::Local => {
                unreachable!("{} has a spec of its own", kind.as_str())
            }
        };
        let default = match kind {
            ConnectionKind::Sftp => 8,
            ConnectionKind::Ftp => 4,
            ConnectionKind::AzureBlob | ConnectionKind::Gcs => 64,
            _ => 16,
        };
        Ok(Self {
            service,
            read_only: kind == ConnectionKind::Http || pull.flag("READ_ONLY"),
            case_sensitive: pull.said("CASE_SENSITIVE").unwrap_or(true),
            max_concurrency: pull
                .integer("MAX_CONCURRENCY")
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(default),
            timeout: pull.seconds("TIMEOUT").unwrap_or(60),
        })
    }
}

pub(super) fn required(
    pull: &Pull<'_>,
    kind: ConnectionKind,
    name: &str,
    example: &str,
) -> Result<String> {
    pull.text(name).ok_or_else(|| {
        contradiction(
            format!("{} CONNECTION needs {name}", kind.as_str()),
            format!("add `{name} = '{example}'`"),
        )
    })
}

/// Refuses secrets that cannot be sent, at creation. Errors never quote them.
fn check_clear_secrets(kind: ConnectionKind, options: &OptionMap) -> Result<()> {
    for def in kind.options().iter().filter(|def| def.secret) {
        let Some(OptionValue::Text(text)) = options.get(def.name) else { continue };
        check_secret(def.name, text)?;
    }
    for header in Pull(options).list("HEADERS") {
        check_header(&header)?;
    }
    Ok(())
}

/// Checks the form of a secret value; the error never quotes it.
pub fn check_secret(name: &str, text: &str) -> Result<()> {
    match name {
        "ACCOUNT_KEY" | "SAS_TOKEN" | "SERVICE_ACCOUNT_JSON" => cloud::check_secret(name, text),
        "PRIVATE_KEY" if !text.contains("PRIVATE KEY") && !text.starts_with("PuTTY-User-Key") => {
            let public = text.starts_with("ssh-") || text.starts_with("ecdsa-");
            let (what, hint) = if public {
                ("PRIVATE_KEY is a public key", "give the other file of the two, without `.pub`")
            } else {
                (
                    "PRIVATE_KEY is not the text of a private key",
                    "give the text of the file, not its name: `CREATE SECRET k FROM FILE '…'`, then `PRIVATE_KEY = SECRET k`",
                )
            };
            Err(contradiction(what, hint))
        }
        "PASSWORD" | "TOKEN" | "PRIVATE_KEY_PASSPHRASE" if text.chars().any(char::is_control) => {
            Err(contradiction(
                format!("{name} has control characters in it"),
                "copy the value again without line ends",
            ))
        }
        _ => Ok(()),
    }
}

fn host(pull: &Pull<'_>, kind: ConnectionKind) -> Result<String> {
    let host = required(pull, kind, "HOST", "files.example.com")?;
    if host.contains("://") || host.contains(['/', '@']) || host.chars().any(char::is_whitespace) {
        return Err(contradiction(
            format!("HOST `{}` is not a name or an address", without_user(&host)),
            "give the name alone; the port goes into PORT, the user into USER, a folder into ROOT",
        ));
    }
    if host.matches(':').count() == 1 {
        return Err(contradiction(format!("HOST `{host}` has a port in it"), "give it as PORT"));
    }
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// A text without what may be a user and password before `@`.
fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

fn port(pull: &Pull<'_>, default: u16) -> u16 {
    pull.integer("PORT").and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
}

/// A folder to be bound to: no `.`, `..` or empty levels, no control characters; without the
/// trailing slash.
fn root(pull: &Pull<'_>, absolute: bool) -> Result<String> {
    let Some(root) = pull.text("ROOT") else { return Ok(String::new()) };
    let trimmed = root.trim_end_matches('/');
    let rest = if absolute { trimmed.strip_prefix('/').unwrap_or(trimmed) } else { trimmed };
    let plain = |level: &str| !matches!(level, "" | "." | "..");
    if root.chars().any(char::is_control) || !(rest.is_empty() || rest.split('/').all(plain)) {
        return Err(contradiction(
            format!("ROOT `{}` is not a folder's path", root.escape_default()),
            if absolute {
                "write it without `.`, `..` and `//`: `/srv/files` or `files`"
            } else {
                "write it without a leading `/`, `.`, `..` and `//`: `team/files`"
            },
        ));
    }
    Ok(if rest.is_empty() && absolute { "/".to_owned() } else { trimmed.to_owned() })
}

fn sftp(pull: &Pull<'_>) -> Result<SftpSpec> {
    let kind = ConnectionKind::Sftp;
    let host = host(pull, kind)?;
    let user = required(pull, kind, "USER", "name")?;
    if pull.secret("PRIVATE_KEY_PASSPHRASE").is_some() && pull.secret("PRIVATE_KEY").is_none() {
        return Err(contradiction(
            "PRIVATE_KEY_PASSPHRASE without PRIVATE_KEY",
            "a passphrase opens a private key; for a password write PASSWORD",
        ));
    }
    if pull.secret("PASSWORD").is_none() && pull.secret("PRIVATE_KEY").is_none() {
        return Err(contradiction(
            "SFTP CONNECTION needs PASSWORD or PRIVATE_KEY",
            "add one of the two, best as `SECRET name`; both are tried, the key first",
        ));
    }
    let keys = pull.list("HOST_KEY");
    let host_keys = match (keys.is_empty(), pull.flag("ACCEPT_ANY_HOST_KEY")) {
        (false, true) => {
            return Err(contradiction(
                "HOST_KEY and ACCEPT_ANY_HOST_KEY contradict each other",
                "leave one of the two out",
            ));
        }
        (true, true) => HostKeys::Any,
        // Whether one is missing is said by the test, which shows what the server offers.
        (_, false) => {
            HostKeys::Fingerprints(keys.iter().map(|key| fingerprint(key)).collect::<Result<_>>()?)
        }
    };
    Ok(SftpSpec { host, port: port(pull, 22), user, host_keys, root: root(pull, true)? })
}

/// The `SHA256:` fingerprint of a key as it stands in `known_hosts` or `.pub` files, or of itself.
fn fingerprint(text: &str) -> Result<String> {
    let hint = "write a line of known_hosts (`ssh-ed25519 AAAA…`) or a fingerprint (`SHA256:…`); `ssh-keyscan HOST` prints the first, `ssh-keygen -lf` the second";
    let bad = || contradiction("HOST_KEY is neither a public key nor a fingerprint", hint);
    if let Some(sum) = text.trim().strip_prefix("SHA256:") {
        let sum = sum.trim_end_matches('=');
        let bytes = STANDARD_NO_PAD.decode(sum).map_err(|_| bad())?;
        return if bytes.len() == 32 { Ok(format!("SHA256:{sum}")) } else { Err(bad()) };
    }
    if text.contains("PRIVATE KEY") {
        return Err(contradiction("HOST_KEY is a private key", hint));
    }
    // `[host] type base64 [comment]`: the key is the word that decodes to its own type.
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(2)
        .find_map(|pair| {
            let [kind, key] = pair else { return None };
            let bytes = STANDARD.decode(key).ok()?;
            let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?;
            let named = bytes.get(4..4 + length)?;
            (named == kind.as_bytes()).then(|| sha256(&bytes))
        })
        .map(|sum| format!("SHA256:{}", STANDARD_NO_PAD.encode(sum)))
        .ok_or_else(bad)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

fn ftp(pull: &Pull<'_>) -> Result<FtpSpec> {
    let tls = match pull.text("TLS").as_deref() {
        Some("IMPLICIT") => FtpTls::Implicit,
        Some("NONE") => FtpTls::None,
        _ => FtpTls::Explicit,
    };
    let plain = pull.flag("ALLOW_PLAIN");
    match (tls, plain) {
        (FtpTls::None, false) => {
            return Err(contradiction(
                "TLS = NONE without ALLOW_PLAIN",
                "password and data would travel in clear text; add `ALLOW_PLAIN = TRUE` to mean it",
            ));
        }
        (FtpTls::None, true) if pull.text("CA_FILE").is_some() => {
            return Err(contradiction(
                "CA_FILE and TLS = NONE contradict each other",
                "without TLS there is no certificate to check; leave one of the two out",
            ));
        }
        (FtpTls::Explicit | FtpTls::Implicit, true) => {
            return Err(contradiction(
                "ALLOW_PLAIN without TLS = NONE",
                "with TLS nothing travels in clear text; leave it out, or add `TLS = NONE`",
            ));
        }
        _ => {}
    }
    let user = pull.text("USER");
    if user.is_none() && pull.secret("PASSWORD").is_some() {
        return Err(contradiction("PASSWORD without USER", "add USER"));
    }
    if user.as_ref().is_some_and(|user| user.chars().any(char::is_control)) {
        return Err(contradiction("USER has control characters in it", "write it without them"));
    }
    Ok(FtpSpec {
        host: host(pull, ConnectionKind::Ftp)?,
        port: port(pull, if tls == FtpTls::Implicit { 990 } else { 21 }),
        user: user.unwrap_or_else(|| "anonymous".to_owned()),
        tls,
        ca_file: pull.text("CA_FILE"),
        root: root(pull, true)?,
    })
}

pub(super) fn url(pull: &Pull<'_>, text: &str) -> Result<String> {
    let (http, metadata) = (pull.flag("ALLOW_HTTP"), pull.flag("ALLOW_METADATA_ENDPOINT"));
    check_address("ENDPOINT", text, http, metadata)
}

/// Checks a URL that may have a path: https unless plain http is meant; no credentials, no query; no
/// instance metadata unless that is meant. Answers it without a trailing slash.
pub fn check_address(name: &str, text: &str, http: bool, metadata: bool) -> Result<String> {
    let url = Url::parse(text).ok().filter(|url| url.host().is_some()).ok_or_else(|| {
        contradiction(format!("{name} is not a URL"), "write `https://host` or `https://host/path`")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(contradiction(
            format!("{name} has credentials in it"),
            "leave them out of the URL; there are options for them",
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if http => {}
        "http" => {
            return Err(contradiction(
                format!("{name} `{text}` is not https"),
                "data and credentials would travel in clear text; add `ALLOW_HTTP = TRUE` to mean it",
            ));
        }
        other => {
            return Err(contradiction(
                format!("{name} has the scheme `{other}`"),
                "write `https://host` or `https://host/path`",
            ));
        }
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(contradiction(
            format!("{name} `{text}` has a query or fragment in it"),
            "give only scheme, host, port and path",
        ));
    }
    check_host(name, &url, metadata)?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn basic(pull: &Pull<'_>) -> Result<Option<String>> {
    let user = pull.text("USER");
    match (&user, pull.secret("PASSWORD").is_some()) {
        (None, true) => Err(contradiction("PASSWORD without USER", "add USER")),
        (Some(name), _) if name.contains(':') || name.chars().any(char::is_control) => {
            Err(contradiction("USER has `:` or control characters in it", "write it without them"))
        }
        (Some(_), false) => Err(contradiction("USER without PASSWORD", "add PASSWORD")),
        _ => Ok(user),
    }
}

/// The user of a service that also takes a token.
fn web_user(pull: &Pull<'_>) -> Result<Option<String>> {
    let user = basic(pull)?;
    if user.is_some() && pull.secret("TOKEN").is_some() {
        return Err(contradiction(
            "two identities: USER and TOKEN",
            "a connection acts as one identity; leave one of the two out",
        ));
    }
    Ok(user)
}

fn webdav(pull: &Pull<'_>) -> Result<WebDavSpec> {
    let kind = ConnectionKind::WebDav;
    let endpoint = url(pull, &required(pull, kind, "ENDPOINT", "https://dav.example.com/files")?)?;
    Ok(WebDavSpec {
        endpoint,
        user: web_user(pull)?,
        root: root(pull, false)?,
        ca_file: pull.text("CA_FILE"),
    })
}

fn http(pull: &Pull<'_>) -> Result<HttpSpec> {
    let kind = ConnectionKind::Http;
    let endpoint = url(pull, &required(pull, kind, "ENDPOINT", "https://files.example.com/pub")?)?;
    if matches!(pull.0.get("READ_ONLY"), Some(OptionValue::Bool(false))) {
        return Err(contradiction(
            "READ_ONLY = FALSE is not possible for HTTP",
            "a web server takes no files; to write, use WEBDAV if it speaks that",
        ));
    }
    let index = pull.text("INDEX");
    if let Some(index) =
        index.as_ref().filter(|index| index.starts_with('/') || index.contains("://"))
    {
        return Err(contradiction(
            format!("INDEX `{index}` is not a path below ENDPOINT"),
            "write it without a leading `/`: `files.txt`",
        ));
    }
    Ok(HttpSpec { endpoint, user: web_user(pull)?, index, ca_file: pull.text("CA_FILE") })
}

#[cfg(test)]
mod tests;
