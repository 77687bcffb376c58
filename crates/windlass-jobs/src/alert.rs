//! Alerts: who is told how a run ended. What is sent is here; sending is in the two files below.

mod email;
mod outbox;
mod webhook;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use windlass_state::DEFAULT_FABRIC;
use windlass_types::{Error, ErrorCode, FabricId, Name, Result, RunId, RunState};

pub(crate) use outbox::{deliver_due, due_alerts};

/// Refuses the URL of a webhook that no delivery would take, as far as its text tells.
pub fn check_webhook(url: &str) -> Result<()> {
    webhook::check(url).map(drop)
}

/// Refuses what is no address of an installation: links are made of it.
pub fn check_base_url(url: &str) -> Result<()> {
    let parsed = url.parse::<url::Url>().ok();
    let whole = parsed.is_some_and(|parsed| {
        matches!(parsed.scheme(), "http" | "https")
            && parsed.has_host()
            && parsed.query().is_none()
            && parsed.fragment().is_none()
    });
    if whole {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::UsageInvalid,
        format!("`{}` is not where people reach an installation", url.escape_default()),
    )
    .hint("write `https://host`, or `https://host/path`"))
}

/// Where people see a run.
fn link(base: &str, fabric: Option<&str>, run: RunId) -> String {
    let page = format!("{}/api/v1/runs/{run}", base.trim_end_matches('/'));
    match fabric.filter(|name| *name != DEFAULT_FABRIC) {
        Some(name) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            format!("{page}?{}", query.append_pair("fabric", name).finish())
        }
        None => page,
    }
}

/// When somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The run failed, after all attempts.
    Failed,
    /// The run ended, but some items failed.
    Partial,
    /// The run did everything.
    Success,
    /// The run did everything, and the one before it had not.
    Recovered,
}

/// A text that may be a secret: a webhook's URL often holds a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// The text itself.
    Text(String),
    /// A secret of the fabric, by name.
    Secret(Name),
}

/// Where an alert goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
pub enum AlertTarget {
    /// POST of JSON.
    Webhook {
        /// Where to; `https`, or `http` for hosts of one's own.
        url: Value,
        /// Signs the body, if given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<Name>,
    },
    /// A mail by the server that the settings name.
    Email {
        /// Addresses.
        recipients: Vec<String>,
    },
}

/// One rule of a job: tell them then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// When; [`Occasion::Failed`] and [`Occasion::Partial`] are the usual ones.
    pub on: Vec<Occasion>,
    /// Where to.
    #[serde(flatten)]
    pub target: AlertTarget,
}

impl Alert {
    /// The secrets it names.
    pub fn secrets(&self) -> impl Iterator<Item = &Name> {
        let (url, signing) = match &self.target {
            AlertTarget::Webhook { url: Value::Secret(name), secret } => {
                (Some(name), secret.as_ref())
            }
            AlertTarget::Webhook { secret, .. } => (None, secret.as_ref()),
            AlertTarget::Email { .. } => (None, None),
        };
        url.into_iter().chain(signing)
    }
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// TLS from the first byte (port 465).
    Implicit,
    /// STARTTLS, required (port 587).
    StartTls,
    /// Not at all: only for a server on the same machine.
    None,
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection.
    pub tls: SmtpTls,
    /// User and password, where the server asks for them.
    pub login: Option<(String, SecretString)>,
    /// The sender's address.
    pub from: String,
}

/// Opens named secrets at the moment they are used; given by core.
#[async_trait::async_trait]
pub trait SecretSource: Send + Sync {
    /// Opens a secret of a fabric.
    async fn secret(&self, fabric: FabricId, name: &Name) -> Result<SecretString>;
}

/// What delivery needs.
#[derive(Clone, Default)]
pub struct AlertSettings {
    /// The mail server; without one, e-mail alerts fail and say so.
    pub smtp: Option<Smtp>,
    /// Where this installation can be reached by people, for links in alerts; see
    /// [`check_base_url`].
    pub base_url: Option<String>,
    /// Opens secrets; without it, alerts that name one fail and say so.
    pub secrets: Option<std::sync::Arc<dyn SecretSource>>,
}

impl std::fmt::Debug for AlertSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertSettings")
            .field("smtp", &self.smtp)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// Decides which occasions the end of a run is, knowing how the one before it ended.
pub(crate) fn occasions(state: RunState, before: Option<RunState>) -> &'static [Occasion] {
    match state {
        RunState::Failed => &[Occasion::Failed],
        RunState::Partial => &[Occasion::Partial],
        RunState::Succeeded => match before {
            Some(RunState::Failed | RunState::Partial) => &[Occasion::Success, Occasion::Recovered],
            _ => &[Occasion::Success],
        },
        RunState::Queued | RunState::Running | RunState::Cancelled | RunState::Skipped => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_run_in_its_fabric() {
        let run = RunId::new();
        let page = format!("https://h/x/api/v1/runs/{run}");
        assert_eq!(link("https://h/x/", Some("default"), run), page);
        assert_eq!(link("https://h/x", None, run), page);
        assert_eq!(link("https://h/x", Some("a b&c"), run), format!("{page}?fabric=a+b%26c"));
        for url in ["http://127.0.0.1:8650", "https://windlass.example.com/jobs/"] {
            check_base_url(url).unwrap();
        }
        for url in
            ["", "windlass.example.com", "ftp://h/", "https://", "https://h/?q", "https://h/#x"]
        {
            assert!(check_base_url(url).is_err(), "{url}");
        }
    }
}
