//! Google Cloud Storage in this process, as far as a storage needs it: the JSON interface, reading by
//! the XML one, resumable uploads, generations and their conditions, tokens of a service account.
//!
//! It is stricter than helpful: what the service would refuse is refused, and pages are short.

mod answer;
mod objects;
mod uploads;

use crate::object::hex;
use answer::{Answer, error};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// The project of the service account.
const PROJECT: &str = "windlass-test";

/// Its e-mail address.
const EMAIL: &str = "loader@windlass-test.iam.gserviceaccount.com";

/// A stored object.
#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    generation: u64,
    created: chrono::DateTime<chrono::Utc>,
    /// As it was described: type, headers, metadata.
    about: Value,
}

/// An upload that was begun.
#[derive(Debug, Clone)]
struct Session {
    bucket: String,
    key: String,
    about: Value,
    condition: Option<u64>,
    bytes: Vec<u8>,
}

/// What must not be there twice.
#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    sessions: HashMap<String, Session>,
    tokens: Vec<String>,
    generation: u64,
    rewrites: HashMap<String, usize>,
    break_uploads: usize,
    requests: Vec<String>,
}

struct Inner {
    state: Mutex<State>,
    key: RsaKeyPair,
    address: SocketAddr,
}

/// The service; ends when dropped.
pub struct TestGcs {
    inner: Arc<Inner>,
    accepting: AbortHandle,
}

impl std::fmt::Debug for TestGcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestGcs").field("address", &self.inner.address).finish_non_exhaustive()
    }
}

impl Drop for TestGcs {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A request as it is answered.
struct Asked {
    method: String,
    /// Levels of the path, decoded one by one.
    levels: Vec<String>,
    /// The path as it was sent.
    path: String,
    raw_query: String,
    query: BTreeMap<String, String>,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn generation(&self, name: &str) -> Result<Option<u64>, Answer> {
        match self.query.get(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| error(400, "Invalid generation")),
        }
    }
}

/// Makes a state of the service consistent with its conditions: the generation that is there, 0 for
/// none.
fn holds(wanted: Option<u64>, there: Option<&Object>) -> Result<(), Answer> {
    match wanted {
        Some(wanted) if wanted != there.map_or(0, |object| object.generation) => {
            Err(error(412, "At least one of the pre-conditions you specified did not hold."))
        }
        _ => Ok(()),
    }
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// CRC-32C in the service's form, computed bit by bit.
fn crc32c(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 }
        })
    });
    STANDARD.encode((!sum).to_be_bytes())
}

impl TestGcs {
    /// Starts the service on a free port of the loopback interface.
    ///
    /// # Panics
    /// Where the machine has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let inner = Arc::new(Inner { state: Mutex::default(), key, address });
        let serving = Arc::clone(&inner);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let inner = Arc::clone(&serving);
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let inner = Arc::clone(&inner);
                        async move { inner.serve(request).await }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        })
        .abort_handle();
        Self { inner, accepting }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Text of the key file of the service account.
    ///
    /// # Panics
    /// Never in fact: a key that was made can be written.
    pub fn service_account(&self) -> String {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = self.inner.key.as_der().expect("a key");
        self.file(&STANDARD.encode(der.as_ref()))
    }

    /// Text of a key file of the same account whose key is another one.
    ///
    /// # Panics
    /// Where the machine cannot make keys.
    pub fn replaced_service_account(&self) -> String {
        let key = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().expect("a key");
        self.file(&STANDARD.encode(der.as_ref()))
    }

    fn file(&self, key: &str) -> String {
        let lines: Vec<&str> =
            key.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        json!({
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "0123456789abcdef",
            "private_key": pem,
            "client_email": EMAIL,
            "token_uri": format!("{}/token", self.endpoint()),
        })
        .to_string()
    }

    /// Makes an empty bucket.
    pub fn create_bucket(&self, name: &str) {
        self.inner.lock().buckets.entry(name.to_owned()).or_default();
    }

    /// Keys of a bucket, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.inner.lock();
        state.buckets.get(bucket).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The next pieces of uploads break off after half of their bytes.
    pub fn break_uploads(&self, count: usize) {
        self.inner.lock().break_uploads = count;
    }

    /// Tokens given so far end at once.
    pub fn end_tokens(&self) {
        self.inner.lock().tokens.clear();
    }

    /// Uploads that were begun and neither ended nor given up.
    pub fn open_uploads(&self) -> usize {
        self.inner.lock().sessions.len()
    }

    /// Methods and paths of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.inner.lock().requests.clone()
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(
        &self,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let query = raw_query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (decode(name), decode(value))).collect();
        let mut asked = Asked {
            method: parts.method.to_string(),
            levels: path.split('/').skip(1).map(decode).collect(),
            path,
            raw_query,
            query,
            headers: parts.headers,
            body: Bytes::new(),
        };
        let half = self.breaks(&asked);
        asked.body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(std::io::Error::other(error)),
        };
        self.lock().requests.push(format!("{} {}", asked.method, asked.path));
        if half {
            self.keep_half(&asked);
            return Err(std::io::Error::other("broken off"));
        }
        let answer = self.answer(&asked).unwrap_or_else(|refusal| refusal);
        Ok(answer.response(&asked.method))
    }

    fn answer(&self, asked: &Asked) -> Result<Answer, Answer> {
        let levels: Vec<&str> = asked.levels.iter().map(String::as_str).collect();
        if levels[..] == ["token"] && asked.method == "POST" {
            return self.token(&asked.body);
        }
        let signed = asked.query.contains_key("X-Goog-Signature");
        if signed {
            self.check_signature(asked)?;
        } else {
            self.check_token(asked)?;
        }
        match levels[..] {
            ["storage", "v1", "b"] => self.buckets(asked),
            ["storage", "v1", "b", bucket] => self.bucket(asked, bucket),
            ["storage", "v1", "b", bucket, "o"] => self.list(asked, bucket),
            ["storage", "v1", "b", bucket, "o", key] => self.object(asked, bucket, key),
            ["storage", "v1", "b", bucket, "o", key, "rewriteTo", "b", to, "o", name] => {
                self.rewrite(asked, (bucket, key), (to, name))
            }
            ["upload", "storage", "v1", "b", bucket, "o"] => self.upload(asked, bucket),
            [bucket, _, ..] => {
                let key = asked.levels[1..].join("/");
                self.media(asked, bucket, &key)
            }
            _ => Err(error(404, "Not Found")),
        }
    }

    /// Gives a token for an assertion that the service account signed.
    fn token(&self, body: &[u8]) -> Result<Answer, Answer> {
        let refused = |why: &str| {
            let body = json!({ "error": "invalid_grant", "error_description": why });
            Answer::json(400, &body)
        };
        let form: BTreeMap<String, String> = String::from_utf8_lossy(body)
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let assertion = form.get("assertion").cloned().unwrap_or_default();
        let Some((text, signature)) = assertion.rsplit_once('.') else {
            return Err(refused("Bad Request"));
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        if !self.signed(text.as_bytes(), &signature) {
            return Err(refused("Invalid JWT Signature."));
        }
        let claims = text.split_once('.').map_or("", |(_, claims)| claims);
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap_or_default())
                .unwrap_or_default();
        let now = chrono::Utc::now().timestamp();
        let time = |name: &str| claims[name].as_i64().unwrap_or_default();
        let right = claims["iss"] == EMAIL
            && claims["aud"] == format!("http://{}/token", self.address)
            && claims["scope"].as_str().is_some_and(|scope| scope.contains("devstorage."))
            && time("iat") <= now + 60
            && time("exp") > now
            && time("exp") <= time("iat") + 3600;
        if !right {
            return Err(refused("Invalid JWT: check its claims."));
        }
        let mut state = self.lock();
        let token = format!("ya29.test-{}", uuid::Uuid::new_v4());
        state.tokens.push(token.clone());
        Ok(Answer::json(
            200,
            &json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }),
        ))
    }

    fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let public = self.key.public_key().as_ref();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(text, signature).is_ok()
    }

    fn check_token(&self, asked: &Asked) -> Result<(), Answer> {
        let token = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let state = self.lock();
        if token.is_some_and(|token| state.tokens.iter().any(|known| known == token)) {
            return Ok(());
        }
        Err(error(401, "Invalid Credentials"))
    }

    /// Checks a V4 signature of the whole request.
    fn check_signature(&self, asked: &Asked) -> Result<(), Answer> {
        use sha2::Digest as _;
        let bad = || error(403, "SignatureDoesNotMatch");
        let (query, signature) =
            asked.raw_query.rsplit_once("&X-Goog-Signature=").ok_or_else(bad)?;
        let part = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
        let credential = part("X-Goog-Credential");
        let scope = credential.split_once('/').map(|(_, scope)| scope).ok_or_else(bad)?;
        let canonical = format!(
            "{}\n{}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD",
            asked.method, asked.path, self.address
        );
        let sum = hex(&sha2::Sha256::digest(canonical.as_bytes()));
        let text = format!("GOOG4-RSA-SHA256\n{}\n{scope}\n{sum}", part("X-Goog-Date"));
        let hex = |at: usize| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok();
        let signature: Option<Vec<u8>> = (0..signature.len()).step_by(2).map(hex).collect();
        if self.signed(text.as_bytes(), &signature.unwrap_or_default()) {
            Ok(())
        } else {
            Err(bad())
        }
    }
}
