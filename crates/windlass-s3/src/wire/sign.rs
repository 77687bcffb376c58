//! Signature version 4, as S3 wants it: paths encoded once and never normalised.
//!
//! The key of a day, region and secret is derived once; per request there are two hashes of some
//! hundred bytes and one HMAC. The body is bound to the signature by its SHA-256, or, left unhashed,
//! by the checksum header that is always signed.

use crate::payload::Payload;
use aws_credential_types::Credentials;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The hash of no bytes.
pub(crate) const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// In place of a hash: the body is not hashed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Hashing more than this could hold up other tasks.
const LONG: usize = 256 * 1024;

/// The hash of a body, as the header has it.
pub(crate) async fn hash(body: &Payload) -> std::io::Result<String> {
    if body.len() == 0 {
        return Ok(NOTHING.to_owned());
    }
    let sum = |body: &Payload| {
        let mut sum = Sha256::new();
        body.each(|piece| sum.update(piece)).map(|()| hex(&sum.finalize()))
    };
    if let Payload::Bytes(bytes) = body
        && bytes.len() < LONG
    {
        return sum(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || sum(&body)).await.map_err(std::io::Error::other)?
}

/// HMAC-SHA-256 with a key that is used again: both hashes stand after the key's block.
#[derive(Clone)]
struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    fn new(key: &[u8]) -> Self {
        let mut block = [0_u8; 64];
        if key.len() > block.len() {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let with = |pad: u8| Sha256::new_with_prefix(block.map(|byte| byte ^ pad));
        Self { inner: with(0x36), outer: with(0x5c) }
    }

    fn of(&self, data: &[u8]) -> [u8; 32] {
        let mut inner = self.inner.clone();
        inner.update(data);
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

/// A derived key and what it was derived from.
struct Key {
    day: [u8; 8],
    region: String,
    service: String,
    secret: Credentials,
    hmac: Hmac,
}

/// A signer of one place; keeps its last key.
#[derive(Default)]
pub(crate) struct Signer {
    key: Mutex<Option<Arc<Key>>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(***)")
    }
}

/// What is signed, besides its headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// HTTP method.
    pub(crate) method: &'a str,
    /// Path, encoded as it is sent.
    pub(crate) path: &'a str,
    /// Query, encoded and sorted as it is sent.
    pub(crate) query: &'a str,
    /// Hash of the body or [`UNSIGNED`].
    pub(crate) content: &'a str,
    /// Region in the credential's scope.
    pub(crate) region: &'a str,
    /// Service in the credential's scope.
    pub(crate) service: &'a str,
}

impl Signer {
    /// Adds date, hash, token and signature to the headers; all that are there are signed but those
    /// that a proxy may change.
    pub(crate) fn sign(
        &self,
        headers: &mut HeaderMap,
        subject: &Subject<'_>,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<(), http::header::InvalidHeaderValue> {
        let Subject { method, path, query, content, region, service } = *subject;
        let stamp = stamp(now);
        let stamp = std::str::from_utf8(&stamp).unwrap_or_default();
        headers.insert(DATE, HeaderValue::from_str(stamp)?);
        headers.insert(CONTENT, HeaderValue::from_str(content)?);
        if let Some(token) = credentials.session_token() {
            let mut token = HeaderValue::from_str(token)?;
            token.set_sensitive(true);
            headers.insert(TOKEN, token);
        }
        let mut signed: Vec<(&str, &HeaderValue)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| {
                !matches!(
                    *name,
                    "user-agent" | "content-length" | "transfer-encoding" | "x-amzn-trace-id"
                )
            })
            .collect();
        signed.sort_by_key(|(name, _)| *name);

        let mut canonical = Vec::with_capacity(1024);
        for line in [method, path, query] {
            canonical.extend_from_slice(line.as_bytes());
            canonical.push(b'\n');
        }
        let mut names = String::with_capacity(256);
        let mut last = "";
        for (name, value) in &signed {
            if *name == last {
                // Several of one name stand in one line.
                canonical.pop();
                canonical.push(b',');
            } else {
                if !names.is_empty() {
                    names.push(';');
                }
                names.push_str(name);
                canonical.extend_from_slice(name.as_bytes());
                canonical.push(b':');
            }
            last = name;
            trimmed(&mut canonical, value.as_bytes());
            canonical.push(b'\n');
        }
        canonical.push(b'\n');
        canonical.extend_from_slice(names.as_bytes());
        canonical.push(b'\n');
        canonical.extend_from_slice(content.as_bytes());

        let day = &stamp[..8];
        let mut said = String::with_capacity(160);
        let _ = write!(said, "AWS4-HMAC-SHA256\n{stamp}\n{day}/{region}/{service}/aws4_request\n");
        said.push_str(&hex(&Sha256::digest(&canonical)));
        let signature = hex(&self.key(day, region, service, credentials).hmac.of(said.as_bytes()));

        let mut value = String::with_capacity(320);
        let id = credentials.access_key_id();
        let _ = write!(
            value,
            "AWS4-HMAC-SHA256 Credential={id}/{day}/{region}/{service}/aws4_request, SignedHeaders={names}, Signature={signature}"
        );
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, value);
        Ok(())
    }

    fn key(&self, day: &str, region: &str, service: &str, credentials: &Credentials) -> Arc<Key> {
        let mut held = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held.as_ref()
            && key.day == day.as_bytes()
            && key.region == region
            && key.service == service
            && key.secret.secret_access_key() == credentials.secret_access_key()
        {
            return Arc::clone(key);
        }
        let secret = format!("AWS4{}", credentials.secret_access_key());
        let mut link = Hmac::new(secret.as_bytes()).of(day.as_bytes());
        for part in [region, service, "aws4_request"] {
            link = Hmac::new(&link).of(part.as_bytes());
        }
        let key = Arc::new(Key {
            day: day.as_bytes().try_into().unwrap_or_default(),
            region: region.to_owned(),
            service: service.to_owned(),
            secret: credentials.clone(),
            hmac: Hmac::new(&link),
        });
        *held = Some(Arc::clone(&key));
        key
    }
}

/// A value without blanks at its ends and with single ones within.
fn trimmed(to: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        to.extend_from_slice(value);
        return;
    }
    let mut blank = false;
    for byte in value {
        if *byte != b' ' || !blank {
            to.push(*byte);
        }
        blank = *byte == b' ';
    }
}

/// `20261121T081500Z`
fn stamp(now: SystemTime) -> [u8; 16] {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the leap day is the last; eras have 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let mut text = *b"00000000T000000Z";
    let mut put = |at: usize, digits: usize, mut number: u64| {
        for place in (at..at + digits).rev() {
            text[place] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    };
    put(0, 4, year);
    put(4, 2, month);
    put(6, 2, date);
    put(9, 2, second / 3600);
    put(11, 2, second / 60 % 60);
    put(13, 2, second % 60);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::FutureExt as _;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_is_written_as_the_signature_wants_it() {
        for seconds in [0, 951_782_400, 951_868_799, 1_369_353_600, 1_709_210_096, 4_107_542_399] {
            let expected = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0)
                .unwrap()
                .format("%Y%m%dT%H%M%SZ")
                .to_string();
            assert_eq!(std::str::from_utf8(&stamp(at(seconds))).unwrap(), expected);
        }
    }

    #[test]
    fn hmac_gives_what_rfc_4231_says() {
        let of = |key: &[u8], data: &[u8]| hex(&Hmac::new(key).of(data));
        assert_eq!(
            of(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            of(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    /// The examples AWS documents for Signature Version 4 with S3.
    #[test]
    fn the_documented_requests_have_the_documented_signatures() {
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "test",
        );
        let signer = Signer::default();
        for (method, path, query, body, more, expected) in [
            (
                "GET",
                "/test.txt",
                "",
                &b""[..],
                &[("range", "bytes=0-9")][..],
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                "",
                b"Welcome to Amazon S3.",
                &[
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                "max-keys=2&prefix=J",
                b"",
                &[],
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
            headers.insert("user-agent", HeaderValue::from_static("not signed"));
            for (name, value) in more {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            let content = hash(&Bytes::from_static(body).into()).now_or_never().unwrap().unwrap();
            let subject = Subject {
                method,
                path,
                query,
                content: &content,
                region: "us-east-1",
                service: "s3",
            };
            signer.sign(&mut headers, &subject, &credentials, at(1_369_353_600)).unwrap();
            let value = headers["authorization"].to_str().unwrap();
            assert!(value.ends_with(&format!("Signature={expected}")), "{value}");
            assert!(headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn blanks_in_values_are_single_and_repeated_names_stand_in_one_line() {
        let mut to = Vec::new();
        trimmed(&mut to, b"  a   b c  ");
        assert_eq!(to, b"a b c");
        let credentials = Credentials::new("id", "secret", Some("token".to_owned()), None, "test");
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        let subject = Subject {
            method: "GET",
            path: "/",
            query: "",
            content: NOTHING,
            region: "r",
            service: "s3",
        };
        Signer::default().sign(&mut headers, &subject, &credentials, at(0)).unwrap();
        let value = headers["authorization"].to_str().unwrap();
        assert!(
            value.contains(
                "SignedHeaders=x-a;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
            ),
            "{value}"
        );
        assert!(headers["x-amz-security-token"].is_sensitive());
    }
}
