//! Alerts by mail.

use super::{Smtp, SmtpTls};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::Duration;
use windlass_types::{Error, ErrorCode, Result};

/// Longest time for one command to the server.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Checks addresses.
pub(super) fn check(recipients: &[String]) -> Result<()> {
    if recipients.is_empty() {
        return Err(Error::new(ErrorCode::OptionInvalid, "a mail needs a recipient"));
    }
    recipients.iter().try_for_each(|recipient| address(recipient).map(drop))
}

fn address(text: &str) -> Result<Mailbox> {
    text.parse().map_err(|error: lettre::address::AddressError| {
        Error::new(ErrorCode::OptionInvalid, format!("`{text}` is not a mail address"))
            .source(error)
    })
}

/// Sends one alert to all recipients.
pub(super) async fn send(smtp: &Smtp, recipients: &[String], id: &str, body: &Value) -> Result<()> {
    let failed = |what: &str| {
        Error::new(ErrorCode::AlertFailed, format!("the mail server `{}` {what}", smtp.host))
    };
    let mut to = Mailboxes::new();
    for recipient in recipients {
        to.push(address(recipient)?);
    }
    let (subject, text) = letter(body);
    let from = address(&smtp.from)?;
    let domain = from.email.domain().to_owned();
    let message = Message::builder()
        .from(from)
        .mailbox(lettre::message::header::To::from(to))
        .subject(subject)
        .message_id(Some(format!("<{id}@{domain}>")))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| {
            Error::new(ErrorCode::Internal, "the mail could not be written").source(error)
        })?;
    let tls = || {
        TlsParameters::new(smtp.host.clone())
            .map_err(|error| failed("cannot be spoken to").source(error))
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .timeout(Some(TIMEOUT))
        .tls(match smtp.tls {
            SmtpTls::Implicit => Tls::Wrapper(tls()?),
            SmtpTls::StartTls => Tls::Required(tls()?),
            SmtpTls::None => Tls::None,
        });
    if let Some((user, password)) = &smtp.login {
        builder = builder
            .credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    builder.build().send(message).await.map_err(|error| {
        let refused = error.is_permanent();
        let error = failed(if refused { "refused the mail" } else { "did not take the mail" })
            .source(error);
        let error = match &smtp.login {
            Some((_, password)) => error.without(password.expose_secret()),
            None => error,
        };
        if refused {
            return Error::new(ErrorCode::OptionInvalid, error.chain())
                .hint("look at the sender, the recipients and the login");
        }
        error
    })?;
    Ok(())
}

/// Subject and text of an alert.
fn letter(body: &Value) -> (String, String) {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let event = match body["event"].as_str() {
        Some("failed") => "failed",
        Some("partial") => "ended with failures",
        Some("recovered") => "works again",
        _ => "succeeded",
    };
    let subject = format!("[windlass] job {} {event}", text("job"));
    let mut lines = format!("Job {} of fabric {} {event}.\n\n", text("job"), text("fabric"));
    for key in ["run", "cause", "scheduled_for", "started", "finished"] {
        if !body[key].is_null() {
            let _ = writeln!(lines, "{key:<14}{}", text(key));
        }
    }
    if let Some(error) = body["error"].as_object() {
        let part = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(lines, "\nerror[{}]: {}", part("code"), part("message"));
        for cause in error.get("causes").and_then(Value::as_array).into_iter().flatten() {
            let _ = writeln!(lines, "  {}", cause.as_str().unwrap_or_default());
        }
        if !part("hint").is_empty() {
            let _ = writeln!(lines, "hint: {}", part("hint"));
        }
    }
    if let Some(summary) = body["summary"].as_object().filter(|summary| !summary.is_empty()) {
        lines.push('\n');
        for (key, value) in summary {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(lines, "{key:<14}{value}");
        }
    }
    if let Some(url) = body["url"].as_str() {
        let _ = writeln!(lines, "\n{url}");
    }
    (subject, lines)
}
