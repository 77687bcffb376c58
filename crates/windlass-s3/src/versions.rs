//! Versions of keys: what a versioned bucket keeps of the past, and removing single ones of them.
//!
//! These calls are rare, so the SDK does them. It gives versions and delete markers of a page as two
//! lists; here they become one again, by key and time.

use crate::access::VersionEntry;
use crate::error;
use crate::list::{decode, time, unquote};
use crate::store::{S3Store, target};
use crate::write::fits_xml;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::cmp::Reverse;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Result};

/// Lists what is below a place.
pub(crate) fn list(
    store: &S3Store,
    location: &Location,
    recursive: bool,
) -> BoxStream<'static, Result<VersionEntry>> {
    let (store, location) = (store.clone(), location.clone());
    async_stream::try_stream! {
        let (bucket, prefix) = (location.need_bucket()?, location.key.as_str());
        store.check(bucket, prefix)?;
        let binding = &store.spec().binding;
        let row = |key: String, kind: EntryKind| Entry {
            path: binding.relative(bucket, &key),
            key,
            kind,
            size: None,
            last_modified: None,
            etag: None,
            storage_class: None,
        };
        let (mut key, mut id): (Option<String>, Option<String>) = (None, None);
        loop {
            let page = store
                .send("ListObjectVersions", bucket, prefix, |client| {
                    client
                        .list_object_versions()
                        .bucket(bucket)
                        .prefix(prefix)
                        .set_delimiter((!recursive).then(|| "/".to_owned()))
                        .encoding_type(EncodingType::Url)
                        .set_key_marker(key.clone())
                        .set_version_id_marker(id.clone())
                        .send()
                })
                .await?;
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            let name = |text: Option<&str>| match text {
                Some(text) if encoded => decode(text),
                text => Ok(text.unwrap_or_default().to_owned()),
            };
            let mut rows = Vec::new();
            for one in page.versions() {
                let mut entry = row(name(one.key())?, EntryKind::Object);
                entry.size = one.size().and_then(|size| u64::try_from(size).ok());
                entry.last_modified = one.last_modified().and_then(time);
                entry.etag = one.e_tag().map(unquote);
                entry.storage_class = one.storage_class().map(|class| class.as_str().to_owned());
                rows.push(VersionEntry {
                    entry,
                    version: one.version_id().map(str::to_owned),
                    latest: one.is_latest() == Some(true),
                    delete_marker: false,
                });
            }
            for one in page.delete_markers() {
                let mut entry = row(name(one.key())?, EntryKind::Object);
                entry.last_modified = one.last_modified().and_then(time);
                rows.push(VersionEntry {
                    entry,
                    version: one.version_id().map(str::to_owned),
                    latest: one.is_latest() == Some(true),
                    delete_marker: true,
                });
            }
            for one in page.common_prefixes() {
                let entry = row(name(one.prefix())?, EntryKind::Prefix);
                rows.push(VersionEntry { entry, version: None, latest: true, delete_marker: false });
            }
            let more = page.is_truncated() == Some(true);
            let next = match page.next_key_marker() {
                Some(text) if more => Some(name(Some(text))?),
                _ => None,
            };
            in_order(&mut rows, key.as_deref(), next.as_deref());
            for row in rows {
                yield row;
            }
            if !more {
                break;
            }
            let next = (next, page.next_version_id_marker().map(str::to_owned));
            if next == (key.clone(), id.clone()) || next.0.is_none() {
                Err(Error::new(
                    ErrorCode::ConnectionFailed,
                    format!("the list of versions in `{bucket}` does not advance"),
                ))?;
            }
            (key, id) = next;
        }
    }
    .boxed()
}

/// Puts the rows of a page in order: by key, and of a key the newest first. A key that is cut by the
/// ends of the page stays at that end, also where the service has another order than that of bytes.
fn in_order(rows: &mut [VersionEntry], before: Option<&str>, next: Option<&str>) {
    rows.sort_by(|a, b| {
        let rank = |row: &VersionEntry| {
            let key = Some(row.entry.key.as_str());
            (key == next && key != before, key != before)
        };
        let place = |row: &VersionEntry| {
            // Of one second the markers come first: the newer one is what a person wants undone.
            (Reverse(row.latest), Reverse(row.entry.last_modified), Reverse(row.delete_marker))
        };
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.entry.key.cmp(&b.entry.key))
            .then_with(|| place(a).cmp(&place(b)))
    });
}

/// Deletes versions; answers those that were refused.
pub(crate) async fn delete(
    store: &S3Store,
    bucket: &str,
    versions: &[(String, String)],
) -> Result<Vec<(String, Error)>> {
    let (together, mut alone): (Vec<_>, Vec<_>) =
        versions.iter().partition(|(key, _)| fits_xml(key));
    let mut failed = Vec::new();
    for chunk in together.chunks(1000) {
        let objects = chunk
            .iter()
            .map(|(key, version)| ObjectIdentifier::builder().key(key).version_id(version).build());
        let unbuilt = |error| {
            Error::new(ErrorCode::Internal, "a list of versions cannot be made").source(error)
        };
        let objects: Vec<_> = objects.collect::<Result<_, _>>().map_err(unbuilt)?;
        let list =
            Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(unbuilt)?;
        let answer = store
            .try_send("DeleteObjects", bucket, |client| {
                client.delete_objects().bucket(bucket).delete(list.clone()).send()
            })
            .await?;
        match answer {
            Ok(answer) => {
                for one in answer.errors() {
                    let (key, code) =
                        (one.key().unwrap_or_default(), one.code().unwrap_or_default());
                    if matches!(code, "NoSuchKey" | "NoSuchVersion") {
                        continue;
                    }
                    let (what, message) = (target(bucket, key), one.message().unwrap_or_default());
                    let connection = store.connection();
                    let error =
                        error::from_code("DeleteObjectVersion", &what, connection, code, message);
                    failed.push((key.to_owned(), store.clean(error)));
                }
            }
            // Services without the call.
            Err(failure)
                if failure
                    .raw_response()
                    .is_some_and(|it| matches!(it.status().as_u16(), 405 | 501)) =>
            {
                alone.extend(chunk);
            }
            Err(failure) => return Err(store.fail("DeleteObjects", bucket, failure)),
        }
    }
    for (key, version) in alone {
        let gone = store
            .send("DeleteObjectVersion", bucket, key, |client| {
                client.delete_object().bucket(bucket).key(key).version_id(version).send()
            })
            .await;
        if let Err(error) = gone {
            failed.push((key.clone(), error));
        }
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn row(key: &str, version: &str, second: i64, marker: bool, latest: bool) -> VersionEntry {
        let entry = Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: key.to_owned(),
            size: (!marker).then_some(1),
            last_modified: DateTime::from_timestamp(second, 0),
            etag: None,
            storage_class: None,
        };
        VersionEntry { entry, version: Some(version.to_owned()), latest, delete_marker: marker }
    }

    #[test]
    fn two_lists_of_a_page_become_one_with_the_newest_first_and_cut_keys_at_the_ends() {
        let mut rows = vec![
            row("a", "a1", 1, false, false),
            row("b", "b1", 1, false, false),
            row("x", "x1", 1, false, false),
            row("z", "z0", 0, false, false),
            row("a", "a3", 1, true, true),
            row("a", "a2", 1, true, false),
            row("b", "b2", 2, true, true),
        ];
        in_order(&mut rows, Some("z"), Some("b"));
        let order: Vec<&str> = rows.iter().filter_map(|row| row.version.as_deref()).collect();
        assert_eq!(order, ["z0", "a3", "a2", "a1", "x1", "b2", "b1"]);
        // One key that is longer than a page.
        in_order(&mut rows[..1], Some("z"), Some("z"));
    }
}
