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
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::ExposeSecret as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::{Host, Url};
use windlass_types::{Error, ErrorCode, Result, S3Spec};

/// The slowest upload that is still waited for, in bytes a second: an attempt may take TIMEOUT and
/// this much longer for its body.
const SLOWEST_UPLOAD: u64 = 64 * 1024;

/// Reads `CA_FILE` and makes the client.
pub(crate) async fn client(spec: &S3Spec, secrets: &Secrets) -> Result<SharedHttpClient> {
    let mut trust = tls::TrustStore::default();
    if let Some(path) = &spec.ca_file {
        trust = trust.with_pem_certificate(authorities(path).await?);
    }
    let context = tls::TlsContext::builder().with_trust_store(trust).build().map_err(internal)?;
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(Duration::from_secs(spec.timeout.clamp(1, 10)))
        .build();
    let connector = Connector::builder()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(context)
        .connector_settings(settings)
        .proxy_config(proxy(spec, secrets)?)
        .build();
    Ok(SharedHttpClient::new(Wire {
        connector: SharedHttpConnector::new(Limited {
            inner: SharedHttpConnector::new(connector),
            gate: Arc::new(Gate::new(spec.max_concurrency, spec.max_requests_per_second)),
            timeout: Duration::from_secs(spec.timeout.max(1)),
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

/// PROXY if given, else what the environment says; a service on this machine needs none.
fn proxy(spec: &S3Spec, secrets: &Secrets) -> Result<ProxyConfig> {
    let Some(text) = &secrets.proxy else {
        return Ok(if spec.endpoint.as_deref().is_some_and(is_loopback) {
            ProxyConfig::disabled()
        } else {
            ProxyConfig::from_env()
        });
    };
    let bad = || {
        Error::new(ErrorCode::OptionInvalid, "PROXY is not an http or https URL")
            .hint("write `http://host:port`")
    };
    let mut url = Url::parse(text.expose_secret()).map_err(|_| bad())?;
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decode(url.username());
    let password = url.password().map(decode).unwrap_or_default();
    url.set_username("").map_err(|()| bad())?;
    url.set_password(None).map_err(|()| bad())?;
    let config = ProxyConfig::all(url.as_str()).map_err(|_| bad())?;
    Ok(if user.is_empty() && password.is_empty() {
        config
    } else {
        config.with_basic_auth(user, password)
    })
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
    gate: Arc<Gate>,
    timeout: Duration,
}

impl HttpConnector for Limited {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, gate) = (self.inner.clone(), Arc::clone(&self.gate));
        let body = request.body().content_length().unwrap_or(0);
        let limit = self.timeout + Duration::from_secs(body / SLOWEST_UPLOAD);
        HttpConnectorFuture::new(async move {
            let _permit = gate.enter().await;
            match tokio::time::timeout(limit, inner.call(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(ConnectorError::timeout(
                    format!("no answer within {} seconds", limit.as_secs()).into(),
                )),
            }
        })
    }
}

/// Requests in flight, and requests begun a second.
#[derive(Debug)]
struct Gate {
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

    async fn enter(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
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
