//! The headers of encryption, the same for every call that has them.

use crate::secrets::Secrets;
use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use windlass_types::connection::{Encryption, check_customer_key};
use windlass_types::{Error, ErrorCode, Result, S3Spec};

/// A customer's key, as the three headers of SSE-C want it.
#[derive(Clone)]
pub(crate) struct CustomerKey {
    key: SecretString,
    md5: String,
}

impl CustomerKey {
    /// The key of a connection that encrypts with one.
    pub(crate) fn of(spec: &S3Spec, secrets: &Secrets) -> Result<Option<Self>> {
        let Encryption::Customer(_) = spec.encryption else { return Ok(None) };
        let key = secrets.customer_key.clone().ok_or_else(|| {
            Error::new(
                ErrorCode::ConnectionCredentials,
                "the connection has no value for ENCRYPTION_CUSTOMER_MANAGED_KEY",
            )
            .hint("alter the connection: `SET ENCRYPTION_CUSTOMER_MANAGED_KEY = SECRET name`")
        })?;
        let bytes = check_customer_key(key.expose_secret())?;
        Ok(Some(Self { md5: STANDARD.encode(Md5::digest(&bytes)), key }))
    }

    pub(crate) fn algorithm(key: Option<&Self>) -> Option<String> {
        key.map(|_| "AES256".to_owned())
    }

    pub(crate) fn key(key: Option<&Self>) -> Option<String> {
        key.map(|key| key.key.expose_secret().to_owned())
    }

    pub(crate) fn md5(key: Option<&Self>) -> Option<String> {
        key.map(|key| key.md5.clone())
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(***)")
    }
}

/// What the service encrypts with by itself.
pub(crate) fn server_side(spec: &S3Spec) -> (Option<ServerSideEncryption>, Option<String>) {
    match &spec.encryption {
        Encryption::Aes256 => (Some(ServerSideEncryption::Aes256), None),
        Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), Some(key.clone())),
        Encryption::Default | Encryption::Customer(_) => (None, None),
    }
}

/// The headers of a connection's options, made once.
pub(crate) struct Made {
    /// Of every new object: encryption, storage class, ACL.
    pub(crate) fresh: Vec<(HeaderName, HeaderValue)>,
    /// Of an object under SSE-C.
    pub(crate) customer: Vec<(HeaderName, HeaderValue)>,
    /// Of a copy's source under SSE-C.
    pub(crate) source: Vec<(HeaderName, HeaderValue)>,
}

/// Makes the headers of a connection's options.
pub(crate) fn headers(spec: &S3Spec, key: Option<&CustomerKey>) -> Result<Made> {
    let of = |name: &'static str, value: &str, secret: bool| -> Result<_> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::new(
                ErrorCode::OptionInvalid,
                format!("an option holds characters that the header `{name}` cannot carry"),
            )
        })?;
        value.set_sensitive(secret);
        Ok((HeaderName::from_static(name), value))
    };
    let (mut customer, mut source) = (Vec::new(), Vec::new());
    if let Some(key) = key {
        let text = key.key.expose_secret();
        customer = vec![
            of("x-amz-server-side-encryption-customer-algorithm", "AES256", false)?,
            of("x-amz-server-side-encryption-customer-key", text, true)?,
            of("x-amz-server-side-encryption-customer-key-md5", &key.md5, false)?,
        ];
        source = vec![
            of("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256", false)?,
            of("x-amz-copy-source-server-side-encryption-customer-key", text, true)?,
            of("x-amz-copy-source-server-side-encryption-customer-key-md5", &key.md5, false)?,
        ];
    }
    let mut fresh = customer.clone();
    let (encryption, kms_key) = server_side(spec);
    for (name, value) in [
        ("x-amz-server-side-encryption", encryption.as_ref().map(ServerSideEncryption::as_str)),
        ("x-amz-server-side-encryption-aws-kms-key-id", kms_key.as_deref()),
        ("x-amz-storage-class", spec.storage_class.as_deref()),
        ("x-amz-acl", spec.acl.as_deref()),
    ] {
        if let Some(value) = value {
            fresh.push(of(name, value, false)?);
        }
    }
    Ok(Made { fresh, customer, source })
}

/// Adds the SSE-C headers to any request builder that has them.
macro_rules! customer_key {
    ($builder:expr, $store:expr) => {{
        let key = $store.customer_key();
        $builder
            .set_sse_customer_algorithm($crate::encryption::CustomerKey::algorithm(key))
            .set_sse_customer_key($crate::encryption::CustomerKey::key(key))
            .set_sse_customer_key_md5($crate::encryption::CustomerKey::md5(key))
    }};
}

/// Adds the SSE-C headers of the source of a copy.
macro_rules! source_key {
    ($builder:expr, $store:expr) => {{
        let key = $store.customer_key();
        $builder
            .set_copy_source_sse_customer_algorithm($crate::encryption::CustomerKey::algorithm(key))
            .set_copy_source_sse_customer_key($crate::encryption::CustomerKey::key(key))
            .set_copy_source_sse_customer_key_md5($crate::encryption::CustomerKey::md5(key))
    }};
}

/// Adds what every new object gets: encryption, storage class, ACL; the last two as the write says.
macro_rules! new_object {
    ($builder:expr, $store:expr, $options:expr) => {{
        let (spec, options) = ($store.spec(), $options);
        let class = options.storage_class.as_ref().or(spec.storage_class.as_ref());
        let acl = options.acl.as_ref().or(spec.acl.as_ref());
        let (encryption, kms_key) = $crate::encryption::server_side(spec);
        $crate::encryption::customer_key!($builder, $store)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_storage_class(class.map(|class| class.as_str().into()))
            .set_acl(acl.map(|acl| acl.as_str().into()))
            .set_tagging($crate::tags::header(options))
    }};
}

pub(crate) use {customer_key, new_object, source_key};
