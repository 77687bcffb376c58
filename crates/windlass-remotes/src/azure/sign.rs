//! Signing for Azure: requests by the account's key, and signatures that let others in for a while.

use crate::names::segment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::Write as _;
use windlass_types::{Error, ErrorCode, Result};

/// Version of signatures made here.
const SIGNED_VERSION: &str = "2021-12-02";

/// HMAC-SHA256 of a text with a key in base64.
fn mac(key: &str, text: &str) -> Result<String> {
    let bad = || Error::new(ErrorCode::OptionInvalid, "ACCOUNT_KEY is not base64");
    let key = STANDARD.decode(key).map_err(|_| bad())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| bad())?;
    mac.update(text.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

/// A request as it is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// Path of the URL, encoded as it is sent.
    pub(super) path: &'a str,
    /// Parameters, not encoded.
    pub(super) query: &'a [(&'a str, String)],
    /// Headers with lower-case names.
    pub(super) headers: &'a [(String, String)],
    pub(super) length: usize,
}

impl Signed<'_> {
    /// The text that is signed.
    fn text(&self, account: &str) -> String {
        let header = |name: &str| {
            let found = self.headers.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let length = if self.length == 0 { String::new() } else { self.length.to_string() };
        let mut text = format!(
            "{}\n{}\n{}\n{length}\n{}\n{}\n\n{}\n{}\n{}\n{}\n{}\n",
            self.method,
            header("content-encoding"),
            header("content-language"),
            header("content-md5"),
            header("content-type"),
            header("if-modified-since"),
            header("if-match"),
            header("if-none-match"),
            header("if-unmodified-since"),
            header("range"),
        );
        let mut own: Vec<_> =
            self.headers.iter().filter(|(name, _)| name.starts_with("x-ms-")).collect();
        own.sort();
        for (name, value) in own {
            let _ = writeln!(text, "{name}:{}", value.trim());
        }
        let _ = write!(text, "/{account}{}", self.path);
        let mut query: Vec<_> = self.query.iter().collect();
        query.sort();
        for (name, value) in query {
            let _ = write!(text, "\n{name}:{value}");
        }
        text
    }

    /// Value of `authorization`.
    pub(super) fn authorization(&self, account: &str, key: &str) -> Result<String> {
        Ok(format!("SharedKey {account}:{}", mac(key, &self.text(account))?))
    }
}

/// A signature that allows `permissions` (`r`, `cw`) on one blob until `expires`, as a query.
pub(super) fn blob_signature(
    account: &str,
    key: &str,
    (container, blob): (&str, &str),
    permissions: &str,
    expires: DateTime<Utc>,
) -> Result<String> {
    let expires = expires.to_rfc3339_opts(SecondsFormat::Secs, true);
    // Permissions, begin, end, resource, policy, addresses, protocol, version, kind, snapshot,
    // encryption scope, and five headers of the answer.
    let text = format!(
        "{permissions}\n\n{expires}\n/blob/{account}/{container}/{blob}\n\n\n\n{SIGNED_VERSION}\nb\n\n\n\n\n\n\n"
    );
    let (end, signature) = (segment(&expires), segment(&mac(key, &text)?));
    Ok(format!("sp={permissions}&se={end}&sv={SIGNED_VERSION}&sr=b&sig={signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_sorted_and_says_no_length_of_nothing() {
        let headers = [
            ("x-ms-version".to_owned(), "2021-12-02".to_owned()),
            ("if-match".to_owned(), "\"0x1\"".to_owned()),
            ("x-ms-date".to_owned(), "Sat, 21 Nov 2026 00:00:00 GMT".to_owned()),
        ];
        let signed = Signed {
            method: "GET",
            path: "/box/a%20b",
            query: &[("restype", "container".to_owned()), ("comp", "list".to_owned())],
            headers: &headers,
            length: 0,
        };
        insta::assert_snapshot!(signed.text("acme").escape_debug().to_string());
        assert_eq!(
            signed.authorization("acme", "not base64").unwrap_err().code(),
            ErrorCode::OptionInvalid
        );
    }
}
