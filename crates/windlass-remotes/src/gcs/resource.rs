//! Objects as Google Cloud Storage describes them, in JSON and in headers.

use crate::cloud::{SYSTEM_HEADERS, user_metadata};
use crate::http::{Reply, http_date};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_s3::{ObjectMeta, PutOptions, PutResult};

/// Fields of an object that are asked for.
pub(super) const FIELDS: &str = "name,size,timeCreated,generation,storageClass,contentType,metadata,cacheControl,contentDisposition,contentEncoding,contentLanguage,crc32c,md5Hash,kmsKeyName";

/// How the JSON names the system headers, in the order of [`SYSTEM_HEADERS`].
const NAMES: [&str; 4] =
    ["cacheControl", "contentDisposition", "contentEncoding", "contentLanguage"];

/// A time of the JSON.
pub(super) fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(Into::into)
}

/// A size, which the JSON writes as text.
pub(super) fn size(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64()).unwrap_or_default()
}

/// A text of the JSON.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// What is known of an object. Its generation is its state: it changes with every write.
pub(super) fn meta(object: &Value) -> ObjectMeta {
    let headers = SYSTEM_HEADERS.iter().zip(NAMES);
    let metadata = object["metadata"].as_object();
    let sums = [("CRC32C", "crc32c"), ("MD5", "md5Hash")];
    ObjectMeta {
        size: size(&object["size"]),
        last_modified: time(&object["timeCreated"]),
        etag: text(&object["generation"]),
        version: text(&object["generation"]),
        storage_class: text(&object["storageClass"]),
        content_type: text(&object["contentType"]),
        headers: headers
            .filter_map(|(name, field)| Some(((*name).to_owned(), text(&object[field])?)))
            .collect(),
        metadata: metadata
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        checksums: sums
            .iter()
            .filter_map(|(name, field)| Some(((*name).to_owned(), text(&object[field])?)))
            .collect(),
        encryption: None,
        kms_key: text(&object["kmsKeyName"]),
        tag_count: None,
        link: false,
        archived: false,
    }
}

/// The same of an answer with the object's bytes.
pub(super) fn meta_of(reply: &Reply, size: u64) -> ObjectMeta {
    let text = |name: &str| reply.header(name).map(str::to_owned);
    let generation = text("x-goog-generation");
    // One header or several: `crc32c=…,md5=…`.
    let sums: BTreeMap<String, String> = reply
        .headers()
        .get_all("x-goog-hash")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|sum| match sum.trim().split_once('=')? {
            ("crc32c", sum) => Some(("CRC32C".to_owned(), sum.to_owned())),
            ("md5", sum) => Some(("MD5".to_owned(), sum.to_owned())),
            _ => None,
        })
        .collect();
    let headers = SYSTEM_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?)));
    ObjectMeta {
        size,
        last_modified: reply.header("last-modified").and_then(http_date),
        etag: generation.clone(),
        version: generation,
        storage_class: text("x-goog-storage-class"),
        content_type: text("content-type"),
        headers: headers.collect(),
        metadata: user_metadata(reply.headers(), "x-goog-meta-"),
        checksums: sums,
        encryption: None,
        kms_key: None,
        tag_count: None,
        link: false,
        archived: false,
    }
}

/// Description of an object to be written.
pub(super) fn described(key: &str, options: &PutOptions, crc32c: Option<String>) -> Value {
    let mut object = json!({ "name": key });
    if let Some(kind) = &options.content_type {
        object["contentType"] = json!(kind);
    }
    for (name, field) in SYSTEM_HEADERS.iter().zip(NAMES) {
        if let Some(value) = options.headers.get(*name) {
            object[field] = json!(value);
        }
    }
    if !options.metadata.is_empty() {
        object["metadata"] = json!(options.metadata);
    }
    if let Some(sum) = crc32c {
        object["crc32c"] = json!(sum);
    }
    object
}

/// What a write answered. All that is sent goes with its CRC32C, which the service holds it against.
pub(super) fn result(object: &Value) -> PutResult {
    let generation = text(&object["generation"]);
    PutResult { etag: generation.clone(), version: generation, proven: true }
}
