//! STS beside S3: roles with trust policies, temporary credentials with a real end.
//!
//! s3s has verified the signature when a request arrives here; its errors are wrapped as STS's.

use crate::access::{Context, authenticated, custom_error, form};
use crate::identity::{AssumedSession, Known, TestIdentity, TestRole};
use crate::memory::Memory;
use chrono::{DateTime, Utc};
use http::{Extensions, HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use s3s::route::S3Route;
use s3s::{Body, HttpResponse, S3Error, S3Request, S3Response, S3Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whether a request is for STS.
pub(crate) fn concerns(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> bool {
    let form = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let asks = query.is_some_and(|it| it.split('&').any(|pair| pair.starts_with("Action=")));
    path == "/" && ((method == Method::POST && form) || asks)
}

pub(crate) struct Sts(pub(crate) Arc<Memory>);

#[async_trait::async_trait]
impl S3Route for Sts {
    fn is_match(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        _: &mut Extensions,
    ) -> bool {
        concerns(method, uri.path(), uri.query(), headers)
    }

    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        // Each action has its own rule: one of them is for callers without keys.
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let body = request.input.collect().await.map_err(|_| invalid("the body cannot be read"))?;
        let mut fields = form(&String::from_utf8_lossy(&body.to_bytes()));
        fields.extend(form(request.uri.query().unwrap_or_default()));
        let form = Form(fields);
        let action = form.get("Action").unwrap_or_default().to_owned();
        if let Some(context) = request.extensions.get::<Arc<Context>>() {
            context.begin(&self.0, &action).await?;
        }
        let caller = || match &request.credentials {
            Some(it) => {
                authenticated(&self.0, &it.access_key, &request.headers, request.uri.query())
            }
            None => Err(custom_error(
                403,
                "MissingAuthenticationToken",
                "Request is missing Authentication Token".to_owned(),
            )),
        };
        let result = match action.as_str() {
            "AssumeRole" => assume_role(&self.0, &form, &caller()?)?,
            "AssumeRoleWithWebIdentity" => assume_with_token(&self.0, &form)?,
            "GetCallerIdentity" => caller_identity(&caller()?),
            "GetSessionToken" => session_token(&self.0, &form, &caller()?)?,
            other => {
                let message = format!("Could not find operation {other} for version 2011-06-15");
                return Err(custom_error(400, "InvalidAction", message));
            }
        };
        let text = format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>{:016x}</RequestId></ResponseMetadata></{action}Response>",
            self.0.next()
        );
        let mut response = S3Response::new(Body::from(text));
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        Ok(response)
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|it| it.0 == name).map(|it| it.1.as_str()).filter(|it| !it.is_empty())
    }

    fn needed(&self, name: &str) -> S3Result<&str> {
        self.get(name).ok_or_else(|| {
            let field = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
            invalid(&format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    fn duration(&self, default: u64, most: Duration) -> S3Result<Duration> {
        let seconds = match self.get("DurationSeconds") {
            None => default,
            Some(text) => text.parse().map_err(|_| invalid("DurationSeconds must be a number"))?,
        };
        if seconds < 900 {
            return Err(invalid(&format!(
                "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"
            )));
        }
        if seconds > most.as_secs() {
            return Err(invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        Ok(Duration::from_secs(seconds))
    }
}

fn invalid(message: &str) -> S3Error {
    custom_error(400, "ValidationError", message.to_owned())
}

fn session_name(form: &Form) -> S3Result<&str> {
    let name = form.needed("RoleSessionName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(allowed) {
        return Err(invalid(&format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )));
    }
    Ok(name)
}

fn assume_role(memory: &Memory, form: &Form, caller: &Known) -> S3Result<String> {
    let arn = form.needed("RoleArn")?;
    let session = session_name(form)?;
    let refused = || {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            caller.arn
        );
        custom_error(403, "AccessDenied", message)
    };
    let role = memory.identities().roles.get(arn).cloned().ok_or_else(refused)?;
    let id = &caller.identity.access_key_id;
    let trusted = role.allowed.is_empty() || role.allowed.contains(id);
    let external =
        role.external_id.is_none() || role.external_id.as_deref() == form.get("ExternalId");
    let source = role.source_identity.is_none()
        || role.source_identity.as_deref() == form.get("SourceIdentity");
    if !(trusted && external && source) {
        return Err(refused());
    }
    // A role assumed through a role lasts an hour at most.
    let most = if caller.temporary {
        role.max_duration.min(Duration::from_hours(1))
    } else {
        role.max_duration
    };
    let duration = form.duration(3600, most)?;
    Ok(hand_out(memory, &role, id, session, form, duration))
}

fn assume_with_token(memory: &Memory, form: &Form) -> S3Result<String> {
    let arn = form.needed("RoleArn")?;
    let session = session_name(form)?;
    let token = form.needed("WebIdentityToken")?;
    let role = memory.identities().roles.get(arn).cloned();
    match role {
        Some(role) if role.web_identity_token.as_deref() == Some(token) => {
            let duration = form.duration(3600, role.max_duration)?;
            Ok(hand_out(memory, &role, "web-identity", session, form, duration))
        }
        Some(role) if role.web_identity_token.is_some() => Err(custom_error(
            400,
            "InvalidIdentityToken",
            "The web identity token is not valid".to_owned(),
        )),
        _ => Err(custom_error(
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned(),
        )),
    }
}

fn hand_out(
    memory: &Memory,
    role: &TestRole,
    caller: &str,
    session: &str,
    form: &Form,
    duration: Duration,
) -> String {
    let rights = TestIdentity {
        read: role.read.clone(),
        write: role.write.clone(),
        list_buckets: role.list_buckets,
        ..TestIdentity::default()
    };
    let account = role.arn.split(':').nth(4).unwrap_or(&memory.options.account);
    let arn = format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role.name());
    let user_id = format!("AROA{}:{session}", role.name().to_uppercase());
    let about = AssumedSession {
        access_key_id: String::new(),
        caller: caller.to_owned(),
        role_arn: role.arn.clone(),
        session_name: session.to_owned(),
        source_identity: form.get("SourceIdentity").map(str::to_owned),
        duration,
    };
    let lifetime = role.lifetime.unwrap_or(duration);
    let credentials = register(memory, rights, &arn, &user_id, about, lifetime);
    let source = form
        .get("SourceIdentity")
        .map(|it| format!("<SourceIdentity>{}</SourceIdentity>", escaped(it)))
        .unwrap_or_default();
    format!(
        "{credentials}<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser>{source}",
        escaped(&arn),
        escaped(&user_id)
    )
}

fn session_token(memory: &Memory, form: &Form, caller: &Known) -> S3Result<String> {
    if caller.temporary {
        return Err(custom_error(
            403,
            "AccessDenied",
            "Cannot call GetSessionToken with session credentials".to_owned(),
        ));
    }
    let duration = form.duration(43_200, Duration::from_hours(36))?;
    let about = AssumedSession {
        access_key_id: String::new(),
        caller: caller.identity.access_key_id.clone(),
        role_arn: String::new(),
        session_name: String::new(),
        source_identity: None,
        duration,
    };
    let rights = caller.identity.clone();
    Ok(register(memory, rights, &caller.arn, &caller.user_id, about, duration))
}

/// Makes temporary credentials known; the answer is their XML.
fn register(
    memory: &Memory,
    mut identity: TestIdentity,
    arn: &str,
    user_id: &str,
    mut about: AssumedSession,
    lifetime: Duration,
) -> String {
    let id = format!("ASIATESTKIT{:09}", memory.next());
    let secret = format!("{}{}", random(), &random()[..8]);
    let token = format!("{}{}{}", random(), random(), random());
    let end = SystemTime::now() + lifetime;
    identity.access_key_id.clone_from(&id);
    identity.secret_access_key.clone_from(&secret);
    identity.session_token = Some(token.clone());
    identity.expires = Some(end);
    about.access_key_id.clone_from(&id);
    let known =
        Known { identity, arn: arn.to_owned(), user_id: user_id.to_owned(), temporary: true };
    let mut identities = memory.identities();
    identities.known.insert(id.clone(), known);
    identities.sessions.push(about);
    let end = DateTime::<Utc>::from(end).format("%Y-%m-%dT%H:%M:%SZ");
    format!(
        "<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{end}</Expiration></Credentials>"
    )
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn caller_identity(caller: &Known) -> String {
    let account = caller.arn.split(':').nth(4).unwrap_or_default();
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>",
        escaped(&caller.arn),
        escaped(&caller.user_id)
    )
}

/// The same error in the shape and with the codes of STS.
pub(crate) async fn wrap_error(response: HttpResponse) -> HttpResponse {
    let (mut parts, body) = response.into_parts();
    let text = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value.to_owned())
    };
    let code = field("Code").unwrap_or_else(|| "InternalFailure".to_owned());
    let (code, message) = match code.as_str() {
        "InvalidAccessKeyId" | "InvalidToken" => (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.".to_owned(),
        ),
        "ExpiredToken" => {
            ("ExpiredToken", "The security token included in the request is expired".to_owned())
        }
        other => (other, field("Message").unwrap_or_default()),
    };
    if matches!(code, "InvalidClientTokenId" | "ExpiredToken") {
        parts.status = http::StatusCode::FORBIDDEN;
    }
    let kind = if parts.status.is_server_error() { "Receiver" } else { "Sender" };
    let text = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    );
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    http::Response::from_parts(parts, Body::from(text))
}

/// Text as XML holds it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
