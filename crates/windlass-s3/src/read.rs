//! Reading: what is known of an object, and its bytes.
//!
//! A read either gives every byte of one state of the object or fails: connections that break are
//! taken up again where they broke, bound to the `ETag`; lengths are counted and a checksum of the
//! whole object is compared at the end.

use crate::access::{ByteRange, GetOptions, ObjectBody, ObjectMeta};
use crate::checksum::Expected;
use crate::encryption::customer_key;
use crate::error;
use crate::list::{time, unquote};
use crate::store::{S3Store, target};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// How often one read is taken up again.
const RESUMES: u32 = 3;

/// Everything the answers of `HeadObject` and `GetObject` have in common.
macro_rules! meta {
    ($answer:expr, $size:expr) => {{
        let answer = &$answer;
        let mut headers = BTreeMap::new();
        for (name, value) in [
            ("cache-control", &answer.cache_control),
            ("content-disposition", &answer.content_disposition),
            ("content-encoding", &answer.content_encoding),
            ("content-language", &answer.content_language),
            ("expires", &answer.expires_string),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                headers.insert(name.to_owned(), value.clone());
            }
        }
        let mut checksums = BTreeMap::new();
        for (name, value) in [
            ("CRC64NVME", &answer.checksum_crc64_nvme),
            ("CRC32C", &answer.checksum_crc32_c),
            ("CRC32", &answer.checksum_crc32),
            ("SHA256", &answer.checksum_sha256),
            ("SHA1", &answer.checksum_sha1),
        ] {
            if let Some(value) = value {
                checksums.insert(name.to_owned(), value.clone());
            }
        }
        let class = answer.storage_class.as_ref().map(|class| class.as_str().to_owned());
        let restored =
            answer.restore.as_deref().is_some_and(|r| r.contains("ongoing-request=\"false\""));
        ObjectMeta {
            size: $size,
            last_modified: answer.last_modified.as_ref().and_then(time),
            etag: answer.e_tag.as_deref().map(unquote),
            version: answer.version_id.clone().filter(|version| version != "null"),
            archived: matches!(class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE")) && !restored,
            storage_class: class,
            content_type: answer.content_type.clone(),
            headers,
            metadata: answer.metadata.clone().unwrap_or_default().into_iter().collect(),
            checksums,
            encryption: match &answer.sse_customer_algorithm {
                Some(_) => Some("SSE-C".to_owned()),
                None => answer.server_side_encryption.as_ref().map(|sse| sse.as_str().to_owned()),
            },
            kms_key: answer.ssekms_key_id.clone(),
        }
    }};
}

fn length(content_length: Option<i64>) -> u64 {
    content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

/// Asks for metadata. A HEAD that is refused has no body; a one-byte read then says why.
pub(crate) async fn stat(
    store: &S3Store,
    object: &ObjectPath,
    version: Option<&str>,
) -> Result<ObjectMeta> {
    let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
    let answer = store
        .try_send("HeadObject", bucket, |client| {
            customer_key!(client.head_object(), store)
                .bucket(bucket)
                .key(key)
                .set_version_id(version.map(str::to_owned))
                .checksum_mode(ChecksumMode::Enabled)
                .send()
        })
        .await?;
    let failure = match answer {
        Ok(answer) => {
            let mut meta = meta!(answer, length(answer.content_length));
            meta.archived |= answer.archive_status.is_some();
            return Ok(meta);
        }
        Err(failure) => failure,
    };
    if failure.raw_response().is_some_and(|raw| matches!(raw.status().as_u16(), 400 | 403)) {
        let probe = store
            .try_send("GetObject", bucket, |client| {
                customer_key!(client.get_object(), store)
                    .bucket(bucket)
                    .key(key)
                    .set_version_id(version.map(str::to_owned))
                    .range("bytes=0-0")
                    .send()
            })
            .await?;
        if let Err(said) = probe
            && said.raw_response().is_some_and(|raw| raw.status().as_u16() != 416)
        {
            return Err(store.fail("GetObject", &target(bucket, key), said));
        }
    }
    Err(store.fail("HeadObject", &target(bucket, key), failure))
}

/// What one `GetObject` asks for.
#[derive(Debug, Clone)]
struct Request {
    object: ObjectPath,
    version: Option<String>,
    if_match: Option<String>,
}

impl Request {
    async fn send(
        &self,
        store: &S3Store,
        range: Option<&str>,
    ) -> Result<
        Result<
            GetObjectOutput,
            aws_sdk_s3::error::SdkError<
                GetObjectError,
                aws_smithy_runtime_api::client::orchestrator::HttpResponse,
            >,
        >,
    > {
        let Self { object, version, if_match } = self;
        store
            .try_send("GetObject", &object.bucket, |client| {
                customer_key!(client.get_object(), store)
                    .bucket(&object.bucket)
                    .key(&object.key)
                    .set_version_id(version.clone())
                    .set_if_match(if_match.as_ref().map(|etag| format!("\"{etag}\"")))
                    .set_range(range.map(str::to_owned))
                    .customize()
                    // Asked for by hand: the SDK would otherwise check it too, and cannot go on
                    // after a broken connection.
                    .mutate_request(|request| {
                        request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
                    })
                    .send()
            })
            .await
    }
}

/// Opens an object.
pub(crate) async fn get(
    store: &S3Store,
    object: &ObjectPath,
    options: GetOptions,
) -> Result<ObjectBody> {
    let range = match options.range {
        None | Some(ByteRange::From(0)) => None,
        Some(ByteRange::Bounded(_, 0) | ByteRange::Last(0)) => {
            return nothing(store, object, &options).await;
        }
        Some(ByteRange::Bounded(offset, length)) => {
            Some(match offset.checked_add(length - 1).filter(|last| i64::try_from(*last).is_ok()) {
                Some(last) => format!("bytes={offset}-{last}"),
                // Past what services can count, so past every end.
                None => format!("bytes={offset}-"),
            })
        }
        Some(ByteRange::From(offset)) => Some(format!("bytes={offset}-")),
        Some(ByteRange::Last(count)) => Some(format!("bytes=-{count}")),
    };
    let mut request = Request {
        object: object.clone(),
        version: options.version.clone(),
        if_match: options.if_match.clone(),
    };
    let what = target(&object.bucket, &object.key);
    let answer = match request.send(store, range.as_deref()).await? {
        Ok(answer) => answer,
        Err(failure) => {
            // A range past the end is cut, here to nothing.
            if failure.raw_response().is_some_and(|raw| raw.status().as_u16() == 416) {
                return nothing(store, object, &options).await;
            }
            return Err(store.fail("GetObject", &what, failure));
        }
    };
    let got = length(answer.content_length);
    // `bytes 5-9/100`; a service that ignores ranges answers with everything and no such header.
    let (start, size) = match answer.content_range.as_deref().and_then(content_range) {
        Some((start, end, _)) if end + 1 != start + got => {
            return Err(Error::new(
                ErrorCode::ObjectCorrupt,
                format!(
                    "the service promised {} bytes of `{what}` and gives {got}",
                    end + 1 - start
                ),
            )
            .hint("read it again"));
        }
        Some((start, _, size)) => (start, size.unwrap_or(start + got)),
        // Of an empty object there is no range; some services then give the whole of it.
        None if range.is_none() || got == 0 => (0, got),
        None => {
            return Err(Error::new(
                ErrorCode::ConnectionFailed,
                format!("the service does not read ranges of `{what}`"),
            )
            .hint("use a service that honours the Range header"));
        }
    };
    let meta = meta!(answer, size);
    // Parts of one read must be of one state, so a resumed read is bound to what it began with.
    request.if_match = meta.etag.clone().or(request.if_match);
    let expected = (start == 0 && got == size).then(|| Expected::among(&meta.checksums)).flatten();
    let stream = body(store.clone(), request, start, got, answer.body, expected);
    Ok(ObjectBody { meta, length: got, stream })
}

/// An empty read: the object must be there and in the wanted state all the same.
async fn nothing(store: &S3Store, object: &ObjectPath, options: &GetOptions) -> Result<ObjectBody> {
    let meta = stat(store, object, options.version.as_deref()).await?;
    if options.if_match.is_some() && options.if_match != meta.etag {
        return Err(changed(&target(&object.bucket, &object.key)));
    }
    Ok(ObjectBody { meta, length: 0, stream: futures::stream::empty().boxed() })
}

fn changed(what: &str) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{what}` changed while it was being read"))
        .hint("read it again")
}

/// Start, end and whole size of `bytes START-END/SIZE`.
fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then(|| (start, end, size.trim().parse().ok()))
}

/// The bytes `start..start + length`, whatever happens to connections on the way.
fn body(
    store: S3Store,
    request: Request,
    start: u64,
    length: u64,
    first: ByteStream,
    mut expected: Option<Expected>,
) -> BoxStream<'static, Result<Bytes>> {
    let idle = Duration::from_secs(store.spec().timeout.max(1));
    async_stream::try_stream! {
        let what = target(&request.object.bucket, &request.object.key);
        let (mut bytes, mut done, mut resumes) = (first, 0_u64, 0_u32);
        loop {
            let broke = match tokio::time::timeout(idle, bytes.try_next()).await {
                Ok(Ok(Some(chunk))) => {
                    done += chunk.len() as u64;
                    if done > length {
                        Err(Error::new(
                            ErrorCode::ObjectCorrupt,
                            format!("more bytes of `{what}` came than were promised"),
                        ))?;
                    }
                    if let Some(expected) = &mut expected {
                        expected.update(&chunk);
                    }
                    // Compared before the last bytes are given away, so that whoever counts them
                    // does not take them for good.
                    if done == length && let Some(expected) = &expected {
                        expected.verify(&what)?;
                    }
                    yield chunk;
                    if done == length {
                        break;
                    }
                    continue;
                }
                Ok(Ok(None)) if done == length => break,
                Ok(Ok(None)) => "the body ended early".to_owned(),
                Ok(Err(error)) => error::text_of(&error),
                Err(_) => format!("no byte for {} seconds", idle.as_secs()),
            };
            if done == length {
                break;
            }
            // Without an ETag or version nobody can say that the rest is of the same state.
            let bound = request.if_match.is_some() || request.version.is_some();
            if resumes == RESUMES || !bound {
                Err(store.clean(
                    Error::new(
                        ErrorCode::ObjectCorrupt,
                        format!("only {done} of {length} bytes of `{what}` came"),
                    )
                    .source(broke.clone())
                    .hint("check the network and try again"),
                ))?;
            }
            resumes += 1;
            tracing::debug!(connection = %store.connection(), object = %what, done, broke, "reading is taken up again");
            tokio::time::sleep(Duration::from_millis(100 << resumes)).await;
            let range = format!("bytes={}-{}", start + done, start + length - 1);
            let answer = request
                .send(&store, Some(&range))
                .await?
                .map_err(|failure| store.fail("GetObject", &what, failure))
                .map_err(|error| if error.code() == ErrorCode::ObjectChanged { changed(&what) } else { error })?;
            let at = answer.content_range.as_deref().and_then(content_range).map(|(at, ..)| at);
            if at != Some(start + done) {
                Err(Error::new(
                    ErrorCode::ObjectCorrupt,
                    format!("the service did not go on at byte {} of `{what}`", start + done),
                ))?;
            }
            bytes = answer.body;
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_says_where_and_of_how_much() {
        assert_eq!(content_range("bytes 5-9/100"), Some((5, 9, Some(100))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, 0, None)));
        assert_eq!(content_range("items 1-2/3"), None);
    }
}
