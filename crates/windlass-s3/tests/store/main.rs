//! An S3 connection against the S3 of the tests: everything a caller may rely on.

mod data;
mod identity;
mod listing;
mod refusals;

use bytes::Bytes;
use futures::TryStreamExt as _;
use std::sync::Arc;
use windlass_s3::{
    ForgetfulRegions, GetOptions, ListOptions, ObjectAccess as _, ObjectBody, S3Store, Secrets,
};
use windlass_testkit::TestS3;
use windlass_types::{Entry, Error, Location, Name, ObjectPath, OptionMap, OptionValue, S3Spec};

/// A spec for `s3` with these options besides ENDPOINT and keys.
fn spec(s3: &TestS3, more: &[(&str, OptionValue)]) -> S3Spec {
    let (id, secret) = s3.admin();
    let mut options: OptionMap = [
        ("ENDPOINT", OptionValue::Text(s3.endpoint())),
        ("ALLOW_HTTP", OptionValue::Bool(true)),
        ("AWS_ACCESS_KEY_ID", OptionValue::Text(id)),
        ("AWS_SECRET_ACCESS_KEY", OptionValue::Text(secret)),
        ("TIMEOUT", OptionValue::Integer(30)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (name, value) in more {
        options.insert((*name).to_owned(), value.clone());
    }
    S3Spec::build(&options).unwrap()
}

fn text(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

fn secrets(s3: &TestS3) -> Secrets {
    let (id, secret) = s3.admin();
    Secrets {
        access_key_id: Some(id.into()),
        secret_access_key: Some(secret.into()),
        ..Secrets::default()
    }
}

fn open(spec: S3Spec, secrets: Secrets) -> S3Store {
    S3Store::open(Name::new("landing").unwrap(), spec, secrets, Arc::new(ForgetfulRegions)).unwrap()
}

/// A store of the admin with these options.
fn store(s3: &TestS3, more: &[(&str, OptionValue)]) -> S3Store {
    open(spec(s3, more), secrets(s3))
}

fn at(bucket: &str, key: &str) -> ObjectPath {
    ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() }
}

async fn bytes(body: ObjectBody) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = body.stream.try_collect().await?;
    Ok(chunks.concat())
}

async fn read(store: &S3Store, bucket: &str, key: &str) -> Result<Vec<u8>, Error> {
    bytes(store.get(&at(bucket, key), GetOptions::default()).await?).await
}

async fn list(
    store: &S3Store,
    bucket: Option<&str>,
    key: &str,
    options: ListOptions,
) -> Result<Vec<Entry>, Error> {
    let location = Location { bucket: bucket.map(str::to_owned), key: key.to_owned() };
    store.list(&location, options).try_collect().await
}
