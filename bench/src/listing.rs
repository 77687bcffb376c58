//! Buckets with as many keys as asked for, which exist only as their listing.
//!
//! Every bucket has `d/NNN/NNNNNNN.bin` in byte order, as many keys a folder as asked for, one `ETag`
//! and one time each. It answers `ListObjectsV2` with prefix, delimiter `/`, start-after, max-keys and
//! continuation tokens (the last key), to anybody.

use crate::listen;
use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;

/// What the buckets have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) all: u64,
    pub(crate) in_folder: u64,
}

/// Serves until killed.
pub(crate) async fn serve(keys: Keys) -> Result<()> {
    let listener = listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let answer =
                service_fn(
                    move |request| async move { Ok::<_, Infallible>(answer(&request, keys)) },
                );
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

impl Keys {
    fn key(self, number: u64) -> String {
        format!("d/{:05}/{number:010}.bin", number / self.in_folder)
    }
}

/// The first number whose key is after (or, if `equal`, at) a text.
fn first_after(text: &str, equal: bool, keys: Keys) -> u64 {
    let (mut low, mut high) = (0, keys.all);
    while low < high {
        let middle = low.midpoint(high);
        let at = keys.key(middle);
        if at.as_str() < text || (!equal && at == text) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn answer(request: &Request<Incoming>, keys: Keys) -> Response<Full<Bytes>> {
    let query: HashMap<String, String> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            let value = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
            (name.to_owned(), value.into_owned())
        })
        .collect();
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let mut response = Response::new(Full::default());
    if request.method() != http::Method::GET || text("list-type") != "2" {
        if request.method() == http::Method::GET && request.uri().query().is_some() {
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        }
        return response;
    }
    let (prefix, delimiter) = (text("prefix"), text("delimiter"));
    let most = text("max-keys").parse().unwrap_or(1000).min(1000_usize);
    let after = [text("continuation-token"), text("start-after")]
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default();
    let mut number = first_after(prefix, true, keys);
    if !after.is_empty() {
        // A common prefix as the last entry skips all below it.
        let next = if after.ends_with('/') && !delimiter.is_empty() {
            first_after(&format!("{after}\u{10ffff}"), false, keys)
        } else {
            first_after(after, false, keys)
        };
        number = number.max(next);
    }
    let mut out = String::with_capacity(300 * most.min(2000));
    let (mut count, mut last, mut more) = (0, String::new(), false);
    while number < keys.all {
        let at = keys.key(number);
        let Some(rest) = at.strip_prefix(prefix) else { break };
        if count == most {
            more = true;
            break;
        }
        count += 1;
        if let (false, Some(end)) = (delimiter.is_empty(), rest.find('/')) {
            last = format!("{prefix}{}", &rest[..=end]);
            let _ = write!(out, "<CommonPrefixes><Prefix>{last}</Prefix></CommonPrefixes>");
            number = first_after(&format!("{last}\u{10ffff}"), false, keys);
        } else {
            let _ = write!(
                out,
                "<Contents><Key>{at}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>10240</Size><StorageClass>STANDARD</StorageClass></Contents>"
            );
            last = at;
            number += 1;
        }
    }
    let token = if more {
        format!("<NextContinuationToken>{last}</NextContinuationToken>")
    } else {
        String::new()
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{token}{out}</ListBucketResult>"
    );
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/xml"));
    response.headers_mut().insert("x-amz-request-id", http::HeaderValue::from_static("bench"));
    *response.body_mut() = Full::new(Bytes::from(body));
    response
}
