//! Reading: what is known of an object, and its bytes.
//!
//! A read either gives every byte of one state of the object or fails: connections that break are
//! taken up again where they broke, bound to the `ETag`; lengths are counted and a checksum of the
//! whole object is compared at the end.

use crate::access::{ByteRange, GetOptions, ObjectBody, ObjectMeta};
use crate::checksum::Expected;
use crate::encryption::customer_key;
use crate::error;
use crate::failure::Failure;
use crate::store::{Carrier, S3Store, target};
use crate::wire::Body;
use crate::write::quoted;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::time::Duration;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// How often one read is taken up again without getting on.
const RESUMES: u32 = 3;

/// Bytes by which a read gets on.
const ONWARD: u64 = 1 << 20;

/// Where an open read comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Wire(Body),
    Sdk(ByteStream),
}

impl Source {
    /// Reads the next bytes; the text of an error is all there is to say about it.
    async fn next(&mut self) -> std::result::Result<Option<Bytes>, String> {
        match self {
            Self::Wire(body) => body.next().await.transpose().map_err(|e| error::text_of(&e)),
            Self::Sdk(body) => body.try_next().await.map_err(|e| error::text_of(&e)),
        }
    }
}

/// An answer to a read, before its bytes.
#[derive(Debug)]
pub(crate) struct Opened {
    /// All but the size.
    pub(crate) meta: ObjectMeta,
    /// Bytes that will come.
    pub(crate) length: u64,
    /// The Content-Range, where a part was asked for.
    pub(crate) range: Option<String>,
    pub(crate) body: Source,
}

/// Asks for metadata. A HEAD that is refused has no body; a one-byte read then says why.
pub(crate) async fn stat(
    store: &S3Store,
    object: &ObjectPath,
    version: Option<&str>,
) -> Result<ObjectMeta> {
    let answer = store
        .carry("HeadObject", &object.bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => wire.head(&route, object, version).await,
                Carrier::Sdk(sdk) => sdk.head(object, version).await,
            }
        })
        .await?;
    let failure = match answer {
        Ok(meta) => return Ok(meta),
        Err(failure) => failure,
    };
    if matches!(failure.status, 400 | 403) {
        let request =
            Request { object: object.clone(), version: version.map(str::to_owned), if_match: None };
        let probe = request.send(store, Some("bytes=0-0")).await?;
        if let Err(said) = probe
            && !matches!(said.status, 0 | 416)
        {
            return Err(said.error);
        }
    }
    Err(failure.error)
}

/// Asks how long a part is. None where the service does not say.
pub(crate) async fn part_length(
    store: &S3Store,
    object: &ObjectPath,
    etag: &str,
    number: i32,
) -> Result<Option<u64>> {
    let answer = store
        .try_send("HeadObject", &object.bucket, |client| {
            customer_key!(client.head_object(), store)
                .bucket(&object.bucket)
                .key(&object.key)
                .if_match(quoted(etag))
                .part_number(number)
                .send()
        })
        .await?;
    match answer {
        Ok(answer) => Ok(answer.content_length.and_then(|length| u64::try_from(length).ok())),
        Err(failure) => {
            let what = target(&object.bucket, &object.key);
            let failure = Failure::of_sdk("HeadObject", &what, store.connection(), failure);
            match failure.status {
                400 | 404 | 416 | 501 => Ok(None),
                _ => Err(store.clean(failure.error)),
            }
        }
    }
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
    ) -> Result<std::result::Result<Opened, Failure>> {
        let (version, if_match) = (self.version.as_deref(), self.if_match.as_deref());
        let object = &self.object;
        store
            .carry("GetObject", &object.bucket, move |carrier| async move {
                match carrier {
                    Carrier::Wire(wire, route) => {
                        wire.get(&route, object, version, if_match, range).await
                    }
                    Carrier::Sdk(sdk) => sdk.get(object, version, if_match, range).await,
                }
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
            if failure.status == 416 {
                return nothing(store, object, &options).await;
            }
            return Err(failure.error);
        }
    };
    let got = answer.length;
    // `bytes 5-9/100`; a service that ignores ranges answers with everything and no such header.
    let (start, size) = match answer.range.as_deref().and_then(content_range) {
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
    let mut meta = answer.meta;
    meta.size = size;
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
    first: Source,
    mut expected: Option<Expected>,
) -> BoxStream<'static, Result<Bytes>> {
    let idle = Duration::from_secs(store.spec().timeout.max(1));
    async_stream::try_stream! {
        let what = target(&request.object.bucket, &request.object.key);
        let (mut bytes, mut done, mut resumes, mut since) = (first, 0_u64, 0_u32, 0_u64);
        loop {
            let broke = match tokio::time::timeout(idle, bytes.next()).await {
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
                Ok(Err(why)) => why,
                Err(_) => format!("no byte for {} seconds", idle.as_secs()),
            };
            if done == length {
                break;
            }
            // Without an ETag or version nobody can say that the rest is of the same state.
            let bound = request.if_match.is_some() || request.version.is_some();
            if (resumes == RESUMES && done - since < ONWARD) || !bound {
                Err(store.clean(
                    Error::new(
                        ErrorCode::ObjectCorrupt,
                        format!("only {done} of {length} bytes of `{what}` came"),
                    )
                    .source(broke.clone())
                    .hint("check the network and try again"),
                ))?;
            }
            // Whoever reads slowly may be cut off again and again, yet goes on.
            resumes = if done - since >= ONWARD { 1 } else { resumes + 1 };
            since = done;
            tracing::debug!(connection = %store.connection(), object = %what, done, broke, "reading is taken up again");
            tokio::time::sleep(Duration::from_millis(100 << resumes)).await;
            let range = format!("bytes={}-{}", start + done, start + length - 1);
            let answer = request
                .send(&store, Some(&range))
                .await?
                .map_err(|failure| failure.error)
                .map_err(|error| if error.code() == ErrorCode::ObjectChanged { changed(&what) } else { error })?;
            let at = answer.range.as_deref().and_then(content_range).map(|(at, ..)| at);
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
