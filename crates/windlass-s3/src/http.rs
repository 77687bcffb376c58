//! The one HTTP client of a connection, and its limits.
//!
//! All SDK clients of a connection share it: trust store, proxy, connections, `MAX_CONCURRENCY`,
//! `MAX_REQUESTS_PER_SECOND` and TIMEOUT hold for them together. A request counts against
//! `MAX_CONCURRENCY` from before it is sent (so with all of its upload) until its answer's headers
//! are there; bodies being read do not count, because a reader that waits for another request of
//! the same connection would otherwise wait forever.

use crate::secrets::Secrets;
use aws_smithy_http_client::{Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::{Host, Url};
use windlass_types::{Error, ErrorCode, Result, S3Spec};

/// The slowest upload that is still waited for, in bytes a second: an attempt may take TIMEOUT and
/// this much longer for its body.
const SLOWEST_UPLOAD: u64 = 64 * 1024;

/// The way out of a connection: whom to trust, through whom to go, how much at a time. The SDK's
/// client and the wire client share it.
pub(crate) struct Line {
    /// Turns of requests.
    pub(crate) gate: Gate,
    /// How long an attempt waits for the headers of its answer, and a reader for the next byte.
    pub(crate) timeout: Duration,
    /// How long opening a connection may take.
    pub(crate) connect: Duration,
    /// Idle connections that are kept for one address.
    pub(crate) idle: usize,
    authorities: Option<Vec<u8>>,
    proxy: Option<Proxy>,
    busy: AtomicU64,
}

/// Through whom to go.
enum Proxy {
    /// What the environment says.
    Environment,
    /// To this URL, with these credentials (empty for none).
    Given { url: String, user: String, password: SecretString },
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Line {
    /// Reads `CA_FILE` and checks PROXY.
    pub(crate) async fn new(spec: &S3Spec, secrets: &Secrets) -> Result<Self> {
        let authorities = match &spec.ca_file {
            Some(path) => Some(authorities(path).await?),
            None => None,
        };
        Ok(Self {
            gate: Gate::new(spec.max_concurrency, spec.max_requests_per_second),
            timeout: Duration::from_secs(spec.timeout.max(1)),
            connect: Duration::from_secs(spec.timeout.clamp(1, 10)),
            idle: spec.max_concurrency.max(1) as usize,
            authorities,
            proxy: proxy(spec, secrets)?,
            busy: AtomicU64::new(0),
        })
    }

    /// Counts an answer that asked to go slower.
    pub(crate) fn slow_down(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers that asked to go slower, of both clients.
    pub(crate) fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    /// How long an attempt may take until its answer begins, with a body of this many bytes.
    pub(crate) fn patience(&self, body: u64) -> Duration {
        self.timeout + Duration::from_secs(body / SLOWEST_UPLOAD)
    }

    /// Decides through which proxy an address is reached, if through any.
    pub(crate) fn proxies(&self) -> Option<Matcher> {
        match self.proxy.as_ref()? {
            Proxy::Environment => Some(Matcher::from_env()),
            Proxy::Given { url, user, password } => {
                let encode = |text: &str| {
                    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                        .to_string()
                };
                let (user, password) = (encode(user), encode(password.expose_secret()));
                let with = if user.is_empty() && password.is_empty() {
                    url.clone()
                } else {
                    url.replacen("://", &format!("://{user}:{password}@"), 1)
                };
                Some(Matcher::builder().all(with).build())
            }
        }
    }

    /// Reads the machine's authorities and makes the settings of TLS: those, and `CA_FILE`'s.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in
            CertificateDer::pem_slice_iter(self.authorities.as_deref().unwrap_or_default())
        {
            roots
                .add(
                    certificate
                        .map_err(|error| internal(std::io::Error::other(error.to_string())))?,
                )
                .map_err(internal)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Makes the SDK's client.
pub(crate) fn client(line: &Arc<Line>) -> Result<SharedHttpClient> {
    let mut trust = tls::TrustStore::default();
    if let Some(pem) = &line.authorities {
        trust = trust.with_pem_certificate(pem.clone());
    }
    let context = tls::TlsContext::builder().with_trust_store(trust).build().map_err(internal)?;
    let settings = HttpConnectorSettings::builder().connect_timeout(line.connect).build();
    let proxy = match &line.proxy {
        None => ProxyConfig::disabled(),
        Some(Proxy::Environment) => ProxyConfig::from_env(),
        Some(Proxy::Given { url, user, password }) => {
            let config = ProxyConfig::all(url.as_str()).map_err(|_| bad_proxy())?;
            if user.is_empty() && password.expose_secret().is_empty() {
                config
            } else {
                config.with_basic_auth(user.as_str(), password.expose_secret())
            }
        }
    };
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(context)
        .connector_settings(settings)
        .proxy_config(proxy)
        .build();
    Ok(SharedHttpClient::new(Wire {
        connector: SharedHttpConnector::new(Limited {
            inner: SharedHttpConnector::new(connector),
            line: Arc::clone(line),
        }),
    }))
}

/// A client for the instance metadata service: never through a proxy, its own short time limits.
pub(crate) fn metadata_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https()
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::Internal, "the HTTP client cannot be made").source(error)
}

/// Reads and checks a PEM file here, because the SDK panics over a bad one.
async fn authorities(path: &str) -> Result<Vec<u8>> {
    let bad = |what: &str| {
        Error::new(ErrorCode::OptionInvalid, format!("CA_FILE `{path}` {what}"))
            .hint("CA_FILE is a file of certificates in PEM: `-----BEGIN CERTIFICATE-----`")
    };
    let pem = tokio::fs::read(path).await.map_err(|error| bad("cannot be read").source(error))?;
    let mut roots = rustls::RootCertStore::empty();
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate =
            certificate.map_err(|error| bad("is not valid PEM").source(error.to_string()))?;
        roots.add(certificate).map_err(|error| {
            bad("holds a certificate that cannot be used").source(error.to_string())
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(bad("holds no certificate"));
    }
    Ok(pem)
}

fn bad_proxy() -> Error {
    Error::new(ErrorCode::OptionInvalid, "PROXY is not an http or https URL")
        .hint("write `http://host:port`")
}

/// PROXY if given, else what the environment says; a service on this machine needs none.
fn proxy(spec: &S3Spec, secrets: &Secrets) -> Result<Option<Proxy>> {
    let Some(text) = &secrets.proxy else {
        let here = spec.endpoint.as_deref().is_some_and(is_loopback);
        return Ok((!here).then_some(Proxy::Environment));
    };
    let mut url = Url::parse(text.expose_secret()).map_err(|_| bad_proxy())?;
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decode(url.username());
    let password = url.password().map(decode).unwrap_or_default().into();
    url.set_username("").map_err(|()| bad_proxy())?;
    url.set_password(None).map_err(|()| bad_proxy())?;
    Ok(Some(Proxy::Given { url: url.into(), user, password }))
}

fn is_loopback(endpoint: &str) -> bool {
    match Url::parse(endpoint).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        None => false,
    }
}

/// Hands out one connector whatever settings are asked for, so that there is one pool.
#[derive(Debug)]
struct Wire {
    connector: SharedHttpConnector,
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.clone()
    }
}

/// A connector that waits for its turn, and not forever for an answer.
#[derive(Debug)]
struct Limited {
    inner: SharedHttpConnector,
    line: Arc<Line>,
}

impl HttpConnector for Limited {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, line) = (self.inner.clone(), Arc::clone(&self.line));
        let limit = line.patience(request.body().content_length().unwrap_or(0));
        HttpConnectorFuture::new(async move {
            let _permit = line.gate.enter().await;
            match tokio::time::timeout(limit, inner.call(request)).await {
                Ok(answer) => {
                    if let Ok(answer) = &answer
                        && is_busy(answer.status().as_u16())
                    {
                        line.slow_down();
                    }
                    answer
                }
                Err(_) => Err(ConnectorError::timeout(
                    format!("no answer within {} seconds", limit.as_secs()).into(),
                )),
            }
        })
    }
}

/// Whether an answer with this status asks to go slower.
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Requests in flight, and requests begun a second.
#[derive(Debug)]
pub(crate) struct Gate {
    permits: Semaphore,
    pace: Option<Pace>,
}

impl Gate {
    fn new(concurrency: u32, per_second: Option<u32>) -> Self {
        Self {
            permits: Semaphore::new(concurrency.max(1) as usize),
            pace: per_second.filter(|rate| *rate > 0).map(Pace::new),
        }
    }

    /// Waits for a turn; it lasts until the permit is dropped.
    pub(crate) async fn enter(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        if let Some(pace) = &self.pace {
            let wait = pace.turn(Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        permit
    }
}

/// A token bucket kept as the time at which it would be full: a tenth of a second's worth may burst.
#[derive(Debug)]
struct Pace {
    every: Duration,
    burst: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self {
            every: Duration::from_secs(1) / per_second,
            burst: Duration::from_millis(100),
            next: Mutex::new(None),
        }
    }

    /// Takes the next turn and says how long it is away.
    fn turn(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        *next = Some(at + self.every);
        (at - now).saturating_sub(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_at_the_rate_after_a_small_burst() {
        let (pace, now) = (Pace::new(10), Instant::now());
        let waits: Vec<u128> = (0..4).map(|_| pace.turn(now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(pace.turn(now + Duration::from_secs(9)).as_millis(), 0);
    }

    #[tokio::test]
    async fn a_ca_file_that_is_none_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert!(authorities(&path).await.unwrap_err().message().contains("holds no certificate"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        let error = authorities(&path).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::OptionInvalid, "{error:?}");
        assert!(
            authorities("/nowhere/ca.pem").await.unwrap_err().message().contains("cannot be read")
        );
    }

    #[test]
    fn services_of_this_machine_are_told_from_others() {
        assert!(is_loopback("http://127.0.0.1:9000") && is_loopback("http://[::1]:9000"));
        assert!(is_loopback("http://localhost:1") && !is_loopback("https://s3.example.com"));
    }
}
