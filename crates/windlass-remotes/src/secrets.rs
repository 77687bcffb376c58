//! The secret half of a connection, opened from the vault. Printing it shows only what is there.

use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::fmt;
use windlass_types::connection::{check_header, check_secret};
use windlass_types::{Error, Result};

/// Secrets of one connection by option name, in clear; dropped memory is wiped.
#[derive(Clone, Default)]
pub struct RemoteSecrets(BTreeMap<String, SecretString>);

impl RemoteSecrets {
    /// Takes opened values. Their form is checked again, since a named secret is checked nowhere
    /// else; the error never quotes one.
    pub fn new(values: impl IntoIterator<Item = (String, SecretString)>) -> Result<Self> {
        let values: BTreeMap<_, _> = values.into_iter().collect();
        for (name, value) in &values {
            check_secret(name, value.expose_secret())?;
        }
        Ok(Self(values))
    }

    /// The value of an option.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(SecretString::expose_secret)
    }

    /// HEADERS, name and value; sealed as one text, a header a line.
    pub(crate) fn headers(&self) -> Result<Vec<(String, String)>> {
        let lines = self.get("HEADERS").unwrap_or_default().lines();
        lines.filter(|line| !line.trim().is_empty()).map(check_header).collect()
    }

    /// Cuts every secret out of an error that quotes what a service answered.
    pub(crate) fn clean(&self, error: Error) -> Error {
        // Of a signature, the part that signs; a service may quote it decoded.
        let error = match self.get("SAS_TOKEN").and_then(|token| token.split_once("sig=")) {
            Some((_, rest)) => {
                let sum = rest.split('&').next().unwrap_or_default();
                let decoded = percent_encoding::percent_decode_str(sum).decode_utf8_lossy();
                error.without(sum).without(&decoded)
            }
            None => error,
        };
        self.texts().iter().fold(error, |error, text| error.without(text.expose_secret()))
    }

    /// Each secret as a service may repeat it: whole, and without the name of a header.
    pub(crate) fn texts(&self) -> Vec<SecretString> {
        // A key file is mostly no secret, and its lines are words of every answer.
        let plain = self.0.iter().filter(|(name, _)| *name != "SERVICE_ACCOUNT_JSON");
        let lines = plain.flat_map(|(_, value)| value.expose_secret().lines());
        let mut texts = Vec::new();
        for line in lines {
            let value = line.split_once(": ").map_or(line, |(_, value)| value).trim();
            texts.extend([line.trim(), value].map(SecretString::from));
        }
        texts
    }
}

impl fmt::Debug for RemoteSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        write!(f, "RemoteSecrets({})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> RemoteSecrets {
        let value = |text: &str| SecretString::from(text.to_owned());
        RemoteSecrets::new([
            ("PASSWORD".to_owned(), value("canary-password")),
            ("HEADERS".to_owned(), value("X-Key: canary-header\nX-Other: canary-other")),
        ])
        .unwrap()
    }

    #[test]
    fn printing_shows_names_and_no_values() {
        insta::assert_snapshot!(format!("{:?}", secrets()), @"RemoteSecrets(HEADERS, PASSWORD)");
    }

    #[test]
    fn an_error_that_quotes_secrets_loses_them() {
        let error =
            Error::new(windlass_types::ErrorCode::ConnectionFailed, "refused canary-password")
                .source(std::io::Error::other("header canary-other and canary-header"));
        insta::assert_snapshot!(secrets().clean(error).chain(),
            @"refused ***: header *** and ***");
    }
}
