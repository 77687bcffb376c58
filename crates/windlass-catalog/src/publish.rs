//! Publishing to an OpenMetadata server over its REST API (reference sections 7, 9 and 10).
//!
//! Containers are created or updated, parents before what lies in them, side by side otherwise. What
//! is sent twice changes nothing, so an answer that was lost is asked for again. Only what our own
//! rule has marked deleted is deleted there ([`crate::gone`]).

mod bodies;

pub use bodies::Entity;

use crate::names;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use windlass_types::{Error, ErrorCode, Result};

/// Requests side by side.
const AT_ONCE: usize = 8;
/// Times a request is sent before it is given up.
const TRIES: u32 = 6;
/// Times that a server is called which has never answered.
const FIRST: u32 = 3;
/// Longest pause that a server may ask for.
const LONGEST: Duration = Duration::from_mins(1);
/// Characters of a server's answer that are told.
const TOLD: usize = 300;
/// Containers of a server's page.
const PAGE: usize = 1000;

/// A server, and how it is asked.
#[derive(Debug)]
pub struct Target {
    /// Up to and with `/api`: `http://host:8585/api`.
    pub host: String,
    /// The token of a user or bot.
    pub token: Option<SecretString>,
    /// First pause before a request is sent again; it doubles.
    pub pause: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// What sends the requests, if it is made already; it may have other credentials.
    pub client: Option<Client>,
    /// Texts that a server may repeat and nobody shall see.
    pub hidden: Vec<SecretString>,
}

impl Target {
    /// A server with OpenMetadata's own waits.
    pub fn new(host: String, token: Option<SecretString>) -> Self {
        let hidden = token.iter().cloned().collect();
        Self {
            host,
            token,
            hidden,
            pause: Duration::from_secs(1),
            timeout: Duration::from_mins(5),
            client: None,
        }
    }
}

/// What was published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Whether the service was made; false: it was there.
    pub service_made: bool,
    /// Containers that were created or updated.
    pub containers: u64,
    /// Containers that were deleted there.
    pub deleted: u64,
    /// Containers that were not taken, and why.
    pub failed: Vec<(String, String)>,
    /// Requests that were sent, again counted.
    pub requests: u64,
}

/// One round of publishing a service.
#[derive(Debug)]
pub struct Publisher {
    client: Client,
    target: Target,
    service: String,
    /// Ids of containers by fully qualified name: what lies in them needs it.
    ids: HashMap<String, String>,
    /// Classifications and tags that are there: key and value.
    tags: BTreeSet<(String, String)>,
    keys: BTreeSet<String>,
    requests: AtomicU64,
    /// Whether the server has ever answered.
    answered: AtomicBool,
    done: Published,
}

/// An answer: its status and its body, if it is JSON.
type Answer = (StatusCode, Value);

impl Publisher {
    /// Makes the service if it is not there, and begins; one that is there is left as it is.
    pub async fn begin(target: Target, service: &str, description: Option<&str>) -> Result<Self> {
        let client = match &target.client {
            Some(client) => client.clone(),
            None => Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .timeout(target.timeout)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| {
                    Error::new(ErrorCode::Internal, "no client for OpenMetadata").source(error)
                })?,
        };
        let mut publisher = Self {
            client,
            target,
            service: names::quote(service),
            ids: HashMap::new(),
            tags: BTreeSet::new(),
            keys: BTreeSet::new(),
            requests: 0.into(),
            answered: false.into(),
            done: Published::default(),
        };
        let name = segment(&publisher.service);
        let path = format!("v1/services/storageServices/name/{name}");
        let (status, _) = publisher.send(Method::GET, &path, None).await?;
        if status == StatusCode::NOT_FOUND {
            let body = bodies::service(service, description);
            publisher.must(Method::PUT, "v1/services/storageServices", &body).await?;
            publisher.done.service_made = true;
        } else if !status.is_success() {
            return Err(publisher.refused(status, &Value::Null, &path));
        }
        Ok(publisher)
    }

    /// Publishes containers. What one lies in must have come before, or be among them.
    pub async fn publish(&mut self, entities: &[Entity]) -> Result<()> {
        self.publish_tags(entities).await?;
        let mut levels: BTreeMap<usize, Vec<&Entity>> = BTreeMap::new();
        for entity in entities {
            levels.entry(entity.found.parents.len()).or_default().push(entity);
        }
        for level in levels.into_values() {
            let answers: Vec<(&Entity, Result<std::result::Result<String, String>>)> = {
                let this = &*self;
                // Boxed one by one: a closure over references would not be `Send` for every lifetime.
                let mut asked: Vec<BoxFuture<'_, _>> = Vec::new();
                for entity in level {
                    asked.push(Box::pin(async move { (entity, this.publish_one(entity).await) }));
                }
                stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
            };
            for (entity, answer) in answers {
                match answer? {
                    Ok(id) => {
                        self.done.containers += 1;
                        self.ids.insert(entity.fqn.clone(), id);
                    }
                    Err(why) => self.done.failed.push((entity.fqn.clone(), why)),
                }
            }
        }
        Ok(())
    }

    /// The id of the container there, or why it was not taken.
    async fn publish_one(&self, entity: &Entity) -> Result<std::result::Result<String, String>> {
        if let Some(why) = bodies::refusal(entity) {
            return Ok(Err(why));
        }
        let parent = match &entity.parent {
            None => None,
            Some(fqn) => match self.ids.get(fqn) {
                Some(id) => Some(id.as_str()),
                None => return Ok(Err(format!("`{fqn}`, in which it lies, was not taken"))),
            },
        };
        let body = bodies::container(entity, &self.service, parent);
        let (status, answer) = self.send(Method::PUT, "v1/containers", Some(&body)).await?;
        if !status.is_success() {
            return Ok(Err(self.said(status, &answer)));
        }
        match answer.get("id").and_then(Value::as_str) {
            Some(id) => Ok(Ok(id.to_owned())),
            None => Ok(Err("the server's answer has no id".to_owned())),
        }
    }

    /// Makes the classifications and tags that the containers carry. One that cannot be made is told
    /// with the container that needs it.
    async fn publish_tags(&mut self, entities: &[Entity]) -> Result<()> {
        let all: BTreeSet<(String, String)> = entities
            .iter()
            .flat_map(|entity| bodies::tags(&entity.found))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        for (key, value) in all {
            if self.tags.contains(&(key.clone(), value.clone())) {
                continue;
            }
            if self.keys.insert(key.clone()) {
                self.send(Method::PUT, "v1/classifications", Some(&bodies::classification(&key)))
                    .await?;
            }
            self.send(Method::PUT, "v1/tags", Some(&bodies::tag(&key, &value))).await?;
            self.tags.insert((key, value));
        }
        Ok(())
    }

    /// Deletes there what is marked deleted here, softly: what comes back there has its history.
    /// Containers that we know nothing of stay.
    pub async fn delete(&mut self, gone: &BTreeSet<String>) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let there = self.there().await?;
        let stale: Vec<(String, String)> =
            there.iter().filter(|(fqn, _)| gone.contains(fqn)).cloned().collect();
        let seen: Vec<&String> =
            there.iter().map(|(fqn, _)| fqn).filter(|fqn| !gone.contains(*fqn)).collect();
        if stale.is_empty() {
            return Ok(());
        }
        // A server takes an empty list for a mistake; and so it would be.
        if !seen.is_empty() {
            let body = json!({
                "scopeFqn": self.service, "scopeEntityType": "service", "seenFqns": seen,
                "recursive": true,
            });
            let path = "v1/containers/deleteStale";
            let (status, answer) = self.send(Method::DELETE, path, Some(&body)).await?;
            if status.is_success() {
                self.done.deleted += stale.len() as u64;
                return Ok(());
            }
            if status != StatusCode::NOT_FOUND && status != StatusCode::METHOD_NOT_ALLOWED {
                return Err(self.refused(status, &answer, path));
            }
        }
        for (fqn, id) in stale {
            let path = format!("v1/containers/{id}?recursive=true&hardDelete=false");
            let (status, answer) = self.send(Method::DELETE, &path, None).await?;
            // Gone already: with what it lay in, or by a request whose answer was lost.
            if status.is_success() || status == StatusCode::NOT_FOUND {
                self.done.deleted += 1;
            } else {
                let why = self.said(status, &answer);
                self.done.failed.push((fqn, why));
            }
        }
        Ok(())
    }

    /// Every container of the service there: fully qualified name and id.
    async fn there(&self) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let service = segment(&self.service);
            let mut path = format!("v1/containers?service={service}&limit={PAGE}");
            if let Some(after) = &after {
                path.push_str("&after=");
                path.push_str(&segment(after));
            }
            let (status, answer) = self.send(Method::GET, &path, None).await?;
            if !status.is_success() {
                return Err(self.refused(status, &answer, "v1/containers"));
            }
            for one in answer["data"].as_array().into_iter().flatten() {
                if let (Some(fqn), Some(id)) =
                    (one["fullyQualifiedName"].as_str(), one["id"].as_str())
                {
                    all.push((fqn.to_owned(), id.to_owned()));
                }
            }
            let next = answer["paging"]["after"].as_str().map(str::to_owned);
            if next.is_none() || next == after {
                return Ok(all);
            }
            after = next;
        }
    }

    /// What was done.
    pub fn end(mut self) -> Published {
        self.done.failed.sort();
        self.done.requests = self.requests.into_inner();
        self.done
    }

    async fn must(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.send(method, path, Some(body)).await?;
        if status.is_success() { Ok(answer) } else { Err(self.refused(status, &answer, path)) }
    }

    /// Sends a request until it is answered with more than "later". An error ends all: nobody is
    /// there, or the token is refused.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}/{path}", self.target.host.trim_end_matches('/'));
        let mut pause = self.target.pause;
        for attempt in 1..=TRIES {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let mut request = self.client.request(method.clone(), &url);
            if let Some(token) = &self.target.token {
                request = request.bearer_auth(token.expose_secret());
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let mut wait = pause;
            match request.send().await {
                Ok(response) => {
                    self.answered.store(true, Ordering::Relaxed);
                    let status = response.status();
                    let later = match status {
                        StatusCode::TOO_MANY_REQUESTS => {
                            let asked = response.headers().get(reqwest::header::RETRY_AFTER);
                            let seconds = asked.and_then(|text| text.to_str().ok()?.parse().ok());
                            if let Some(seconds) = seconds {
                                wait = Duration::from_secs(seconds).min(LONGEST);
                            }
                            true
                        }
                        StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT => true,
                        _ => false,
                    };
                    if !later || attempt == TRIES {
                        match response.text().await {
                            Ok(text) => {
                                let body = serde_json::from_str(&text).unwrap_or(Value::Null);
                                return self.checked(status, body, path);
                            }
                            // The answer broke off: it is asked for again.
                            Err(error) if attempt == TRIES => return Err(self.lost(error)),
                            Err(_) => {}
                        }
                    }
                }
                Err(error) => {
                    let nobody = error.is_connect() && !self.answered.load(Ordering::Relaxed);
                    let most = if nobody { FIRST } else { TRIES };
                    if attempt >= most || error.is_builder() {
                        return Err(self.lost(error));
                    }
                }
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST);
        }
        Err(Error::new(ErrorCode::Internal, "a request was neither answered nor given up"))
    }

    /// An answer, unless it says that the token is none.
    fn checked(&self, status: StatusCode, answer: Value, path: &str) -> Result<Answer> {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.refused(status, &answer, path))
            }
            _ => Ok((status, answer)),
        }
    }

    fn lost(&self, error: reqwest::Error) -> Error {
        let host = self.target.host.as_str();
        let message = format!("OpenMetadata at `{}` does not answer", shown(host));
        self.quiet(Error::new(ErrorCode::ConnectionUnreachable, message).source(error.without_url()))
            .hint("check its address (hostPort, or ENDPOINT of the connection), and that the server is up; what was published stays, and publishing again goes on")
    }

    fn refused(&self, status: StatusCode, answer: &Value, path: &str) -> Error {
        let path = path.split('?').next().unwrap_or_default();
        let said = self.said(status, answer);
        let message = format!("OpenMetadata refused `{path}`: {said}");
        let (code, hint) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
                ErrorCode::ConnectionDenied,
                "check the token (jwtToken, or TOKEN of the connection), and that its user may create services and containers",
            ),
            status if status.is_server_error() => {
                (ErrorCode::ConnectionFailed, "see the log of the server, and try again")
            }
            _ => (
                ErrorCode::ConnectionRejected,
                "check its address (hostPort, or ENDPOINT of the connection): it ends with /api",
            ),
        };
        self.quiet(Error::new(code, message).hint(hint))
    }

    /// What a server says, without secrets, should it say them.
    fn said(&self, status: StatusCode, answer: &Value) -> String {
        let text = answer["message"].as_str().unwrap_or_default();
        let text: String = text.chars().take(TOLD).collect();
        let hidden = self.target.hidden.iter().map(ExposeSecret::expose_secret);
        let text = hidden
            .filter(|secret| !secret.is_empty())
            .fold(text, |text, secret| text.replace(secret, "********"));
        let space = if text.is_empty() { "" } else { ": " };
        format!("{}{space}{text}", status.as_u16())
    }

    fn quiet(&self, error: Error) -> Error {
        let hidden = self.target.hidden.iter();
        hidden.fold(error, |error, secret| error.without(secret.expose_secret()))
    }
}

/// A URL without a user in it.
fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let at = host.rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[at..])
        }
        None => "an address without a scheme".to_owned(),
    }
}

/// A text as a segment or a value of a URL.
fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
