//! What every S3 request passes on its way out: `READ_ONLY`, HEADERS, requester pays.
//!
//! It sits in the SDK client itself, below every feature, so that no caller can forget it. What may
//! be called on a `READ_ONLY` connection is a closed list: a call the list does not know is refused.

use crate::secrets::Secrets;
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use base64::Engine as _;
use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Name, Result, S3Spec};

/// The calls that change nothing, by the SDK's names.
pub(crate) const READING: &[&str] = &[
    "CreateSession",
    "GetBucketLocation",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
];

/// The interceptor of one connection.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Inner {
    connection: Name,
    read_only: bool,
    headers: Vec<(HeaderName, SecretString)>,
    requester_pays: bool,
    /// S3-compatible services of before 2020 know no other checksum of a list of keys to delete.
    md5_for_deletes: bool,
    /// A URL is signed, not a request sent: a header would have to be sent by whoever uses it.
    presigning: bool,
}

impl Guard {
    pub(crate) fn new(
        connection: &Name,
        spec: &S3Spec,
        secrets: &Secrets,
        presigning: bool,
    ) -> Self {
        let given = if presigning { &[][..] } else { &secrets.headers };
        let valid = |(name, value): &(String, SecretString)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, value.clone()))
        };
        Self(Arc::new(Inner {
            connection: connection.clone(),
            read_only: spec.read_only,
            headers: given.iter().filter_map(valid).collect(),
            requester_pays: spec.requester_pays,
            md5_for_deletes: spec.endpoint.is_some(),
            presigning,
        }))
    }

    /// Refuses what would write through a `READ_ONLY` connection.
    pub(crate) fn check(&self, operation: &str) -> Result<()> {
        if !self.0.read_only || READING.contains(&operation) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::ConnectionReadOnly,
            format!(
                "connection `{}` is READ_ONLY; {operation} would write through it",
                self.0.connection
            ),
        )
        .hint("READ_ONLY cannot be altered; use another connection to write"))
    }

    /// What every request gets that does not have it: a header that is set already belongs to the
    /// request itself.
    fn additions(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        let given = self.0.headers.iter().map(|(name, value)| (name, value.expose_secret()));
        given.chain(self.0.requester_pays.then_some((&PAYER, "requester")))
    }

    /// Adds them to a request of our own client.
    pub(crate) fn dress(&self, headers: &mut HeaderMap) {
        for (name, value) in self.additions() {
            if let Entry::Vacant(place) = headers.entry(name)
                && let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes())
            {
                value.set_sensitive(*name != PAYER);
                place.insert(value);
            }
        }
    }
}

/// Who pays for a request.
static PAYER: HeaderName = HeaderName::from_static("x-amz-request-payer");

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("read_only", &self.0.read_only).finish_non_exhaustive()
    }
}

fn operation(cfg: &ConfigBag) -> String {
    cfg.load::<Metadata>().map(|metadata| metadata.name().to_owned()).unwrap_or_default()
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    // Not earlier: the client's interceptors do not know the operation before this hook.
    fn read_before_serialization(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.check(&operation(cfg)).map_err(Into::into)
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if self.0.presigning {
            if self.0.requester_pays {
                let mark = if request.uri().contains('?') { '&' } else { '?' };
                let uri = format!("{}{mark}{PAYER}=requester", request.uri());
                request.set_uri(uri)?;
            }
        } else {
            for (name, value) in self.additions() {
                if !request.headers().contains_key(name.as_str()) {
                    request.headers_mut().insert(name.as_str().to_owned(), value.to_owned());
                }
            }
        }
        if self.0.md5_for_deletes
            && operation(cfg) == "DeleteObjects"
            && let Some(body) = request.body().bytes()
        {
            let digest = base64::engine::general_purpose::STANDARD.encode(Md5::digest(body));
            request.headers_mut().insert("content-md5", digest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_on_the_list_of_readers_writes() {
        for word in [
            "Put", "Delete", "Create", "Copy", "Complete", "Abort", "Upload", "Restore", "Write",
            "Update",
        ] {
            let found: Vec<_> = READING.iter().filter(|name| name.starts_with(word)).collect();
            // A session of a directory bucket is a credential, not a thing of the bucket.
            assert!(found.iter().all(|name| **name == "CreateSession"), "{found:?}");
        }
    }
}
