//! The alerts of a run: written with its end, delivered afterwards, tried again.

use super::{Alert, AlertSettings, AlertTarget, Occasion, Value, email, link, occasions, webhook};
use crate::clock::Clock;
use crate::retry;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use tracing::{info, warn};
use windlass_state::{AlertRow, Delivery, NewAlert, RunEnd, RunRow, Store};
use windlass_types::{Error, ErrorCode, FabricId, JobPolicy, Level, Name, Result, RunId};

/// How often delivery is tried, over about an hour.
const ATTEMPTS: u32 = 8;

/// How long one delivery may take before another process may try it.
const TURN: TimeDelta = TimeDelta::minutes(2);

/// Decides which alerts the end of a run makes due.
pub(crate) async fn due_alerts(
    store: &Store,
    settings: &AlertSettings,
    row: &RunRow,
    end: &RunEnd,
    now: DateTime<Utc>,
) -> Result<Vec<NewAlert>> {
    let Some(id) = row.job else { return Ok(Vec::new()) };
    let job = match store.job_by_id(id).await {
        Ok(job) => job,
        // Dropped meanwhile: nobody is to be told.
        Err(error) if error.code() == ErrorCode::JobNotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let rules: Vec<Alert> = match serde_json::from_value(job.alerts.clone()) {
        Ok(rules) => rules,
        Err(error) => {
            warn!(job = %job.name, %error, "cannot read the alerts of a job");
            return Ok(Vec::new());
        }
    };
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let happened = occasions(end.state, store.state_before(id, row.id).await?);
    let fabric = store.fabrics().await?.into_iter().find(|fabric| fabric.id == row.fabric);
    let mut alerts = Vec::new();
    for rule in rules {
        // The rarer word says more.
        let Some(occasion) = happened.iter().rev().find(|one| rule.on.contains(one)) else {
            continue;
        };
        let name = fabric.as_ref().map(|fabric| fabric.name.as_str());
        let url = settings.base_url.as_deref().map(|base| link(base, name, row.id));
        let body = json!({
            "event": occasion,
            "job": job.name.as_str(),
            "fabric": name,
            "run": row.id,
            "kind": row.kind,
            "state": end.state,
            "cause": row.cause,
            "attempt": row.attempt,
            "scheduled_for": row.scheduled_for,
            "started": row.started,
            "finished": now,
            "summary": end.summary,
            "error": end.error,
            "url": url,
        });
        let target = serde_json::to_value(&rule.target).map_err(|error| {
            Error::new(ErrorCode::Internal, "cannot write as JSON").source(error)
        })?;
        alerts.push(NewAlert { target, body });
    }
    Ok(alerts)
}

/// Delivers what is due, at most `limit` alerts. Answers the run of each, and why it will be tried
/// again, if it will.
pub(crate) async fn deliver_due(
    store: &Store,
    settings: &AlertSettings,
    clock: &dyn Clock,
    limit: u32,
) -> Result<Vec<(RunId, Option<String>)>> {
    let now = clock.now();
    let mut tried = Vec::new();
    for alert in store.take_alerts(now, now + TURN, limit).await? {
        let result = deliver(settings, &alert, now).await;
        let (state, error, wait) = match &result {
            Ok(()) => (Delivery::Sent, None, 0),
            Err(error) if alert.attempts >= ATTEMPTS || !error.class().is_retryable() => {
                (Delivery::Failed, Some(error.chain()), 0)
            }
            Err(error) => {
                let policy = JobPolicy { retry_delay: 15, ..JobPolicy::default() };
                let random = retry::scatter(alert.attempts.into(), &[alert.id.len() as u64]);
                let wait = retry::delay(&policy, alert.attempts, random).as_secs();
                (Delivery::Pending, Some(error.chain()), wait)
            }
        };
        let next = clock.now() + TimeDelta::seconds(i64::try_from(wait).unwrap_or(3_600));
        if let (Delivery::Failed, Some(error)) = (state, &error) {
            given_up(store, &alert, error, clock.now()).await;
        }
        store.alert_delivered(&alert.id, state, error.as_deref(), next).await?;
        match &error {
            None => info!(run = %alert.run, "alert sent"),
            Some(error) => {
                warn!(run = %alert.run, state = state.as_str(), error, "alert not sent");
            }
        }
        tried.push((alert.run, error.filter(|_| state == Delivery::Pending)));
    }
    Ok(tried)
}

/// Says in the log of its run that nobody was told.
async fn given_up(store: &Store, alert: &AlertRow, why: &str, now: DateTime<Utc>) {
    let text = format!("an alert was not delivered: {why}");
    if let Err(error) = store.add_event(alert.run, now, Level::Error, &text).await {
        warn!(run = %alert.run, error = error.chain(), "the log of a run cannot be written");
    }
}

async fn deliver(settings: &AlertSettings, alert: &AlertRow, now: DateTime<Utc>) -> Result<()> {
    let target: AlertTarget = serde_json::from_value(alert.target.clone()).map_err(|error| {
        Error::new(ErrorCode::StateNewer, "the target of the alert cannot be read").source(error)
    })?;
    match target {
        AlertTarget::Webhook { url, secret } => {
            let url = match url {
                Value::Text(url) => SecretString::from(url),
                Value::Secret(name) => open(settings, alert.fabric, &name).await?,
            };
            let secret = match secret {
                Some(name) => Some(open(settings, alert.fabric, &name).await?),
                None => None,
            };
            webhook::post(&url, secret.as_ref(), &alert.id, &alert.body, now).await
        }
        AlertTarget::Email { recipients } => {
            let smtp = settings.smtp.as_ref().ok_or_else(|| {
                Error::new(ErrorCode::OptionInvalid, "no mail server is set up").hint(
                    "give the process that runs jobs the settings of one; docs/guide/server.md has them",
                )
            })?;
            email::send(smtp, &recipients, &alert.id, &alert.body).await
        }
    }
}

async fn open(settings: &AlertSettings, fabric: FabricId, name: &Name) -> Result<SecretString> {
    let secrets = settings.secrets.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::SecretSource, format!("secret {name} cannot be opened here"))
    })?;
    secrets.secret(fabric, name).await
}

impl Alert {
    /// Checks what can be checked without sending.
    pub(crate) fn check(&self) -> Result<()> {
        if self.on.is_empty() {
            return Err(Error::new(ErrorCode::OptionInvalid, "an alert names no occasion")
                .hint("occasions are FAILED, PARTIAL, SUCCESS, RECOVERED"));
        }
        match &self.target {
            AlertTarget::Webhook { url: Value::Text(url), .. } => webhook::check(url).map(drop),
            AlertTarget::Webhook { url: Value::Secret(_), .. } => Ok(()),
            AlertTarget::Email { recipients } => email::check(recipients),
        }
    }
}

impl Occasion {
    /// Every occasion.
    pub const ALL: &'static [Self] = &[Self::Failed, Self::Partial, Self::Success, Self::Recovered];
}
