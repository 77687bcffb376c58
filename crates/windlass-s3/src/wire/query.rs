//! Requests of the query protocol, which services besides S3 speak: a form, answered by XML.

use super::connect::Dialer;
use super::pool::{Body, Origin};
use super::sign::{self, Signer, Subject};
use super::{AGENT, Wire};
use crate::error;
use crate::payload::Payload;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use windlass_types::{Error, ErrorCode, Result};

/// How often it is asked, at most.
const ATTEMPTS: u32 = 3;
/// Bytes of the longest answer.
const LONGEST: usize = 16 << 20;
const FORM: HeaderValue =
    HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");

impl Wire {
    /// Posts a form to `address` (scheme and authority) as `service` in `region`, and answers the XML.
    pub(crate) async fn query(
        &self,
        operation: &'static str,
        address: &str,
        (service, region): (&str, &str),
        form: String,
    ) -> Result<Vec<u8>> {
        let wrong = |why: String| {
            Error::new(
                ErrorCode::ConnectionFailed,
                format!("{operation} cannot be asked of `{address}`"),
            )
            .source(std::io::Error::other(why))
        };
        let uri: Uri =
            address.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let host = HeaderValue::from_str(&host).map_err(|error| wrong(error.to_string()))?;
        let origin = Arc::new(Origin::new(Dialer::new(self.line(), uri)?, 1));
        let body = Payload::from(Bytes::from(form));
        let content = sign::hash(&body).await.map_err(|error| wrong(error.to_string()))?;
        let signer = Signer::default();
        let mut attempt = 1;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.clone());
            headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            headers.insert(CONTENT_TYPE, FORM);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            if let Some(kept) = self.kept() {
                let credentials = kept
                    .get()
                    .await
                    .map_err(|failure| error::no_credentials(self.connection(), &failure))?;
                let subject = Subject {
                    method: "POST",
                    path: "/",
                    query: "",
                    content: &content,
                    region,
                    service,
                };
                signer
                    .sign(&mut headers, &subject, &credentials, SystemTime::now())
                    .map_err(|error| wrong(error.to_string()))?;
            }
            let mut request = Request::new(body.body());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = Uri::from_static("/");
            *request.headers_mut() = headers;
            let limit = self.line().patience(body.len());
            let asked = tokio::time::timeout(limit, once(&origin, request)).await;
            let failure = match asked {
                Ok(Ok((status, text))) if status < 300 => return Ok(text),
                Ok(Ok((status, text))) => {
                    let said = said(&text);
                    let what = format!("{operation} was refused: {status} {said}");
                    if status == 403 || status == 401 {
                        return Err(Error::new(ErrorCode::ConnectionDenied, what));
                    }
                    if status < 500 && status != 429 && !said.contains("Throttl") {
                        return Err(Error::new(ErrorCode::ConnectionRejected, what));
                    }
                    Error::new(ErrorCode::ConnectionBusy, what)
                }
                Ok(Err(text)) => error::dispatch(operation, self.connection(), &text, false),
                Err(_) => error::dispatch(operation, self.connection(), "no answer in time", true),
            };
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            attempt += 1;
        }
    }
}

async fn once(
    origin: &Arc<Origin>,
    request: Request<crate::payload::Sending>,
) -> std::result::Result<(u16, Vec<u8>), String> {
    let mut conn = origin.open().await.map_err(|error| error::text_of(error.as_ref()))?;
    let answer = conn.exchange(request).await.map_err(|error| match error {
        Some(error) => error::text_of(&error),
        None => "the connection was closed".to_owned(),
    })?;
    let (parts, incoming) = answer.into_parts();
    let mut body = Body::new(incoming, origin, conn);
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece.map_err(|error| error::text_of(&error))?);
        if text.len() > LONGEST {
            return Err("the answer does not end".to_owned());
        }
    }
    Ok((parts.status.as_u16(), text))
}

/// Code and message of a refusal, as far as it has them.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(value, _)| value.trim().to_owned())
    };
    [element("Code"), element("Message")].into_iter().flatten().collect::<Vec<_>>().join(": ")
}
