//! What a failure means: facts of an answer, or of none, become one message and one hint.
//!
//! Pure but for the error it is given: no request is sent here. The texts are for people and are
//! tested as snapshots; nothing secret is in them.

use super::silence::{network, plain_to_tls};
use crate::codes::{self, Meaning};
use crate::error::text_of;
use crate::policy::{Verb, actions_for};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use chrono::{DateTime, TimeDelta, Utc};
use std::error::Error as StdError;
use windlass_types::connection::{Encryption, Identity, S3Spec};
use windlass_types::{Error, ErrorCode};

/// A diagnosed failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What happened.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Nothing else can work either: asking on would only repeat it.
    pub(crate) fatal: bool,
}

impl Finding {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()), fatal: false }
    }

    fn bare(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, fatal: false }
    }

    fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }
}

/// What was being done when it failed.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) spec: S3Spec,
    /// Name of the connection, for commands in hints.
    pub(crate) name: String,
    pub(crate) verb: Verb,
    /// Where, as `s3://bucket/prefix` or the ARN of a role; empty for the account.
    pub(crate) place: String,
    pub(crate) bucket: Option<String>,
    /// The access key id, masked.
    pub(crate) key_id: Option<String>,
    /// URL the request went to.
    pub(crate) endpoint: String,
    pub(crate) now: DateTime<Utc>,
}

impl Scene {
    /// The option that says where this request goes.
    pub(crate) fn option(&self) -> &'static str {
        match self.verb {
            Verb::Metrics => "CLOUDWATCH_ENDPOINT",
            Verb::Identify | Verb::AssumeRole if self.spec.sts_endpoint.is_some() => "STS_ENDPOINT",
            _ => "ENDPOINT",
        }
    }
}

/// What is known of a failed request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    date: Option<DateTime<Utc>>,
    region: Option<String>,
    content_type: Option<String>,
    body: String,
    /// Some header only S3 sends.
    marked: bool,
    pub(super) timeout: bool,
    /// All causes, for failures below HTTP.
    pub(super) chain: String,
}

/// All causes of an error as one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    text_of(error).replace(['\n', '\r'], " ")
}

impl Facts {
    /// Takes what it can from an error of a service's client.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let mut facts = Self {
            timeout: match error {
                SdkError::TimeoutError(_) => true,
                SdkError::DispatchFailure(failure) => failure.is_timeout(),
                _ => false,
            },
            chain: chain(error),
            ..Self::default()
        };
        if let SdkError::ServiceError(service) = error {
            facts.code = service.err().code().map(str::to_owned);
            facts.message = service.err().message().map(str::to_owned);
        }
        if let Some(raw) = error.raw_response() {
            let header = |name| raw.headers().get(name).map(str::to_owned);
            facts.status = Some(raw.status().as_u16());
            facts.date = header("date")
                .and_then(|text| DateTime::parse_from_rfc2822(&text).ok())
                .map(|date| date.to_utc());
            facts.region = header("x-amz-bucket-region");
            facts.content_type = header("content-type");
            facts.marked = header("x-amz-request-id").is_some() || header("x-amz-id-2").is_some();
            let body = raw.body().bytes().unwrap_or_default();
            facts.body = String::from_utf8_lossy(&body[..body.len().min(2048)]).into_owned();
            facts.region = facts.region.or_else(|| between(&facts.body, "<Region>", "</Region>"));
            if facts.body.trim().is_empty() {
                // Not said by a service, but made of the status by the client.
                facts.code = None;
            } else if facts.code.is_none() {
                facts.code = between(&facts.body, "<Code>", "</Code>");
            }
        }
        facts
    }

    /// Takes what it can from causes whose types are gone.
    pub(crate) fn of_chain(error: &(dyn StdError + 'static)) -> Self {
        let chain = chain(error);
        let code = codes::quoted_in(&chain);
        let timeout =
            ["timed out", "timeout"].iter().any(|word| chain.to_lowercase().contains(word));
        Self { code: code.map(str::to_owned), timeout, chain, ..Self::default() }
    }

    /// Whether an S3 service spoke, whatever it said.
    pub(crate) fn is_s3(&self) -> bool {
        // Said yes, but not in a way that could be read: S3's own yes can be.
        if self.is_success() {
            return false;
        }
        self.marked || (self.code.is_some() && !self.is_html())
            // Some services refuse and redirect without a word.
            || (matches!(self.status, Some(301 | 307 | 401 | 403)) && self.body.trim().is_empty())
    }

    fn is_success(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    /// The region in an answer to `GetBucketLocation` that the client could not read: some services
    /// leave out what AWS has around it. Nothing in it is AWS's oldest region.
    pub(crate) fn location(&self) -> Option<String> {
        let text = self.body.trim();
        if !self.is_success()
            || self.is_html()
            || !(text.is_empty() || text.contains("<LocationConstraint"))
        {
            return None;
        }
        let inner = text.split("<LocationConstraint").nth(1).and_then(|rest| rest.split_once('>'));
        let region = match inner {
            Some((attributes, rest)) if !attributes.ends_with('/') => {
                rest.split('<').next().unwrap_or_default().trim()
            }
            _ => "",
        };
        Some(if region.is_empty() { "us-east-1" } else { region }.to_owned())
    }

    fn is_html(&self) -> bool {
        let start = self.body.trim_start().to_ascii_lowercase();
        start.starts_with("<!doctype html")
            || start.starts_with("<html")
            || self.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"))
    }

    /// Whether the clocks are the reason.
    pub(crate) fn is_clock(&self, scene: &Scene) -> bool {
        self.code.as_deref() == Some("RequestTimeTooSkewed")
            || (self.status == Some(403) && self.skew(scene.now).is_some())
    }

    /// Time by which this machine's clock is ahead of the service's, if it is enough to matter.
    fn skew(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.date.map(|date| now - date).filter(|skew| skew.abs() > TimeDelta::minutes(14))
    }
}

fn between(text: &str, open: &str, close: &str) -> Option<String> {
    let from = text.find(open)? + open.len();
    let to = text[from..].find(close)?;
    Some(text[from..from + to].trim().to_owned()).filter(|found| !found.is_empty())
}

/// The action and resource a denial names, as AWS writes them.
fn named_in_denial(text: &str) -> Option<(String, Option<String>)> {
    let rest = &text[text.find("not authorized to perform: ")? + 27..];
    let action: String =
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == ':' || *c == '-').collect();
    let resource = rest.find("on resource: ").map(|at| {
        let text = &rest[at + 13..];
        // In quotes a key may hold spaces.
        let (text, end) = text.strip_prefix('"').map_or((text, ' '), |quoted| (quoted, '"'));
        text.split(end).next().unwrap_or_default().to_owned()
    });
    action.contains(':').then_some((action, resource.filter(|r| !r.is_empty())))
}

/// Says what a failed request means.
pub(crate) fn diagnose(facts: &Facts, scene: &Scene) -> Finding {
    match (&facts.code, facts.status) {
        _ if facts.is_clock(scene) => clock(facts, scene),
        (Some(code), _) => service(code, facts, scene),
        (None, Some(status)) => answer(status, facts, scene),
        (None, None) => network(facts, scene),
    }
}

/// Says what one of our own errors means: those of the store, whose causes are wrapped.
pub(crate) fn diagnose_error(error: &Error, scene: &Scene) -> Finding {
    let facts = Facts::of_chain(error);
    let network_like =
        matches!(error.code(), ErrorCode::ConnectionUnreachable | ErrorCode::ConnectionTimeout);
    if error.code() == ErrorCode::ConnectionDenied && facts.code.is_none() {
        return denied(&facts, scene);
    }
    if let Some(code) = &facts.code {
        return service(code, &facts, scene);
    }
    if network_like {
        return network(&facts, scene);
    }
    let no_answer =
        matches!(error.code(), ErrorCode::ConnectionRejected | ErrorCode::ConnectionFailed);
    if scene.verb == Verb::Metrics && no_answer {
        let message = format!(
            "wrong endpoint: `{}` answers, but not as CloudWatch does ({})",
            scene.endpoint,
            error.chain()
        );
        return Finding::new(message, "CLOUDWATCH_ENDPOINT must speak CloudWatch's query protocol");
    }
    Finding { hint: error.hint_text().map(str::to_owned), ..Finding::bare(error.chain()) }
}

fn key_id(scene: &Scene) -> String {
    scene
        .key_id
        .as_ref()
        .map_or_else(|| "access key id".to_owned(), |id| format!("access key id `{id}`"))
}

fn service(code: &str, facts: &Facts, scene: &Scene) -> Finding {
    let elsewhere = match &scene.spec.endpoint {
        Some(endpoint) => format!(", or of another service than `{endpoint}`"),
        None => ", or of another AWS partition".to_owned(),
    };
    match codes::meaning(code) {
        Some(Meaning::KeyId) => Finding::new(
            format!("wrong key id: the service does not know the {}", key_id(scene)),
            format!("{} it may be mistyped, deleted, inactive{elsewhere}{}", check_keys(scene), token(scene)),
        )
        .fatal(),
        Some(Meaning::Secret) => Finding::new(
            format!("wrong secret: it does not belong to the {}", key_id(scene)),
            format!(
                "set AWS_SECRET_ACCESS_KEY again, whole and without blanks; if it is right, a proxy may change requests on their way{}",
                token(scene)
            ),
        )
        .fatal(),
        Some(Meaning::Expired) => Finding::new(
            format!("expired token: the session of the {} has ended", key_id(scene)),
            match scene.spec.identity {
                Identity::Keys { .. } => {
                    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from a new session; AWS_PROFILE and AWS_ROLE renew by themselves"
                }
                _ => "sign in again, for example with `aws sso login`",
            },
        )
        .fatal(),
        Some(Meaning::Token) => Finding::new(
            format!("wrong token: the session token does not belong to the {}", key_id(scene)),
            "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN from the same session; keys that are not temporary have no token",
        )
        .fatal(),
        Some(Meaning::Denied) => denied(facts, scene),
        Some(Meaning::NoBucket) => no_bucket(scene),
        Some(Meaning::Elsewhere | Meaning::RegionOff) => wrong_region(facts, scene),
        Some(Meaning::Busy) => Finding::new(
            format!("the service is busy or failing: it answered `{code}`"),
            "try again later; MAX_REQUESTS_PER_SECOND makes the connection gentler",
        ),
        _ if code.starts_with("KMS.") || code.contains("KMS") => Finding::new(
            format!("the KMS key cannot be used: `{code}`{}", said(facts)),
            "check that the key in ENCRYPTION_KMS_KEY exists, is enabled and is in the bucket's region",
        ),
        _ if facts.is_html() && !facts.marked => answer(facts.status.unwrap_or_default(), facts, scene),
        _ => Finding::bare(format!("the service answered `{code}`{}", said(facts))),
    }
}

/// What the service said itself, short.
fn said(facts: &Facts) -> String {
    match &facts.message {
        Some(message) if !message.trim().is_empty() => {
            let text: String = message.replace(['\n', '\r'], " ").chars().take(200).collect();
            format!(": {}", text.trim().trim_end_matches('.'))
        }
        _ => String::new(),
    }
}

/// Some services say of a wrong session token that the key is wrong.
fn token(scene: &Scene) -> &'static str {
    match scene.spec.identity {
        Identity::Keys { session_token: Some(_), .. } => {
            "; AWS_SESSION_TOKEN must be whole and of the same session as the keys"
        }
        _ => "",
    }
}

fn check_keys(scene: &Scene) -> &'static str {
    match scene.spec.identity {
        Identity::Keys { .. } => "check AWS_ACCESS_KEY_ID:",
        Identity::Profile(_) => "check the profile's keys:",
        _ => "check the environment's keys:",
    }
}

/// The resource as IAM names it.
fn resource(scene: &Scene) -> String {
    match scene.place.strip_prefix("s3://") {
        Some(place) if place.starts_with("arn:") => place.to_owned(),
        None if scene.place.is_empty() => "*".to_owned(),
        _ => scene.place.clone(),
    }
}

fn denied(facts: &Facts, scene: &Scene) -> Finding {
    let text = facts.message.as_deref().unwrap_or(&facts.chain);
    let wanted = actions_for(scene.verb).first().copied().unwrap_or("the action");
    let (action, on) = match named_in_denial(text) {
        Some((action, on)) => (action, on.unwrap_or_else(|| resource(scene))),
        None => (wanted.to_owned(), resource(scene)),
    };
    if scene.verb == Verb::AssumeRole {
        return role(scene);
    }
    let message = format!("no permission: `{action}` on `{on}` is denied");
    let hint = if scene.spec.identity == Identity::Anonymous {
        match scene.verb {
            Verb::ListBuckets => {
                "nobody may list buckets without credentials; name the public bucket with BUCKET or VERIFY_PATH".to_owned()
            }
            _ => "the place is not public; give the connection an identity instead of ANONYMOUS".to_owned(),
        }
    } else if action.starts_with("kms:") {
        format!(
            "grant `{action}` on the key to this identity, in its policy or in the key's own; `windlass policy {}` prints a policy",
            scene.name
        )
    } else {
        match scene.verb {
            Verb::ListBuckets => "grant `s3:ListAllMyBuckets` on `*`, or make it unnecessary with BUCKET, VERIFY_PATH or PATH_DISPLAY_FILTER".to_owned(),
            Verb::Metrics => format!("grant `{}` on `*`; without it bucket sizes are not known, all else works", actions_for(Verb::Metrics).join("` and `")),
            Verb::Write | Verb::Multipart | Verb::Delete => format!(
                "grant `{action}` there; `windlass policy {} --for full` prints the policy; if only a folder may be written, name it with VERIFY_PATH", scene.name
            ),
            Verb::Read if matches!(scene.spec.encryption, Encryption::Customer(_)) => format!(
                "grant `{action}` there; or the object is encrypted with another key than ENCRYPTION_CUSTOMER_MANAGED_KEY"
            ),
            Verb::List => format!(
                "grant `{action}` there; `windlass policy {} --for read` prints the policy; if only a folder may be listed, name it with VERIFY_PATH or PREFIX", scene.name
            ),
            _ => format!("grant `{action}` there; `windlass policy {} --for read` prints the policy", scene.name),
        }
    };
    Finding::new(message, hint)
}

fn role(scene: &Scene) -> Finding {
    let arn = scene.spec.role.as_ref().map(|role| role.arn.as_str()).unwrap_or_default();
    let external = match scene.spec.role.as_ref().and_then(|role| role.external_id.as_ref()) {
        Some(_) => "and if it asks for an external id, EXTERNAL_ID must be that one exactly",
        None => "and if it asks for an external id, set EXTERNAL_ID",
    };
    Finding::new(
        format!("role not assumable: `sts:AssumeRole` on `{arn}` is denied"),
        format!(
            "grant `sts:AssumeRole` on it to this identity; the role's trust policy must name the identity, {external}"
        ),
    )
}

fn no_bucket(scene: &Scene) -> Finding {
    let bucket = scene.bucket.as_deref().unwrap_or_default();
    Finding::new(
        format!("no such bucket: `{bucket}`"),
        match &scene.spec.endpoint {
            Some(endpoint) => format!("check the bucket's name, and that it is on the service at `{endpoint}`"),
            None => "check the bucket's name; names are the same in all regions, but not in other partitions".to_owned(),
        },
    )
}

fn wrong_region(facts: &Facts, scene: &Scene) -> Finding {
    let is = match &scene.spec.region {
        Some(region) => format!(", not `{region}`"),
        None => String::new(),
    };
    let whose = scene
        .bucket
        .as_ref()
        .map_or("the service".to_owned(), |bucket| format!("bucket `{bucket}`"));
    match &facts.region {
        Some(found) => Finding::new(
            format!("wrong region: {whose} is in `{found}`{is}"),
            match scene.spec.endpoint {
                Some(_) => format!("set `REGION = '{found}'`"),
                None => format!("set `REGION = '{found}'`, or leave REGION out and it is found"),
            },
        ),
        None => Finding::new(
            format!("wrong region: {whose} is in another one{is}"),
            "set REGION to the bucket's region; with ENDPOINT, to what the service calls its own",
        ),
    }
}

fn clock(facts: &Facts, scene: &Scene) -> Finding {
    let by = match facts.skew(scene.now) {
        Some(skew) => {
            let minutes = skew.num_minutes().abs();
            let side = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
            let span = match (minutes / 60, minutes % 60) {
                (0, minutes) => format!("{minutes} min"),
                (hours, 0) => format!("{hours} h"),
                (hours, minutes) => format!("{hours} h {minutes} min"),
            };
            format!("this machine is {span} {side} the service")
        }
        None => "this machine and the service differ by more than 15 minutes".to_owned(),
    };
    Finding::new(
        format!("clock skew: {by}"),
        "set this machine's clock, for example by NTP; signatures are good for 15 minutes only",
    )
    .fatal()
}

/// An HTTP answer without an S3 error code.
fn answer(status: u16, facts: &Facts, scene: &Scene) -> Finding {
    let endpoint = &scene.endpoint;
    let lower = facts.body.to_ascii_lowercase();
    if lower.contains("http request to an https server")
        || lower.contains("plain http request was sent to https port")
    {
        return plain_to_tls(scene);
    }
    if status == 407 {
        return Finding::new(
            "proxy: it asks for credentials (HTTP 407)",
            "put user and password into PROXY: `http://user:password@host:port`",
        );
    }
    if facts.is_s3() {
        return match status {
            301 | 307 | 308 => wrong_region(facts, scene),
            401 | 403 => denied(facts, scene),
            404 if scene.bucket.is_some() => no_bucket(scene),
            status if status >= 500 => Finding::new(
                format!("the service is failing: it answered HTTP {status}"),
                "try again later",
            ),
            status => Finding::bare(format!("the service answered HTTP {status}")),
        };
    }
    if matches!(status, 502..=504) {
        return Finding::new(
            format!(
                "`{endpoint}` answers HTTP {status}: a gateway that cannot reach the service behind it"
            ),
            "check whether the service runs, and PROXY if there is one",
        );
    }
    let kind = match (&facts.content_type, facts.is_html()) {
        (_, true) => "a web page".to_owned(),
        (Some(kind), _) => format!("`{kind}`"),
        (None, _) => "nothing S3 says".to_owned(),
    };
    let (service, hint) = match scene.verb {
        Verb::Identify | Verb::AssumeRole => ("STS", "STS_ENDPOINT must be the address of an STS"),
        _ => (
            "S3",
            "ENDPOINT must be the address of the S3 API; a console or a web site often has another port",
        ),
    };
    Finding::new(
        format!(
            "wrong endpoint: `{endpoint}` answers, but not as {service} does (HTTP {status}, {kind})"
        ),
        hint,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_that_cannot_be_read_is_that_of_the_oldest_region_when_it_is_empty() {
        let location = |status, body: &str| {
            Facts { status: Some(status), body: body.to_owned(), ..Facts::default() }.location()
        };
        for body in [
            "",
            "<LocationConstraint/>",
            "<LocationConstraint></LocationConstraint>",
            "<?xml version=\"1.0\"?>\n<LocationConstraint xmlns=\"x\"> </LocationConstraint>",
            "<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>",
        ] {
            assert_eq!(location(200, body).as_deref(), Some("us-east-1"), "{body}");
        }
        let named = "<LocationConstraint xmlns=\"x\">eu-west-3</LocationConstraint>";
        assert_eq!(location(200, named).as_deref(), Some("eu-west-3"));
        assert_eq!(location(404, ""), None);
        assert_eq!(location(200, "{\"Entries\": []}"), None);
    }
}
