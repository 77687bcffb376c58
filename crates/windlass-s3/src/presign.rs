//! URLs that work without credentials.
//!
//! Signed here, with no request to the service. What a URL cannot carry is refused rather than left
//! out: a write would otherwise be stored unencrypted.

use crate::access::PresignMethod;
use crate::error::text_of;
use crate::store::{S3Store, target};
use aws_sdk_s3::presigning::PresigningConfig;
use std::time::Duration;
use windlass_types::connection::{Encryption, Identity};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// The longest a signature of S3 lives.
const LONGEST: Duration = Duration::from_hours(168);

/// Signs a URL.
pub(crate) async fn presign(
    store: &S3Store,
    object: &ObjectPath,
    method: PresignMethod,
    expires: Duration,
) -> Result<String> {
    let spec = store.spec();
    let operation = match method {
        PresignMethod::Get => "GetObject",
        PresignMethod::Put => "PutObject",
    };
    store.guard().check(operation)?;
    let refused = |message: &str, hint: &str| {
        Err(Error::new(ErrorCode::UsageInvalid, message.to_owned()).hint(hint.to_owned()))
    };
    if expires.is_zero() || expires > LONGEST {
        return refused(
            "a signed URL lives from 1 second to 7 days",
            "one hour is `--expires 1h`, or 3600 seconds over HTTP",
        );
    }
    if spec.identity == Identity::Anonymous {
        return refused(
            "an ANONYMOUS connection has nothing to sign with",
            "public objects can be read by their plain URL",
        );
    }
    match (&spec.encryption, method) {
        (Encryption::Customer(_), _) => {
            return refused(
                "a signed URL cannot carry the SSE-C key",
                "use a connection without ENCRYPTION_CUSTOMER_MANAGED_KEY, or read it through this one",
            );
        }
        (Encryption::Kms(_) | Encryption::Aes256, PresignMethod::Put) => {
            return refused(
                "a signed URL cannot carry the encryption this connection writes with",
                "set default encryption on the bucket and sign with a connection without ENCRYPTION options",
            );
        }
        _ => {}
    }
    let config = PresigningConfig::expires_in(expires).map_err(|error| {
        Error::new(ErrorCode::UsageInvalid, "the lifetime of the URL cannot be used").source(error)
    })?;
    let region = store.region_of(&object.bucket).await?;
    let client = store.client_in(&region, true).await?;
    let what = target(&object.bucket, &object.key);
    let (bucket, key) = (&object.bucket, &object.key);
    let signed = match method {
        PresignMethod::Get => client
            .get_object()
            .bucket(bucket)
            .key(key)
            .presigned(config)
            .await
            .map_err(|failure| store.fail(operation, &what, failure))?,
        PresignMethod::Put => client
            .put_object()
            .bucket(bucket)
            .key(key)
            .set_storage_class(None)
            .presigned(config)
            .await
            .map_err(|failure| store.fail(operation, &what, failure))?,
    };
    // Whoever uses the URL sends host, and nothing else is asked of them.
    if let Some((name, _)) = signed.headers().find(|(name, _)| name.starts_with("x-amz-")) {
        return refused(
            &format!("a URL for `{what}` would need the header `{name}` to be sent with it"),
            "use a connection without options for writes",
        );
    }
    url::Url::parse(signed.uri()).map_err(|error| {
        Error::new(ErrorCode::Internal, "the signed URL is not valid").source(text_of(&error))
    })?;
    Ok(signed.uri().to_owned())
}
