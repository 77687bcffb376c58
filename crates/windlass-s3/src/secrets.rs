//! The secret half of a connection, opened from the vault.
//!
//! What a person wrote is [`windlass_types::S3Spec`]; this is what proves us. It cannot be
//! serialised, and printing it shows only which parts are there.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use windlass_types::Error;

/// Secrets of one connection, in clear; dropped memory is wiped.
#[derive(Clone, Default)]
pub struct Secrets {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: Option<SecretString>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Option<SecretString>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<SecretString>,
    /// The SSE-C key, base64.
    pub customer_key: Option<SecretString>,
    /// HEADERS, name and value.
    pub headers: Vec<(String, SecretString)>,
    /// PROXY, with its credentials.
    pub proxy: Option<SecretString>,
}

impl Secrets {
    /// Cuts every secret out of an error that quotes what a service answered.
    pub(crate) fn clean(&self, error: Error) -> Error {
        let parts = [&self.secret_access_key, &self.session_token, &self.customer_key, &self.proxy];
        let headers = self.headers.iter().map(|(_, value)| value);
        parts
            .into_iter()
            .flatten()
            .chain(headers)
            .fold(error, |error, secret| error.without(secret.expose_secret()))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = [
            (self.access_key_id.is_some(), "access_key_id"),
            (self.secret_access_key.is_some(), "secret_access_key"),
            (self.session_token.is_some(), "session_token"),
            (self.customer_key.is_some(), "customer_key"),
            (self.proxy.is_some(), "proxy"),
        ]
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
        if !self.headers.is_empty() {
            names.push("headers");
        }
        write!(f, "Secrets({})", names.join(", "))
    }
}
