//! Alerts by POST. The body is JSON; with a secret, it is signed.
//!
//! A URL is text that a user of the product wrote and a server sends: it must not reach what only
//! the server can reach and nobody meant, such as the metadata service of a cloud machine. The
//! addresses are looked up, checked, and exactly those are connected to; redirects are not
//! followed, and no proxy is used.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use url::{Host, Url};
use windlass_types::{Error, ErrorCode, Result};

/// Longest time for one delivery.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a URL that alerts may go to, as far as it can be told without asking anybody.
pub(super) fn check(url: &str) -> Result<Url> {
    // The text may hold a token, so no message repeats it.
    let invalid = |what: &str| Error::new(ErrorCode::OptionInvalid, format!("the webhook {what}"));
    let url: Url =
        url.parse().map_err(|_| invalid("has no valid URL").hint("write `https://host/path`"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(invalid("is neither https nor http"));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err(invalid("has no host")),
    };
    if let Some(address) = address {
        allowed(address)?;
    }
    Ok(url)
}

/// Refuses addresses that no webhook of a person has.
fn allowed(address: IpAddr) -> Result<()> {
    let address = address.to_canonical();
    let refused = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4 == Ipv4Addr::new(100, 100, 100, 200)
                || v4 == Ipv4Addr::new(168, 63, 129, 16)
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    };
    if refused {
        return Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("the webhook leads to `{address}`, where alerts may not go"),
        )
        .hint("link-local addresses and those of metadata services are refused"));
    }
    Ok(())
}

/// Sends one alert.
pub(super) async fn post(
    url: &SecretString,
    secret: Option<&SecretString>,
    id: &str,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let url = check(url.expose_secret())?;
    let failed = |what: String| Error::new(ErrorCode::AlertFailed, what);
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| failed(format!("the host `{host}` is not known")).source(error))?
        .collect();
    for address in &found {
        allowed(address.ip())?;
    }
    let text = body.to_string();
    let timestamp = now.timestamp().to_string();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .resolve_to_addrs(&host, &found)
        .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed("no client for webhooks".to_owned()).source(error.without_url()))?;
    let mut request = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-windlass-delivery", id)
        .header("x-windlass-timestamp", &timestamp);
    if let Some(secret) = secret {
        let signature = sign(secret.expose_secret().as_bytes(), &timestamp, &text);
        request = request.header("x-windlass-signature", format!("sha256={signature}"));
    }
    let answer = request.body(text).send().await.map_err(|error| {
        // The URL may hold a token.
        failed(format!("the webhook at `{host}` could not be reached")).source(error.without_url())
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let what = format!("the webhook at `{host}` answered {}", status.as_u16());
    Err(if status.is_client_error() && !matches!(status.as_u16(), 408 | 425 | 429) {
        Error::new(ErrorCode::OptionInvalid, what)
            .hint("it will not change its mind: look at the URL and its secret")
    } else {
        failed(what)
    })
}

/// HMAC-SHA256 of `timestamp.body`, in hexadecimal.
fn sign(secret: &[u8], timestamp: &str, body: &str) -> String {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_cannot_reach_metadata_services() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://0.0.0.0/",
            "http://2852039166/",
            "ftp://host/",
            "nonsense",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        for url in
            ["https://hooks.example.com/x?token=t", "http://127.0.0.1:9/x", "http://10.1.2.3/"]
        {
            check(url).unwrap();
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_refused_address_is_refused() {
        let url = SecretString::from("http://hunter22.invalid/hunter22-token".to_owned());
        let error = post(&url, None, "1", &Value::Null, DateTime::UNIX_EPOCH).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter22-token"), "{error:?}");
        allowed("169.254.1.1".parse().unwrap()).unwrap_err();
    }

    #[test]
    fn a_signature_covers_the_time_and_the_body() {
        // `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`
        insta::assert_snapshot!(sign(b"key", "1700000000", "{}"));
    }
}
