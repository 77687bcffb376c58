//! URLs of Google Cloud Storage that work without credentials for a while (V4 signatures).

use super::client::Client;
use super::token::Account;
use crate::names::segment;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::Duration;
use windlass_s3::PresignMethod;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The request that is signed: method, path, parameters, host.
fn canonical(method: &str, path: &str, query: &str, host: &str) -> String {
    format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD")
}

/// Signs a URL that is good for `expires` from `now` on.
pub(super) fn url(
    account: &Account,
    client: &Client,
    object: &ObjectPath,
    method: PresignMethod,
    expires: Duration,
    now: DateTime<Utc>,
) -> Result<String> {
    let address = client.bytes(object);
    let parsed = url::Url::parse(&address).map_err(|error| {
        Error::new(ErrorCode::Internal, "an address cannot be made").source(error)
    })?;
    let host = client.endpoint().split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let (day, time) = (now.format("%Y%m%d"), now.format("%Y%m%dT%H%M%SZ"));
    let scope = format!("{day}/auto/storage/goog4_request");
    let query = format!(
        "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={}&X-Goog-Date={time}&X-Goog-Expires={}&X-Goog-SignedHeaders=host",
        segment(&format!("{}/{scope}", account.email)),
        expires.as_secs().clamp(1, 604_800)
    );
    let method = match method {
        PresignMethod::Get => "GET",
        PresignMethod::Put => "PUT",
    };
    let request = canonical(method, parsed.path(), &query, host);
    let text =
        format!("GOOG4-RSA-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
    let signature = hex(&account.sign(text.as_bytes())?);
    Ok(format!("{address}?{query}&X-Goog-Signature={signature}"))
}
