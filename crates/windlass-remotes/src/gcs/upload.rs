//! A resumable upload: one stream of bytes to the service, in pieces, of which it says how much it has.
//!
//! The service checks conditions when the upload begins and again when it ends, which uploads of parts
//! side by side cannot ask of it. So parts wait for those before them.

use super::client::Client;
use crate::error::{changed, failed};
use crate::http::Reply;
use crate::tree::Sink;
use crate::turns::Turns;
use async_trait::async_trait;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::Mutex;
use windlass_s3::PutOptions;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// The service takes whole multiples of this, but for the end.
const UNIT: usize = 256 << 10;

/// How often a piece is sent again, from where the service has it.
const AGAIN: u32 = 4;

/// An upload that was begun.
pub(super) struct Session {
    client: Client,
    object: ObjectPath,
    /// Address of the upload: whoever has it may write to it.
    url: String,
    pub(super) options: PutOptions,
    pub(super) turns: Turns,
    state: Mutex<State>,
}

struct State {
    /// Bytes the service has.
    sent: u64,
    /// Less than a unit, not sent yet.
    rest: Bytes,
    sum: Digest,
}

/// What the service says of an upload.
enum Told {
    /// It has so many bytes and waits for more.
    Has(u64),
    /// The object is there.
    Done(Value),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("object", &self.object).finish_non_exhaustive()
    }
}

/// CRC-32C as the service writes it.
pub(super) fn crc32c(sum: u64) -> String {
    use base64::Engine as _;
    let sum = u32::try_from(sum & 0xffff_ffff).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(sum.to_be_bytes())
}

impl Session {
    pub(super) fn new(
        client: Client,
        object: ObjectPath,
        url: String,
        options: PutOptions,
    ) -> Self {
        let sum = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let state = Mutex::new(State { sent: 0, rest: Bytes::new(), sum });
        Self { client, object, url, options, turns: Turns::new(), state }
    }

    async fn told(&self, reply: Reply) -> Result<Told> {
        match reply.status().as_u16() {
            308 => {
                let has = reply.header("range").and_then(|range| range.rsplit_once('-'));
                Ok(Told::Has(match has {
                    Some((_, last)) => last.parse::<u64>().map_or(0, |last| last + 1),
                    None => 0,
                }))
            }
            200 | 201 => {
                let text = reply.text().await?;
                let object = serde_json::from_str(&text).map_err(|error| {
                    failed(format!("the service's answer for `{}` cannot be read", self.object.key))
                        .source(error)
                })?;
                Ok(Told::Done(object))
            }
            404 | 410 => {
                Err(failed("the upload is no longer known to the service; begin it again"))
            }
            412 => Err(changed(&self.object.key)),
            _ => Err(self.client.refusal(reply, "write", &self.object).await),
        }
    }

    /// Sends bytes that begin at `from`; `total` where they are the last.
    async fn piece(&self, from: u64, body: Bytes, total: Option<(u64, &str)>) -> Result<Told> {
        let size = total.map_or_else(|| "*".to_owned(), |(total, _)| total.to_string());
        let range = match body.len() as u64 {
            0 => format!("bytes */{size}"),
            length => format!("bytes {from}-{}/{size}", from + length - 1),
        };
        let length = body.len() as u64;
        let mut request = self
            .client
            .request(Method::PUT, &self.url)
            .await?
            .header("content-range", range)
            .header("content-length", length)
            .body(body);
        if let Some((_, sum)) = total {
            request = request.header("x-goog-hash", format!("crc32c={sum}"));
        }
        let reply = self.client.send(request, length).await?;
        self.told(reply).await
    }

    /// Sends until the service has all, going on from where it is after a break.
    async fn push(
        &self,
        mut from: u64,
        mut body: Bytes,
        total: Option<(u64, &str)>,
    ) -> Result<Told> {
        let end = from + body.len() as u64;
        let mut left = AGAIN;
        let mut pause = Duration::from_millis(200);
        loop {
            let told = match self.piece(from, body.clone(), total).await {
                Err(error) if left > 0 && error.class().is_retryable() => {
                    tracing::debug!(error = error.chain(), "asking how much of an upload arrived");
                    left -= 1;
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    match self.piece(0, Bytes::new(), None).await {
                        Err(error) if error.class().is_retryable() && left > 0 => continue,
                        other => other?,
                    }
                }
                other => other?,
            };
            let Told::Has(has) = told else { return Ok(told) };
            let known = has.checked_sub(from).filter(|_| has <= end);
            let Some(step) = known else {
                return Err(failed("the service lost a part of the upload; begin it again"));
            };
            if has == end && total.is_none() {
                return Ok(Told::Has(has));
            }
            if step == 0 && !body.is_empty() || has == end {
                left = left.checked_sub(1).ok_or_else(|| {
                    Error::new(
                        ErrorCode::ConnectionFailed,
                        "the service takes no more of the upload",
                    )
                })?;
            }
            body = body.slice(usize::try_from(step).unwrap_or(body.len())..);
            from = has;
        }
    }

    /// Ends the upload; answers the object.
    pub(super) async fn end(&self) -> Result<Value> {
        let state = self.state.lock().await;
        let total = state.sent + state.rest.len() as u64;
        let sum = crc32c(state.sum.finalize());
        match self.push(state.sent, state.rest.clone(), Some((total, &sum))).await? {
            Told::Done(object) if object["crc32c"].as_str().is_none_or(|told| told == sum) => {
                Ok(object)
            }
            Told::Done(object) => {
                self.client.discard(&self.object, &object).await;
                Err(crate::cloud::corrupt(&self.object.key))
            }
            Told::Has(_) => Err(failed("the service did not end the upload")),
        }
    }

    /// Gives the upload up; the service would drop it after a week.
    pub(super) async fn give_up(&self) -> Result<()> {
        let request = self.client.request(Method::DELETE, &self.url).await?;
        // 499 says that it was cancelled; what else it says, there is nothing more to do.
        self.client.send(request.header("content-length", 0), 0).await.map(drop)
    }
}

#[async_trait]
impl Sink for Session {
    fn ordered(&self) -> bool {
        true
    }

    async fn write(&self, _offset: u64, body: Bytes) -> Result<()> {
        let mut state = self.state.lock().await;
        state.sum.update(&body);
        let mut bytes =
            if state.rest.is_empty() { body } else { [&state.rest[..], &body[..]].concat().into() };
        let rest = bytes.split_off(bytes.len() - bytes.len() % UNIT);
        if !bytes.is_empty() {
            let from = state.sent;
            let length = bytes.len() as u64;
            self.push(from, bytes, None).await?;
            state.sent += length;
        }
        // A copy: what was given belongs to memory that the caller counts.
        state.rest = Bytes::copy_from_slice(&rest);
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        Ok(())
    }
}
