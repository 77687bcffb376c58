//! What a fault does to an answer.

use super::schedule::ProxyFault;
use super::{Answer, dropped};
use crate::dice::Dice;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use futures::StreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use std::collections::HashMap;
use std::time::Duration;

/// Pieces of a slow body.
const PIECES: usize = 5;

/// Leaves the first half of a body time to be sent, so that the break is within it.
const BREATH: Duration = Duration::from_millis(20);

pub(super) fn whole(bytes: impl Into<Bytes>) -> Answer {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of a service that refuses.
pub(super) fn refusal(status: StatusCode, code: &str) -> Response<Answer> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>on purpose</Message><RequestId>PROXY</RequestId></Error>"
    );
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// The time an hour ago, as HTTP writes it.
pub(super) fn an_hour_ago() -> HeaderValue {
    let time = Utc::now() - TimeDelta::hours(1);
    HeaderValue::from_str(&time.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Does to an answer, which was read whole, what the fault means.
pub(super) fn damaged(
    fault: ProxyFault,
    mut parts: http::response::Parts,
    bytes: Bytes,
    dice: &mut Dice,
    pause: Duration,
) -> Response<Answer> {
    let length = bytes.len();
    let body = match fault {
        ProxyFault::CutOff => {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            let first = bytes.slice(..dice.below(length));
            let end = futures::stream::once(async {
                tokio::time::sleep(BREATH).await;
                Err::<Frame<Bytes>, _>(dropped())
            });
            let frames = futures::stream::iter([Ok(Frame::data(first))]).chain(end);
            StreamBody::new(frames).boxed_unsync()
        }
        ProxyFault::Shortened => {
            let first = bytes.slice(..dice.below(length));
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(first.len()));
            whole(first)
        }
        ProxyFault::SlowBody => {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            let size = length.div_ceil(PIECES).max(1);
            let pieces: Vec<Bytes> = (0..length)
                .step_by(size)
                .map(|at| bytes.slice(at..(at + size).min(length)))
                .collect();
            let frames = futures::stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok(Frame::data(piece))
            });
            StreamBody::new(frames).boxed_unsync()
        }
        ProxyFault::FlippedByte if parts.status.is_success() && length > 0 => {
            let mut bytes = bytes.to_vec();
            bytes[dice.below(length)] ^= 1 << dice.below(8);
            whole(bytes)
        }
        ProxyFault::WrongEtag if parts.status.is_success() => {
            let wrong = parts.headers.get(header::ETAG).and_then(|it| it.to_str().ok()).map(other);
            if let Some(wrong) = wrong.and_then(|text| HeaderValue::from_str(&text).ok()) {
                parts.headers.insert(header::ETAG, wrong);
            }
            let text = String::from_utf8_lossy(&bytes);
            match element(&text, "<ETag>", "</ETag>") {
                Some((from, to)) => {
                    let text =
                        format!("{}{}{}", &text[..from], other(&text[from..to]), &text[to..]);
                    parts.headers.remove(header::CONTENT_LENGTH);
                    whole(text)
                }
                None => whole(bytes),
            }
        }
        ProxyFault::SkewedDate => {
            parts.headers.insert(header::DATE, an_hour_ago());
            whole(bytes)
        }
        _ => whole(bytes),
    };
    Response::from_parts(parts, body)
}

/// An `ETag` of the same form that is another one.
fn other(etag: &str) -> String {
    let mut changed = false;
    etag.chars()
        .map(|c| match c {
            _ if changed => c,
            '0'..='8' | 'a'..='e' => {
                changed = true;
                char::from_u32(u32::from(c) + 1).unwrap_or(c)
            }
            _ => c,
        })
        .collect()
}

/// Where the text of the first such element begins and ends.
fn element(text: &str, open: &str, close: &str) -> Option<(usize, usize)> {
    let from = text.find(open)? + open.len();
    Some((from, from + text[from..].find(close)?))
}

/// The last row of each page that another page follows, by the token of that page.
#[derive(Debug, Default)]
pub(super) struct Pages(HashMap<String, String>);

const ROW: (&str, &str) = ("<Contents>", "</Contents>");

impl Pages {
    /// Remembers how a page ended.
    pub(super) fn note(&mut self, page: &[u8]) {
        let Ok(text) = std::str::from_utf8(page) else { return };
        let token = element(text, "<NextContinuationToken>", "</NextContinuationToken>");
        let last = text.rfind(ROW.0).zip(text.rfind(ROW.1));
        if let (Some((from, to)), Some((begin, end))) = (token, last) {
            self.0.insert(text[from..to].to_owned(), text[begin..end + ROW.1.len()].to_owned());
        }
    }

    /// A page with the last row of the page before at its beginning; None if there was none.
    pub(super) fn repeated(&self, query: &str, page: &[u8]) -> Option<Vec<u8>> {
        let token = query.split('&').find_map(|part| part.strip_prefix("continuation-token="))?;
        let token = percent_encoding::percent_decode_str(token).decode_utf8_lossy();
        let row = self.0.get(token.as_ref())?;
        let text = std::str::from_utf8(page).ok()?;
        let at = text.find(ROW.0)?;
        Some(format!("{}{row}{}", &text[..at], &text[at..]).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_becomes_another_of_its_form() {
        assert_eq!(other("\"0cc1-2\""), "\"1cc1-2\"");
        assert_eq!(other("&quot;ffa0&quot;"), "&quot;ffb0&quot;");
        assert_eq!(other("\"ff9a\""), "\"ff9b\"");
    }

    #[test]
    fn a_page_repeats_how_the_one_before_it_ended() {
        let page = |keys: &[&str], next: &str| {
            let row = |key: &&str| format!("<Contents><Key>{key}</Key></Contents>");
            let rows = keys.iter().map(row).collect::<Vec<_>>().concat();
            format!("<R>{rows}<NextContinuationToken>{next}</NextContinuationToken></R>")
        };
        let mut pages = Pages::default();
        pages.note(page(&["a", "b"], "t+1").as_bytes());
        let second = page(&["c"], "t2");
        let again = pages.repeated("continuation-token=t%2B1&list-type=2", second.as_bytes());
        assert_eq!(again.unwrap(), page(&["b", "c"], "t2").into_bytes());
        assert_eq!(pages.repeated("list-type=2", second.as_bytes()), None);
    }
}
