//! Listing: buckets, one level, or everything below a prefix, as a stream.
//!
//! One page is held and the next is fetched while it is consumed. Keys are asked for URL-encoded,
//! since XML cannot carry every character a key may have. Byte order is not assumed here; what is
//! refused is a listing that does not advance: it would never end, or end too early.

use crate::access::{ListOptions, Turns};
use crate::row::Row;
use crate::scan::{self, Answer, Ask, Listing, Pages};
use crate::store::{Carrier, S3Store, target};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::task::AbortOnDropHandle;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Result, S3Url};

/// Lists what `location` names.
pub(crate) fn list(
    store: &S3Store,
    location: &Location,
    options: ListOptions,
) -> BoxStream<'static, Result<Entry>> {
    let store = store.clone();
    match &location.bucket {
        None => buckets(store, options.display),
        Some(bucket) => objects(store, bucket.clone(), location.key.clone(), options),
    }
}

fn bucket_entry(store: &S3Store, name: &str, created: Option<DateTime<Utc>>) -> Entry {
    Entry {
        key: name.to_owned(),
        kind: EntryKind::Bucket,
        path: store.spec().binding.relative(name, ""),
        size: None,
        last_modified: created,
        etag: None,
        storage_class: None,
    }
}

/// Lists buckets: the one it is bound to, those of the display filters, or what the service says.
fn buckets(store: S3Store, display: bool) -> BoxStream<'static, Result<Entry>> {
    let spec = store.spec();
    let known: Option<BTreeSet<String>> = match &spec.binding.bucket {
        Some(bucket) => Some(BTreeSet::from([bucket.clone()])),
        None if display && !spec.display_filters.is_empty() => {
            Some(spec.display_filters.iter().map(|filter| filter.bucket.clone()).collect())
        }
        None => None,
    };
    if let Some(known) = known {
        let entries: Vec<_> =
            known.iter().map(|bucket| Ok(bucket_entry(&store, bucket, None))).collect();
        return futures::stream::iter(entries).boxed();
    }
    async_stream::try_stream! {
        let client = store.base_client().await?;
        let mut cycle = Cycle::default();
        let mut token: Option<String> = None;
        loop {
            let page = client
                .list_buckets()
                .set_continuation_token(token.take())
                .max_buckets(1000)
                .send()
                .await
                .map_err(|failure| store.fail("ListBuckets", "", failure))?;
            for bucket in page.buckets.unwrap_or_default() {
                let Some(name) = bucket.name else { continue };
                if let Some(region) = bucket.bucket_region.filter(|_| store.spec().endpoint.is_none()) {
                    store.note(&name, &region);
                }
                yield bucket_entry(&store, &name, bucket.creation_date.as_ref().and_then(time));
            }
            match page.continuation_token.filter(|token| !token.is_empty()) {
                Some(next) => {
                    cycle.advance(&next, "the list of buckets")?;
                    token = Some(next);
                }
                None => break,
            }
        }
    }
    .boxed()
}

/// What browsing under display filters asks for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum View {
    /// List this prefix.
    Query(String),
    /// Show this folder without asking: filters lie below it, and permissions may too.
    Folder(String),
}

/// What to ask for so that only what the filters let through is seen.
fn views(filters: &[S3Url], bucket: &str, prefix: &str, recursive: bool) -> Vec<View> {
    let keys: Vec<&str> =
        filters.iter().filter(|filter| filter.bucket == bucket).map(|f| f.key.as_str()).collect();
    if keys.iter().any(|key| prefix.starts_with(key)) {
        return vec![View::Query(prefix.to_owned())];
    }
    // By text, so that the parts come in the order of one listing.
    let mut parts: BTreeSet<(String, View)> = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let view = match key[prefix.len()..].find('/') {
            Some(slash) if !recursive => View::Folder(key[..=prefix.len() + slash].to_owned()),
            _ => View::Query((*key).to_owned()),
        };
        let (View::Query(text) | View::Folder(text)) = &view;
        parts.insert((text.clone(), view));
    }
    let mut views: Vec<View> = Vec::new();
    for (text, view) in parts {
        // What an earlier, shorter query already shows is not shown twice.
        let covered = matches!(views.last(), Some(View::Query(earlier)) if text.starts_with(earlier.as_str()))
            || matches!(views.last(), Some(View::Folder(earlier)) if *earlier == text);
        if !covered {
            views.push(view);
        }
    }
    views
}

fn objects(
    store: S3Store,
    bucket: String,
    prefix: String,
    options: ListOptions,
) -> BoxStream<'static, Result<Entry>> {
    if let Err(error) = store.check(&bucket, &prefix) {
        return futures::stream::iter([Err(error)]).boxed();
    }
    let filters = &store.spec().display_filters;
    let views = if options.display && !filters.is_empty() {
        views(filters, &bucket, &prefix, options.recursive)
    } else {
        vec![View::Query(prefix)]
    };
    let parts = views.into_iter().map(move |view| match view {
        View::Folder(key) => {
            let entry = Row::folder(&key).entry(&store.spec().binding, &bucket);
            futures::stream::iter([Ok(entry)]).boxed()
        }
        View::Query(prefix) if options.recursive => {
            let listing = Listing {
                what: format!("the listing of `{}`", target(&bucket, &prefix)),
                prefix,
                start_after: options.start_after.clone(),
                until: options.until.clone(),
                ordered: options.ordered,
                lazy: options.lazy,
                workers: store.list_workers(),
                spare: options.spare,
                promised: store.promised_order(&bucket),
                orders: Arc::clone(store.orders()),
            };
            let pages = BucketPages {
                store: store.clone(),
                bucket: bucket.clone(),
                requests: options.requests.clone(),
                turns: options.turns.clone(),
            };
            let (store, bucket) = (store.clone(), bucket.clone());
            scan::list(Arc::new(pages), listing)
                .map_ok(move |row| row.entry(&store.spec().binding, &bucket))
                .boxed()
        }
        View::Query(prefix) => query(store.clone(), bucket.clone(), prefix, options.clone()),
    });
    futures::stream::iter(parts).flatten().boxed()
}

/// The pages of one bucket.
struct BucketPages {
    store: S3Store,
    bucket: String,
    requests: Option<Arc<AtomicU64>>,
    turns: Option<Arc<dyn Turns>>,
}

/// Waits until a request may begin.
async fn turn(turns: Option<&Arc<dyn Turns>>) {
    if let Some(turns) = turns {
        turns.turn().await;
    }
}

fn count(requests: Option<&Arc<AtomicU64>>) {
    if let Some(requests) = requests {
        requests.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Pages for BucketPages {
    async fn page(&self, ask: Ask) -> Result<Answer> {
        let Ask { prefix, level, token, start_after, most } = ask;
        let delimiter = level.then(|| "/".to_owned());
        turn(self.turns.as_ref()).await;
        count(self.requests.as_ref());
        let found =
            page(&self.store, &self.bucket, &prefix, delimiter, token, start_after, most).await?;
        let (truncated, token) = (found.truncated, found.token.clone());
        Ok(Answer { rows: rows(found), truncated, token })
    }
}

/// One level, page after page.
fn query(
    store: S3Store,
    bucket: String,
    prefix: String,
    options: ListOptions,
) -> BoxStream<'static, Result<Entry>> {
    async_stream::try_stream! {
        let fetch = |token: Option<String>, start: Option<String>| {
            let (store, bucket, prefix) = (store.clone(), bucket.clone(), prefix.clone());
            let (delimiter, turns) = (Some("/".to_owned()), options.turns.clone());
            count(options.requests.as_ref());
            AbortOnDropHandle::new(tokio::spawn(async move {
                turn(turns.as_ref()).await;
                page(&store, &bucket, &prefix, delimiter, token, start, None).await
            }))
        };
        let what = format!("the listing of `{}`", target(&bucket, &prefix));
        let mut cycle = Cycle::default();
        let mut last: Option<(String, String)> = None;
        let mut next = Some(fetch(None, options.start_after.clone()));
        while let Some(task) = next.take() {
            let page = task.await.map_err(|error| {
                Error::new(ErrorCode::Internal, "a listing stopped").source(error)
            })??;
            if page.truncated {
                let token = page.token.clone().ok_or_else(|| {
                    stuck(&what, "a page says that more follows, but not where it goes on")
                })?;
                cycle.advance(&token, &what)?;
                next = Some(fetch(Some(token), None));
            }
            let rows = rows(page);
            let ends = rows.first().zip(rows.last());
            let ends = ends.map(|(a, b)| (a.key().to_owned(), b.key().to_owned()));
            let mut rows = rows.into_iter().peekable();
            if let (Some((first, end)), Some((start, _))) = (&last, &ends) {
                // Some services give the folder at a page's edge on both pages.
                let folder = rows.peek().is_some_and(Row::is_folder);
                if start == end && folder {
                    rows.next();
                } else if start == first || start == end {
                    Err(stuck(&what, &format!("the key `{start}` came twice")))?;
                }
            }
            last = ends.or(last);
            for row in rows {
                yield row.entry(&store.spec().binding, &bucket);
            }
        }
    }
    .boxed()
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRequest<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: Option<&'a str>,
    /// Where the page before says that it goes on.
    pub(crate) token: Option<&'a str>,
    pub(crate) start_after: Option<&'a str>,
    /// Most rows of a page; None leaves it to the service.
    pub(crate) most: Option<i32>,
}

/// One page, decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) folders: Vec<String>,
    pub(crate) objects: Vec<Row>,
    pub(crate) truncated: bool,
    pub(crate) token: Option<String>,
    /// Keys are still URL-encoded.
    pub(crate) encoded: bool,
}

async fn page(
    store: &S3Store,
    bucket: &str,
    prefix: &str,
    delimiter: Option<String>,
    token: Option<String>,
    start: Option<String>,
    most: Option<i32>,
) -> Result<Page> {
    let request = PageRequest {
        prefix,
        delimiter: delimiter.as_deref(),
        token: token.as_deref(),
        start_after: start.as_deref(),
        most,
    };
    let request = &request;
    store
        .carry("ListObjectsV2", bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => wire.page(&route, bucket, request).await,
                Carrier::Sdk(sdk) => sdk.page(bucket, request).await,
            }
        })
        .await?
        .map_err(|failure| failure.error)
}

/// The rows of a page: folders and objects come apart and are brought into one order.
fn rows(page: Page) -> Vec<Row> {
    let Page { folders, objects, .. } = page;
    if folders.is_empty() {
        return objects;
    }
    // A merge, not a sort: within each list the service's own order stays, whatever it is.
    let mut merged = Vec::with_capacity(folders.len() + objects.len());
    let mut folders = folders.into_iter().map(|key| Row::folder(&key)).peekable();
    let mut objects = objects.into_iter().peekable();
    loop {
        let folder_first = match (folders.peek(), objects.peek()) {
            (Some(folder), Some(object)) => folder.key() <= object.key(),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        merged.extend(if folder_first { folders.next() } else { objects.next() });
    }
    merged
}

/// Undoes `encoding-type=url`, where a blank is `+`.
pub(crate) fn decode(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| {
            Error::new(ErrorCode::ConnectionFailed, format!("the key `{text}` is not UTF-8"))
                .source(error)
                .hint("S3 keys are UTF-8; rename the object with the tool that wrote it")
        })
}

/// Without the quotes an `ETag` travels in.
pub(crate) fn unquote(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// An SDK time as ours.
pub(crate) fn time(time: &aws_sdk_s3::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

/// Finds out in constant memory that tokens repeat (Brent): every token is compared with one that
/// was kept, and the kept one is renewed at powers of two.
#[derive(Debug, Default)]
pub(crate) struct Cycle {
    kept: Option<String>,
    steps: u64,
    limit: u64,
}

impl Cycle {
    pub(crate) fn advance(&mut self, token: &str, what: &str) -> Result<()> {
        if self.kept.as_deref() == Some(token) {
            return Err(stuck(what, "a page was given twice"));
        }
        if self.steps == self.limit {
            self.kept = Some(token.to_owned());
            self.limit = (self.limit * 2).max(1);
            self.steps = 0;
        }
        self.steps += 1;
        Ok(())
    }
}

pub(crate) fn stuck(what: &str, why: &str) -> Error {
    Error::new(ErrorCode::ConnectionFailed, format!("{what} does not advance: {why}"))
        .hint("the service's listing is broken, or changed while it was read; try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<S3Url> {
        texts.iter().map(|text| S3Url::parse(text).unwrap()).collect()
    }

    #[test]
    fn filters_narrow_what_is_asked_for() {
        let set = filters(&["s3://a/raw/2026", "s3://a/raw/2026-01", "s3://a/img", "s3://b/x/"]);
        let query = |text: &str| View::Query(text.to_owned());
        let folder = |text: &str| View::Folder(text.to_owned());
        assert_eq!(views(&set, "a", "", false), [query("img"), folder("raw/")]);
        assert_eq!(views(&set, "a", "", true), [query("img"), query("raw/2026")]);
        assert_eq!(views(&set, "a", "raw/", false), [query("raw/2026")]);
        assert_eq!(views(&set, "a", "raw/2026-01/", false), [query("raw/2026-01/")]);
        assert_eq!(views(&set, "a", "other/", false), []);
        assert_eq!(views(&set, "c", "", false), []);
    }

    #[test]
    fn keys_are_decoded_exactly() {
        assert_eq!(decode("a%2Bb+c%01%2F%2F.%2F%C3%A4").unwrap(), "a+b c\u{1}//./ä");
        assert!(decode("%FF").is_err());
    }

    #[test]
    fn repeating_tokens_are_found_whatever_their_period() {
        for (start, period) in [(0, 1), (0, 2), (5, 3), (100, 7), (3, 64)] {
            let mut cycle = Cycle::default();
            let found = (0..2000).find(|step| {
                let token = if *step < start {
                    format!("s{step}")
                } else {
                    format!("c{}", (step - start) % period)
                };
                cycle.advance(&token, "x").is_err()
            });
            assert!(found.is_some(), "{start} {period}");
        }
        let mut cycle = Cycle::default();
        assert!((0..5000).all(|step| cycle.advance(&step.to_string(), "x").is_ok()));
    }

    /// A service that answers every request with this listing.
    async fn broken_service(body: &'static str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut buffer = vec![0; 8192];
                let _ = socket.read(&mut buffer).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_listing_that_does_not_advance_is_an_error_and_no_endless_loop() {
        for (body, word) in [
            (
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>",
                "does not advance",
            ),
            (
                "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
                "given twice",
            ),
            (
                "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>",
                "where it goes on",
            ),
        ] {
            let text = |text: &str| windlass_types::OptionValue::Text(text.to_owned());
            let options = windlass_types::OptionMap::from([
                ("ENDPOINT".to_owned(), text(&broken_service(body).await)),
                ("ALLOW_HTTP".to_owned(), windlass_types::OptionValue::Bool(true)),
                ("ANONYMOUS".to_owned(), windlass_types::OptionValue::Bool(true)),
            ]);
            let store = S3Store::open(
                windlass_types::Name::new("n").unwrap(),
                windlass_types::S3Spec::build(&options).unwrap(),
                crate::Secrets::default(),
                std::sync::Arc::new(crate::ForgetfulRegions),
            )
            .unwrap();
            let location = Location { bucket: Some("lake".to_owned()), key: String::new() };
            let options = ListOptions { recursive: true, ..ListOptions::default() };
            let all: Vec<_> = list(&store, &location, options).collect().await;
            let error = all.last().unwrap().as_ref().unwrap_err();
            assert!(error.message().contains(word), "{error:?}");
            assert!(all.len() <= 2);
        }
    }
}
