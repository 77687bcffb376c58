//! Listing every version of every key, newest first within a key.

use super::{encode, found, limit, owner};
use crate::listing::behind;
use crate::memory::Memory;
use crate::object::Version;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};
use std::ops::Bound;

pub(super) fn list_object_versions(
    memory: &Memory,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let buckets = memory.buckets();
    let bucket = found(&buckets, &input.bucket)?;
    let most = limit(input.max_keys)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().unwrap_or_default();
    let marker = input.key_marker.as_deref().filter(|it| !it.is_empty());
    let id_marker = input.version_id_marker.as_deref().filter(|it| !it.is_empty());
    let encoding = input.encoding_type.as_ref();

    let mut page = Page::default();
    // A version marker means that the marker's key is not finished.
    let mut from = match marker {
        Some(key) if key >= prefix && id_marker.is_some() => Bound::Included(key.to_owned()),
        Some(key) if key >= prefix => Bound::Excluded(key.to_owned()),
        _ => Bound::Included(prefix.to_owned()),
    };
    let full = |page: &Page<'_>| page.rows.len() + page.prefixes.len() >= most;
    'jump: loop {
        let range =
            bucket.objects.range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded));
        for (key, versions) in range {
            let Some(rest) = key.strip_prefix(prefix) else { break 'jump };
            let cut = if delimiter.is_empty() { None } else { rest.find(delimiter) };
            if let Some(at) = cut {
                let common = &key[..prefix.len() + at + delimiter.len()];
                if marker.is_none_or(|it| common > it) {
                    if full(&page) {
                        page.truncated = true;
                        break 'jump;
                    }
                    page.prefixes.push(common);
                    page.last = Some((common, None));
                }
                match behind(common) {
                    Some(next) => from = Bound::Included(next),
                    None => break 'jump,
                }
                continue 'jump;
            }
            let mut hidden = marker == Some(key) && id_marker.is_some();
            for (back, version) in versions.iter().rev().enumerate() {
                if hidden {
                    hidden = Some(version.id.as_str()) != id_marker;
                    continue;
                }
                if full(&page) {
                    page.truncated = true;
                    break 'jump;
                }
                page.rows.push((key, version, back == 0));
                page.last = Some((key, Some(version.id.as_str())));
            }
        }
        break;
    }

    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for (key, version, latest) in page.rows {
        let key = Some(encode(encoding, key));
        match &version.object {
            Some(object) => versions.push(ObjectVersion {
                e_tag: Some(object.dto_etag()),
                is_latest: Some(latest),
                key,
                last_modified: Some(version.modified.into()),
                owner: Some(owner(memory)),
                size: Some(object.size()),
                storage_class: Some(ObjectVersionStorageClass::from(
                    object
                        .attributes
                        .storage_class
                        .clone()
                        .unwrap_or_else(|| "STANDARD".to_owned()),
                )),
                version_id: Some(version.id.clone()),
                ..ObjectVersion::default()
            }),
            None => markers.push(DeleteMarkerEntry {
                is_latest: Some(latest),
                key,
                last_modified: Some(version.modified.into()),
                owner: Some(owner(memory)),
                version_id: Some(version.id.clone()),
            }),
        }
    }
    let next = if page.truncated { page.last } else { None };
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encode(encoding, prefix)),
        delimiter: input.delimiter.as_deref().map(|it| encode(encoding, it)),
        encoding_type: input.encoding_type.clone(),
        key_marker: Some(encode(encoding, marker.unwrap_or_default())),
        version_id_marker: input.version_id_marker.clone(),
        max_keys: i32::try_from(most).ok(),
        is_truncated: Some(page.truncated),
        next_key_marker: next.map(|it| encode(encoding, it.0)),
        next_version_id_marker: next.and_then(|it| it.1).map(str::to_owned),
        versions: Some(versions),
        delete_markers: Some(markers),
        common_prefixes: Some(
            page.prefixes
                .iter()
                .map(|it| CommonPrefix { prefix: Some(encode(encoding, it)) })
                .collect(),
        ),
        ..ListObjectVersionsOutput::default()
    }))
}

#[derive(Default)]
struct Page<'a> {
    rows: Vec<(&'a str, &'a Version, bool)>,
    prefixes: Vec<&'a str>,
    last: Option<(&'a str, Option<&'a str>)>,
    truncated: bool,
}
