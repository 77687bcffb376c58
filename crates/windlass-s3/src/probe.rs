//! Testing a connection: one row a step, each with its own time limit, all within one.
//!
//! Knows what to try and in which order; what a failure means is said by `diagnose`, what each
//! step needs by [`crate::policy`]. Nothing is left behind: what it writes it removes.

mod diagnose;
mod identity;
mod local;
mod place;
mod reach;
mod silence;
mod write;

pub use local::probe_local;

use crate::access::ObjectAccess as _;
use crate::policy::{Verb, actions_for};
use crate::store::S3Store;
use aws_sdk_s3::config::retry::RetryConfig;
use chrono::Utc;
use diagnose::{Finding, Scene};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::time::{Duration, Instant};
use windlass_types::connection::S3Spec;
use windlass_types::{Error, ErrorCode, Result};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    Passed,
    /// It does not.
    Failed,
    /// It does not, and much can be done without it.
    Warning,
    /// It was not tried; the message says why.
    Skipped,
}

impl Status {
    /// `passed`, `failed`, `warning` or `skipped`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
        }
    }
}

/// One row of `TEST CONNECTION`. The first six fields are part of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeStep {
    /// What was tried.
    pub step: String,
    /// IAM actions it needs.
    pub permission: String,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub milliseconds: u64,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A failure of it means that the connection cannot be used.
    #[serde(default, skip_serializing)]
    pub required: bool,
}

/// How long a test may take. The three together stay under 30 seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// One step.
    pub(crate) step: Duration,
    /// All steps.
    pub(crate) total: Duration,
    /// Removing what was written, after that.
    pub(crate) cleanup: Duration,
    /// Finding out why the service did not answer, within a step.
    pub(crate) connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(8),
            total: Duration::from_secs(23),
            cleanup: Duration::from_secs(5),
            connect: Duration::from_secs(2),
        }
    }
}

/// Tests a connection: who, where, what may be listed and read, and with `write` also written.
///
/// Always answers within 30 seconds. Rows keep their order and are always all there.
pub async fn probe_s3(store: &S3Store, write: bool) -> Vec<ProbeStep> {
    probe_within(store, write, Limits::default()).await
}

pub(crate) async fn probe_within(store: &S3Store, write: bool, limits: Limits) -> Vec<ProbeStep> {
    let mut session = Session::new(store.clone(), limits);
    session.identity().await;
    session.role().await;
    session.reach().await;
    let found = session.places().await;
    session.region(&found).await;
    let sample = session.objects(&found).await;
    session.read(sample).await;
    session.metrics().await;
    if !write {
        return session.steps;
    }
    // In a task of its own: who stops waiting for the answer does not stop the removing.
    let before = session.steps.clone();
    match tokio::spawn(async move {
        session.write().await;
        session.steps
    })
    .await
    {
        Ok(steps) => steps,
        Err(_) => before,
    }
}

/// What a step came to.
enum Verdict<T> {
    Passed(T, String),
    Warning(Option<T>, Finding),
    Failed(Finding),
    Skipped(String),
}

/// What a step is, before it is tried.
struct Row {
    step: &'static str,
    verb: Option<Verb>,
    required: bool,
    /// A step that is too late or cannot pass only warns.
    warns: bool,
}

impl Row {
    const fn required(step: &'static str, verb: Option<Verb>) -> Self {
        Self { step, verb, required: true, warns: false }
    }

    const fn warns(step: &'static str, verb: Verb) -> Self {
        Self { step, verb: Some(verb), required: false, warns: true }
    }

    const fn writes(step: &'static str, verb: Verb) -> Self {
        Self { step, verb: Some(verb), required: false, warns: false }
    }
}

/// A test under way.
struct Session {
    store: S3Store,
    limits: Limits,
    began: Instant,
    steps: Vec<ProbeStep>,
    /// Why nothing further is tried.
    blocked: Option<String>,
    /// Masked.
    key_id: Option<String>,
    endpoint: String,
    name: String,
}

impl Session {
    fn new(store: S3Store, limits: Limits) -> Self {
        let endpoint = service_url(store.spec());
        let name = store.name().to_string();
        Self {
            store,
            limits,
            began: Instant::now(),
            steps: Vec::new(),
            blocked: None,
            key_id: None,
            endpoint,
            name,
        }
    }

    fn scene(&self, verb: Verb, bucket: Option<&str>, prefix: &str) -> Scene {
        Scene {
            spec: self.store.spec().clone(),
            name: self.name.clone(),
            verb,
            place: bucket.map(|bucket| format!("s3://{bucket}/{prefix}")).unwrap_or_default(),
            bucket: bucket.map(str::to_owned),
            key_id: self.key_id.clone(),
            endpoint: self.endpoint.clone(),
            now: Utc::now(),
        }
    }

    fn push(&mut self, row: &Row, status: Status, began: Instant, finding: Finding) {
        // A service may quote what it was sent.
        let mut cleaned = Error::new(ErrorCode::ConnectionFailed, finding.message);
        if let Some(hint) = finding.hint {
            cleaned = cleaned.hint(hint);
        }
        let cleaned = self.store.clean(cleaned);
        self.steps.push(ProbeStep {
            step: row.step.to_owned(),
            permission: row.verb.map(|verb| actions_for(verb).join(", ")).unwrap_or_default(),
            status,
            milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            message: cleaned.message().to_owned(),
            hint: cleaned.hint_text().map(str::to_owned),
            required: row.required,
        });
    }

    fn skip(&mut self, row: &Row, reason: impl Into<String>) {
        let finding = Finding { message: reason.into(), hint: None, fatal: false };
        self.push(row, Status::Skipped, Instant::now(), finding);
    }

    /// Says of the last `count` rows what to do.
    fn advise(&mut self, count: usize, hint: &str) {
        for step in self.steps.iter_mut().rev().take(count) {
            step.hint = Some(hint.to_owned());
        }
    }

    /// Notes what a step came to.
    fn note<T>(&mut self, row: &Row, began: Instant, verdict: Verdict<T>) -> Option<T> {
        match verdict {
            Verdict::Passed(value, message) => {
                self.push(
                    row,
                    Status::Passed,
                    began,
                    Finding { message, hint: None, fatal: false },
                );
                Some(value)
            }
            Verdict::Warning(value, finding) => {
                self.push(row, Status::Warning, began, finding);
                value
            }
            Verdict::Failed(finding) => {
                if finding.fatal || (row.required && row.verb != Some(Verb::List)) {
                    self.block(row);
                }
                let status = if row.warns { Status::Warning } else { Status::Failed };
                self.push(row, status, began, finding);
                None
            }
            Verdict::Skipped(reason) => {
                self.skip(row, reason);
                None
            }
        }
    }

    fn block(&mut self, row: &Row) {
        self.blocked.get_or_insert_with(|| format!("not tried: `{}` failed", row.step));
    }

    /// Tries a step within its time, unless an earlier one makes that pointless.
    async fn step<T>(
        &mut self,
        row: Row,
        late: Finding,
        work: impl Future<Output = Verdict<T>>,
    ) -> Option<T> {
        if let Some(reason) = self.blocked.clone() {
            self.skip(&row, reason);
            return None;
        }
        let left = self.limits.total.saturating_sub(self.began.elapsed());
        if left < Duration::from_millis(100) {
            self.skip(&row, "not tried: the time for the whole test is used up");
            return None;
        }
        let began = Instant::now();
        let verdict = tokio::time::timeout(left.min(self.limits.step), work)
            .await
            .unwrap_or(Verdict::Failed(late));
        self.note(&row, began, verdict)
    }

    /// A client that gives up soon: whether there is a service must not wait for retries.
    async fn client(store: &S3Store) -> Result<aws_sdk_s3::Client> {
        let client = store.base_client().await?;
        let retries = RetryConfig::standard().with_max_attempts(2);
        Ok(aws_sdk_s3::Client::from_conf(
            client.config().to_builder().retry_config(retries).build(),
        ))
    }
}

/// The address requests go to, as a person would write it.
fn service_url(spec: &S3Spec) -> String {
    if let Some(endpoint) = &spec.endpoint {
        return endpoint.clone();
    }
    let region = spec.region.as_deref().unwrap_or("us-east-1");
    format!("https://s3.{region}.{}", domain(region))
}

pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The last four characters of an access key id.
fn masked(id: &str) -> String {
    let tail: String = if id.chars().count() >= 8 {
        id.chars().skip(id.chars().count() - 4).collect()
    } else {
        String::new()
    };
    format!("****{tail}")
}

#[cfg(test)]
mod tests;
