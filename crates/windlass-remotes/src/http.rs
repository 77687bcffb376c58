//! Requests over HTTP that four storages share: limits, timeouts, ranges, and what answers mean.
//!
//! Redirects are followed only by whoever asks for it, and only on the same host: credentials never
//! travel elsewhere.

use crate::error::{absent, changed, failed, timeout};
use crate::secrets::RemoteSecrets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_s3::ByteRange;
use windlass_types::connection::{HttpSpec, RemoteSpec};
use windlass_types::{Error, ErrorCode, Result};

/// Bytes of an answer that is read whole (a listing, an error), at most.
const MOST: usize = 64 << 20;

/// Bytes per second below which sending a body counts as standing still.
const SLOWEST: u64 = 16 << 10;

/// A client of one connection.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    permits: Arc<Semaphore>,
    timeout: Duration,
    secrets: Arc<RemoteSecrets>,
    /// For messages.
    host: String,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("host", &self.host).finish_non_exhaustive()
    }
}

/// An answer whose body has not been read.
pub(crate) struct Reply {
    response: Response,
    http: Http,
    permit: Option<OwnedSemaphorePermit>,
}

/// What every client of a connection has.
fn builder(ca_file: Option<&str>, spec: &RemoteSpec) -> Result<ClientBuilder> {
    let timeout = Duration::from_secs(spec.timeout);
    let builder = Client::builder()
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeout.min(Duration::from_secs(15)))
        .pool_max_idle_per_host(spec.max_concurrency.min(64))
        .tcp_nodelay(true);
    Ok(match ca_file {
        Some(path) => builder.tls_certs_merge(authorities(path)?),
        None => builder,
    })
}

fn made(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        Error::new(ErrorCode::Internal, "the HTTP client cannot be made").source(error)
    })
}

/// A client whose every request carries the headers and the user of an HTTP connection.
pub(crate) fn bare(web: &HttpSpec, spec: &RemoteSpec, secrets: &RemoteSecrets) -> Result<Client> {
    let invalid =
        || Error::new(ErrorCode::OptionInvalid, "HEADERS, USER or TOKEN cannot be sent as headers");
    let hidden = |value: &str| -> Result<HeaderValue> {
        let mut value: HeaderValue = value.parse().map_err(|_| invalid())?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in secrets.headers()? {
        let name: HeaderName = name.parse().map_err(|_| invalid())?;
        headers.append(name, hidden(&value)?);
    }
    let identity = match (&web.user, secrets.get("TOKEN")) {
        (Some(user), _) => {
            let pair = format!("{user}:{}", secrets.get("PASSWORD").unwrap_or_default());
            Some(format!("Basic {}", BASE64.encode(pair)))
        }
        (None, token) => token.map(|token| format!("Bearer {token}")),
    };
    if let Some(identity) = identity {
        headers.insert(reqwest::header::AUTHORIZATION, hidden(&identity)?);
    }
    let builder = builder(web.ca_file.as_deref(), spec)?;
    let policy = reqwest::redirect::Policy::none();
    let timeout = Duration::from_secs(spec.timeout);
    made(builder.redirect(policy).timeout(timeout).default_headers(headers))
}

impl Http {
    pub(crate) fn open(
        endpoint: &str,
        ca_file: Option<&str>,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
        redirects: bool,
    ) -> Result<Self> {
        let policy = if redirects {
            reqwest::redirect::Policy::custom(|attempt| {
                let same = attempt.previous().first().is_some_and(|first| {
                    let url = attempt.url();
                    let up = first.scheme() == url.scheme()
                        && first.port_or_known_default() == url.port_or_known_default()
                        || first.scheme() == "http" && url.scheme() == "https";
                    up && first.host() == url.host()
                });
                if attempt.previous().len() > 5 || !same {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            })
        } else {
            reqwest::redirect::Policy::none()
        };
        let client = made(builder(ca_file, spec)?.redirect(policy))?;
        let host = url::Url::parse(endpoint)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default();
        let permits = Arc::new(Semaphore::new(spec.max_concurrency));
        let timeout = Duration::from_secs(spec.timeout);
        Ok(Self { client, permits, timeout, secrets: Arc::clone(secrets), host })
    }

    /// Cuts the connection's secrets out of an error.
    pub(crate) fn clean(&self, error: Error) -> Error {
        self.secrets.clean(error)
    }

    /// Most time one step may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A request to be filled.
    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends; answers whatever the service answered. `sent` is the length of the body.
    pub(crate) async fn send(&self, request: RequestBuilder, sent: u64) -> Result<Reply> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| {
            Error::new(ErrorCode::Internal, "the client is closed").source(error)
        })?;
        let limit = self.timeout + Duration::from_secs(sent / SLOWEST);
        match tokio::time::timeout(limit, request.send()).await {
            Ok(Ok(response)) => Ok(Reply { response, http: self.clone(), permit: Some(permit) }),
            Ok(Err(error)) => Err(self.broke(error)),
            Err(_) => Err(timeout(&format!("an answer of `{}`", self.host))),
        }
    }

    /// Sends without a time limit, for bodies that come as they come; and without a place among the
    /// requests in flight, since what it sends may have to be read through one of them.
    pub(crate) async fn send_slowly(&self, request: RequestBuilder) -> Result<Reply> {
        let response = request.send().await.map_err(|error| self.broke(error))?;
        Ok(Reply { response, http: self.clone(), permit: None })
    }

    /// What a request that got no answer failed of. The URL is left out: it may hold a signature.
    fn broke(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let mut cause = error.source();
        let mut texts = Vec::new();
        while let Some(one) = cause {
            texts.push(one.to_string());
            cause = one.source();
        }
        let told = texts.join(": ");
        let host = &self.host;
        let answer = if error.is_builder() {
            Error::new(ErrorCode::Internal, "a request cannot be made")
        } else if error.is_timeout() {
            timeout(&format!("`{host}`"))
        } else if told.contains("certificate") || told.contains("UnknownIssuer") {
            Error::new(
                ErrorCode::ConnectionUnreachable,
                format!("the certificate of `{host}` is not trusted"),
            )
            .hint("check that it is the right host; name its authority with CA_FILE")
        } else if error.is_connect() {
            let hint = if told.contains("dns") || told.contains("lookup") {
                "check the name in ENDPOINT"
            } else if told.contains("refused") {
                "nothing listens there; check host and port of ENDPOINT"
            } else {
                "check ENDPOINT and the network"
            };
            Error::new(ErrorCode::ConnectionUnreachable, format!("cannot reach `{host}`"))
                .hint(hint)
        } else {
            failed(format!("the connection with `{host}` broke off"))
        };
        self.secrets.clean(answer.source(error))
    }
}

impl Reply {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Path of the address that answered, after redirects.
    pub(crate) fn url_path(&self) -> String {
        self.response.url().path().to_owned()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.headers(), name)
    }

    /// Reads the whole body; answers that should be small.
    pub(crate) async fn text(mut self) -> Result<String> {
        let mut bytes = Vec::new();
        loop {
            let next = tokio::time::timeout(self.http.timeout, self.response.chunk()).await;
            let chunk = match next {
                Ok(chunk) => chunk.map_err(|error| self.http.broke(error))?,
                Err(_) => return Err(timeout(&format!("an answer of `{}`", self.http.host))),
            };
            let Some(chunk) = chunk else { break };
            bytes.extend(chunk);
            if bytes.len() > MOST {
                return Err(failed(format!("`{}` answers without an end", self.http.host)));
            }
        }
        String::from_utf8(bytes).map_err(|error| {
            failed(format!("`{}` answers what is not text", self.http.host)).source(error)
        })
    }

    /// The answer if it is a good one; else what it means for `key`.
    pub(crate) async fn good(self, doing: &str, key: &str) -> Result<Self> {
        if self.status().is_success() {
            return Ok(self);
        }
        Err(self.refusal(doing, key).await)
    }

    /// What a refusal means.
    pub(crate) async fn refusal(self, doing: &str, key: &str) -> Error {
        let status = self.status();
        let http = self.http.clone();
        let code = self.header("x-ms-error-code").map(str::to_owned);
        let text = self.text().await.unwrap_or_default();
        let said = code.or_else(|| said(&text)).unwrap_or_default();
        http.secrets.clean(meaning(status, &said, doing, key))
    }

    /// The bytes, as they come; a pause longer than the time limit is an error.
    pub(crate) fn body(self) -> BoxStream<'static, Result<Bytes>> {
        let Self { response, http, permit } = self;
        async_stream::try_stream! {
            let _permit = permit;
            let mut stream = response.bytes_stream();
            loop {
                let next = tokio::time::timeout(http.timeout, stream.next()).await;
                let Ok(next) = next else {
                    Err(timeout(&format!("the next bytes of `{}`", http.host)))?;
                    break;
                };
                let Some(chunk) = next else { break };
                yield chunk.map_err(|error| http.broke(error))?;
            }
        }
        .boxed()
    }
}

/// Code and message of an error in XML or JSON, or the first words of another text.
pub(crate) fn said(text: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let error = &json["error"];
        let told = error["message"].as_str().or_else(|| error.as_str());
        return told.map(str::to_owned);
    }
    let element = |name: &str| {
        let from = text.find(&format!("<{name}>"))? + name.len() + 2;
        let length = text.get(from..)?.find("</")?;
        text.get(from..from + length).map(str::to_owned)
    };
    element("Code").or_else(|| element("title"))
}

/// What a status means for `key`.
pub(crate) fn meaning(status: StatusCode, said: &str, doing: &str, key: &str) -> Error {
    let cause = if said.is_empty() {
        format!("HTTP {}", status.as_u16())
    } else {
        format!("HTTP {}: {said}", status.as_u16())
    };
    let error = |code, message: String| Error::new(code, message).source(cause.clone());
    match status.as_u16() {
        401 => error(
            ErrorCode::ConnectionCredentials,
            "the service does not accept the credentials".to_owned(),
        )
        .hint("check user, password, token or key"),
        403 if said.contains("Authentication") || said.contains("Signature") => error(
            ErrorCode::ConnectionCredentials,
            "the service does not accept the credentials".to_owned(),
        )
        .hint("check the key or signature; it may have expired or been replaced"),
        403 | 405 => {
            error(ErrorCode::ConnectionDenied, format!("no permission to {doing} `{key}`"))
                .hint("ask for the right, or use other credentials")
        }
        404 | 410 => absent(key).source(cause),
        409 | 412 | 304 => changed(key).source(cause),
        408 | 504 => timeout(&format!("waiting to {doing} `{key}`")).source(cause),
        423 => error(ErrorCode::ConnectionBusy, format!("`{key}` is locked by somebody")),
        429 | 500 | 502 | 503 => error(
            ErrorCode::ConnectionBusy,
            format!("the service is busy and cannot {doing} `{key}`"),
        ),
        507 => error(ErrorCode::ConnectionFailed, format!("the service has no space for `{key}`"))
            .hint("free some space there"),
        300..=399 => error(
            ErrorCode::ConnectionFailed,
            format!("the service sends elsewhere for `{key}`, which is not followed"),
        )
        .hint("give the address it redirects to as ENDPOINT"),
        _ => error(ErrorCode::ConnectionFailed, format!("the service refuses to {doing} `{key}`")),
    }
}

/// A header as text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    headers.get(name)?.to_str().ok()
}

/// An `ETag` without quotes and without the mark of weak ones.
pub(crate) fn etag(headers: &HeaderMap) -> Option<String> {
    header(headers, "etag").map(plain_etag)
}

/// The same of a text.
pub(crate) fn plain_etag(text: &str) -> String {
    text.trim().trim_start_matches("W/").trim_matches('"').to_owned()
}

/// `Last-Modified`, or any time of that form.
pub(crate) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(Into::into)
}

/// `Range` of a request.
pub(crate) fn range_header(range: ByteRange) -> Option<String> {
    match range {
        ByteRange::Bounded(_, 0) | ByteRange::Last(0) => None,
        ByteRange::Bounded(from, length) => {
            Some(format!("bytes={from}-{}", from.saturating_add(length - 1)))
        }
        ByteRange::From(from) => Some(format!("bytes={from}-")),
        ByteRange::Last(length) => Some(format!("bytes=-{length}")),
    }
}

/// Size of the whole and bytes that come, of a good answer; None where the service does not say.
pub(crate) fn lengths(status: StatusCode, headers: &HeaderMap) -> Option<(u64, u64)> {
    let length = header(headers, "content-length").and_then(|text| text.parse().ok());
    if status == StatusCode::PARTIAL_CONTENT {
        let (range, size) =
            header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        return Some((size.parse().ok()?, last.checked_sub(first)? + 1));
    }
    length.map(|length| (length, length))
}

/// Reads and checks a PEM file of authorities.
pub(crate) fn authority_certificates(
    path: &str,
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
    use rustls::pki_types::pem::PemObject as _;
    let bad = |what: &str| {
        Error::new(ErrorCode::OptionInvalid, format!("CA_FILE `{path}` {what}"))
            .hint("CA_FILE is a file of certificates in PEM: `-----BEGIN CERTIFICATE-----`")
    };
    let pem = std::fs::read(path).map_err(|error| bad("cannot be read").source(error))?;
    let mut roots = rustls::RootCertStore::empty();
    let mut found = Vec::new();
    for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(&pem) {
        let certificate =
            certificate.map_err(|error| bad("is not valid PEM").source(error.to_string()))?;
        roots.add(certificate.clone()).map_err(|error| {
            bad("holds a certificate that cannot be used").source(error.to_string())
        })?;
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(bad("holds no certificate"));
    }
    Ok(found)
}

fn authorities(path: &str) -> Result<Vec<Certificate>> {
    authority_certificates(path)?
        .iter()
        .map(|der| {
            Certificate::from_der(der).map_err(|error| {
                Error::new(ErrorCode::OptionInvalid, format!("CA_FILE `{path}` cannot be used"))
                    .source(error)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn ranges_are_written_and_their_answers_read() {
        assert_eq!(range_header(ByteRange::Bounded(5, 10)).as_deref(), Some("bytes=5-14"));
        assert_eq!(range_header(ByteRange::Last(3)).as_deref(), Some("bytes=-3"));
        assert_eq!(range_header(ByteRange::Bounded(5, 0)), None);
        let part = headers(&[("content-range", "bytes 5-9/100"), ("content-length", "5")]);
        assert_eq!(lengths(StatusCode::PARTIAL_CONTENT, &part), Some((100, 5)));
        assert_eq!(lengths(StatusCode::OK, &headers(&[("content-length", "7")])), Some((7, 7)));
        assert_eq!(lengths(StatusCode::OK, &headers(&[])), None);
    }

    #[test]
    fn answers_of_services_become_codes_with_their_reason() {
        let all: Vec<String> = [
            (401, ""),
            (403, "AuthenticationFailed"),
            (403, ""),
            (404, ""),
            (412, ""),
            (503, "ServerBusy"),
            (302, ""),
            (418, ""),
        ]
        .into_iter()
        .map(|(status, said)| {
            let error = meaning(StatusCode::from_u16(status).unwrap(), said, "read", "a/b");
            format!("{}: {}", error.code(), error.chain())
        })
        .collect();
        insta::assert_snapshot!(all.join("\n"));
        assert_eq!(said("<Error><Code>NoSuchKey</Code></Error>").as_deref(), Some("NoSuchKey"));
        assert_eq!(said(r#"{"error": {"message": "no"}}"#).as_deref(), Some("no"));
    }
}
