//! What the service answers.

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, Bytes::from(body.to_string()))
            .header("content-type", "application/json; charset=UTF-8")
    }

    pub(super) fn new(status: u16, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn response(self, method: &str) -> http::Response<Full<Bytes>> {
        let mut builder = http::Response::builder().status(self.status);
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        let body = if method == "HEAD" { Bytes::new() } else { self.body };
        builder.body(Full::new(body)).expect("an answer that can be sent")
    }
}

/// A refusal as the JSON interface writes it.
pub(super) fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": status, "message": message } }))
}

/// A refusal as the XML interface writes it.
pub(super) fn xml_error(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>");
    Answer::new(status, Bytes::from(body)).header("content-type", "application/xml; charset=UTF-8")
}
