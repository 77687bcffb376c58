//! The mail server of the installation, as `WINDLASS_SMTP_URL` says it.

use secrecy::SecretString;
use windlass_jobs::{Smtp, SmtpTls};
use windlass_types::{Error, ErrorCode, Result};

/// Reads `smtps://user:password@host:465`, `smtp://host:587` (STARTTLS) or `smtp+plain://localhost:25`;
/// `%40` and its like stand for characters of the user and the password. `from` is the sender.
pub(super) fn smtp(url: &str, from: Option<String>) -> Result<Smtp> {
    let wrong = |what: &str| {
        Error::new(ErrorCode::UsageInvalid, format!("WINDLASS_SMTP_URL {what}"))
            .hint("write `smtps://user:password@host:465` or `smtp://host:587`")
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("is not a URL"))?;
    let (tls, usual) = match scheme {
        "smtps" => (SmtpTls::Implicit, 465),
        "smtp" => (SmtpTls::StartTls, 587),
        "smtp+plain" => (SmtpTls::None, 25),
        _ => return Err(wrong("is neither smtps, smtp nor smtp+plain")),
    };
    let rest = rest.trim_end_matches('/');
    let (login, place) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((login, place)) => {
            let (user, password) =
                login.split_once(':').ok_or_else(|| wrong("has a user without a password"))?;
            let decoded = |text| decoded(text).ok_or_else(|| wrong("has a `%` that means nothing"));
            (Some((decoded(user)?, SecretString::from(decoded(password)?))), place)
        }
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong("has a port that is no number"))?)
        }
        _ => (place, usual),
    };
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    let user = login.as_ref().map(|(user, _)| user.clone()).filter(|user| user.contains('@'));
    let from = from.or(user).unwrap_or_else(|| format!("windlass@{host}"));
    Ok(Smtp { host: host.to_owned(), port, tls, login, from })
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_mail_server_is_read_from_its_url() {
        let full = smtp("smtps://a%40b.example:p%3A%2F@mail.example:2465/", None).unwrap();
        assert_eq!(
            (full.host.as_str(), full.port, full.tls),
            ("mail.example", 2465, SmtpTls::Implicit)
        );
        let (user, password) = full.login.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("a@b.example", "p:/"));
        assert_eq!(full.from, "a@b.example");
        let short = smtp("smtp://mail.example", Some("w@x.example".to_owned())).unwrap();
        assert_eq!((short.port, short.tls, short.login.is_none()), (587, SmtpTls::StartTls, true));
        assert_eq!(short.from, "w@x.example");
        for wrong in [
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://u@h",
            "smtp://h:x",
            "smtp://%zz:p@h",
        ] {
            let error = smtp(wrong, None).unwrap_err();
            assert!(!format!("{error:?}").contains("p@h"), "{error:?}");
        }
    }
}
