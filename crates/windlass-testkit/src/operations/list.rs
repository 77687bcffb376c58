//! Listing objects, in both versions of the operation.

use super::{encode, found, limit, owner};
use crate::listing::{Item, Query, page, page_by_segments};
use crate::memory::Memory;
use crate::object::{ALGORITHMS, Versions, of};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

/// The tokens of this service begin so, that another text is found out.
const TOKEN: &str = "wt1:";

pub(super) fn list_objects_v2(
    memory: &Memory,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let resumed = match &input.continuation_token {
        Some(token) => Some(open(token)?),
        None => None,
    };
    let buckets = memory.buckets();
    let bucket = found(&buckets, &input.bucket)?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: resumed.as_deref().or(input.start_after.as_deref()).filter(|it| !it.is_empty()),
        limit: limit(input.max_keys)?.min(memory.options.page_size),
    };
    let style = bucket.listing;
    let found = if style.by_segments {
        page_by_segments(&bucket.objects, query, resumed.is_some(), shown)
    } else {
        page(&bucket.objects, query, shown)
    };
    let encoding = input.encoding_type.as_ref();
    let edge =
        found.items.len().checked_sub(if style.repeats && found.items.len() > 1 { 2 } else { 1 });
    let last = if found.truncated { edge.map(|at| found.items[at].text()) } else { None };
    let count = i32::try_from(found.items.len()).unwrap_or(i32::MAX);
    let with_owner = input.fetch_owner == Some(true);
    let (contents, prefixes) = rows(&found.items, encoding, with_owner.then(|| owner(memory)));
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encode(encoding, query.prefix)),
        max_keys: i32::try_from(query.limit).ok(),
        key_count: Some(count),
        is_truncated: Some(found.truncated),
        next_continuation_token: last.map(|it| BASE64.encode(format!("{TOKEN}{it}"))),
        continuation_token: input.continuation_token.clone(),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        delimiter: input.delimiter.as_deref().map(|it| encode(encoding, it)),
        start_after: input.start_after.as_deref().map(|it| encode(encoding, it)),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsV2Output::default()
    }))
}

pub(super) fn list_objects(
    memory: &Memory,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let buckets = memory.buckets();
    let bucket = found(&buckets, &input.bucket)?;
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: input.marker.as_deref().filter(|it| !it.is_empty()),
        limit: limit(input.max_keys)?.min(memory.options.page_size),
    };
    let found = page(&bucket.objects, query, shown);
    let encoding = input.encoding_type.as_ref();
    // As AWS: without a delimiter the client takes the last key itself.
    let last = if found.truncated && !query.delimiter.is_empty() {
        found.items.last().map(Item::text)
    } else {
        None
    };
    let (contents, prefixes) = rows(&found.items, encoding, Some(owner(memory)));
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(encoding, query.prefix)),
        marker: Some(encode(encoding, input.marker.as_deref().unwrap_or_default())),
        max_keys: i32::try_from(query.limit).ok(),
        is_truncated: Some(found.truncated),
        next_marker: last.map(|it| encode(encoding, it)),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        delimiter: input.delimiter.as_deref().map(|it| encode(encoding, it)),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsOutput::default()
    }))
}

fn shown(versions: &Versions) -> bool {
    versions.last().is_some_and(|it| it.object.is_some())
}

fn open(token: &str) -> S3Result<String> {
    BASE64
        .decode(token)
        .ok()
        .and_then(|it| String::from_utf8(it).ok())
        .and_then(|it| it.strip_prefix(TOKEN).map(str::to_owned))
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn rows(
    items: &[Item<'_, Versions>],
    encoding: Option<&EncodingType>,
    owner: Option<Owner>,
) -> (Vec<Object>, Vec<CommonPrefix>) {
    let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Prefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Some(encode(encoding, prefix)) });
            }
            Item::Object(key, versions) => {
                let Some(version) = versions.last() else { continue };
                let Some(object) = &version.object else { continue };
                let attributes = &object.attributes;
                let class = attributes.storage_class.clone();
                let algorithms: Vec<_> = ALGORITHMS
                    .into_iter()
                    .filter(|name| of(&attributes.checksum, name).is_some())
                    .map(|name| ChecksumAlgorithm::from(name.to_uppercase()))
                    .collect();
                contents.push(Object {
                    checksum_algorithm: (!algorithms.is_empty()).then_some(algorithms),
                    checksum_type: attributes.checksum.checksum_type.clone(),
                    e_tag: Some(object.dto_etag()),
                    key: Some(encode(encoding, key)),
                    last_modified: Some(version.modified.into()),
                    owner: owner.clone(),
                    size: Some(object.size()),
                    storage_class: Some(ObjectStorageClass::from(
                        class.unwrap_or_else(|| "STANDARD".to_owned()),
                    )),
                    ..Object::default()
                });
            }
        }
    }
    (contents, prefixes)
}
