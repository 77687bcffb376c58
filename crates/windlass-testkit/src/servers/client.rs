//! A small signing HTTP client, so that a test can prepare a server without the code under test.

use crate::object::hex;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client as Hyper, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// A key pair of a test server; made up, so it may be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
}

impl Keys {
    /// A pair from two texts.
    pub fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first XML element `name`.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let rest = text.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }
}

/// Speaks to one server as one identity, signing with version 4.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: String,
    keys: Option<Keys>,
    region: String,
    hyper: Hyper<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A client of `endpoint` (`http://host:port`); without keys it does not sign.
    pub fn new(endpoint: &str, keys: Option<Keys>) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            keys,
            region: "us-east-1".to_owned(),
            hyper: Hyper::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends one request. `path` is written as it goes over the wire, with a leading `/` and
    /// perhaps a query whose parameters are sorted and encoded.
    pub async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let body = body.into();
        let host = self.endpoint.trim_start_matches("http://").to_owned();
        let mut signed: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), (*value).to_owned()))
            .collect();
        signed.push(("host".to_owned(), host));
        if let Some(keys) = &self.keys {
            let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
            signed.push(("x-amz-content-sha256".to_owned(), hex(&Sha256::digest(&body))));
            signed.push(("x-amz-date".to_owned(), time.clone()));
            signed.sort();
            let authorization =
                authorization(keys, &self.region, service, method, path, &signed, &body, &time);
            signed.push(("authorization".to_owned(), authorization));
        }
        let mut request =
            http::Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        for (name, value) in &signed {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.hyper.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        let body =
            response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, body })
    }

    /// Sends and expects success.
    ///
    /// # Panics
    /// With the answer, where it is not a success.
    pub async fn expect(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let answer = self
            .send(service, method, path, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {}{path}: {error}", self.endpoint));
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
        answer
    }

    /// Creates a bucket in `region`; one that is there already is fine.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn create_bucket(&self, bucket: &str, region: &str) {
        let body = if region == "us-east-1" {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let answer = self.send("s3", "PUT", &format!("/{bucket}"), &[], body).await;
        let answer = answer.unwrap_or_else(|error| panic!("create bucket `{bucket}`: {error}"));
        assert!(
            answer.status < 300 || answer.status == 409,
            "create bucket `{bucket}`: {} {}",
            answer.status,
            answer.text()
        );
    }

    /// Stores an object under any key.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        self.expect("s3", "PUT", &object_path(bucket, key), &[], body).await;
    }

    /// Reads an object; None where there is none.
    ///
    /// # Panics
    /// Where the server refuses or fails.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let path = object_path(bucket, key);
        let answer = self.send("s3", "GET", &path, &[], Bytes::new()).await;
        let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        if answer.status == 404 {
            return None;
        }
        assert!(answer.status < 300, "GET {path}: {} {}", answer.status, answer.text());
        Some(answer.body)
    }

    /// Calls an action of a query service (IAM, STS) with parameters.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            let _ = write!(body, "&{name}={}", encode(value, false));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        self.expect(service, "POST", "/", &headers, body).await
    }
}

fn object_path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encode(key, true))
}

/// Percent-encodes all but the unreserved characters.
fn encode(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The `Authorization` header; `headers` are sorted and lower case.
#[allow(clippy::too_many_arguments, reason = "each is one line of the string to sign")]
fn authorization(
    keys: &Keys,
    region: &str,
    service: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
    time: &str,
) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // A parameter without a value is signed with an empty one.
    let query: Vec<String> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| if part.contains('=') { part.to_owned() } else { format!("{part}=") })
        .collect();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let lines = headers.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{name}:{}", value.trim());
        lines
    });
    let request = format!(
        "{method}\n{path}\n{}\n{lines}\n{names}\n{}",
        query.join("&"),
        hex(&Sha256::digest(body))
    );
    let day = &time[..8];
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text =
        format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let key = format!("AWS4{}", keys.secret_access_key).into_bytes();
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(key, |key, part| hmac(&key, part.as_bytes()));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.access_key_id,
        hex(&hmac(&key, text.as_bytes()))
    )
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner =
        Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}
