//! Azure Blob Storage (Azurite) and Google Cloud Storage (`TestGcs`): the suite, and what is their own.

use crate::suite::{self, all, bytes};
use crate::{Value, open};
use bytes::Bytes;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_remotes::{Remote, probe_remote};
use windlass_s3::{ByteRange, GetOptions, ListOptions, PresignMethod, PutOptions, Storage};
use windlass_testkit::TestGcs;
use windlass_testkit::servers::Azurite;
use windlass_types::{ConnectionKind, EntryKind, Error, ErrorCode, Location, ObjectPath, Result};

fn azure(server: &Azurite, more: Vec<(&str, Value<'_>)>) -> Result<Remote> {
    let (endpoint, key) = (server.endpoint(), Azurite::key());
    let mut options = vec![
        ("ACCOUNT", Value::Text(server.account())),
        ("ENDPOINT", Value::Text(&endpoint)),
        ("ALLOW_HTTP", Value::Yes),
        ("TIMEOUT", Value::Number(20)),
    ];
    if !more.iter().any(|(name, _)| matches!(*name, "SAS_TOKEN" | "ANONYMOUS" | "ACCOUNT_KEY")) {
        options.push(("ACCOUNT_KEY", Value::Text(&key)));
    }
    options.extend(more);
    open(ConnectionKind::AzureBlob, &options)
}

fn gcs(server: &TestGcs, more: Vec<(&str, Value<'_>)>) -> Result<Remote> {
    let (endpoint, account) = (server.endpoint(), server.service_account());
    let mut options = vec![
        ("ENDPOINT", Value::Text(&endpoint)),
        ("ALLOW_HTTP", Value::Yes),
        ("TIMEOUT", Value::Number(20)),
    ];
    if !more.iter().any(|(name, _)| matches!(*name, "SERVICE_ACCOUNT_JSON" | "ANONYMOUS")) {
        options.push(("SERVICE_ACCOUNT_JSON", Value::Text(&account)));
    }
    options.extend(more);
    open(ConnectionKind::Gcs, &options)
}

fn at(key: &str) -> ObjectPath {
    ObjectPath { bucket: "box".to_owned(), key: key.to_owned() }
}

async fn put(storage: &Storage, key: &str, body: &'static [u8]) -> Result<Option<String>> {
    let written = storage.put(&at(key), Bytes::from_static(body), PutOptions::default()).await?;
    Ok(written.etag)
}

async fn read(storage: &Storage, key: &str) -> Result<Vec<u8>> {
    all(storage.get(&at(key), GetOptions::default()).await?).await
}

fn code<T>(outcome: Result<T>) -> ErrorCode {
    outcome.err().map(|error: Error| error.code()).expect("a refusal")
}

async fn names(storage: &Storage, bucket: Option<&str>) -> Result<Vec<String>> {
    let location = Location { bucket: bucket.map(str::to_owned), key: String::new() };
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let entries: Vec<_> = storage.list(&location, options).try_collect().await?;
    assert!(entries.iter().all(|entry| (entry.kind == EntryKind::Bucket) == bucket.is_none()));
    Ok(entries.into_iter().map(|entry| entry.path).collect())
}

/// What both services do alike: buckets, metadata, copies, conditions, refusals.
async fn service(storage: &Storage) {
    storage.create_bucket("box").await.unwrap();
    assert_eq!(code(storage.create_bucket("box").await), ErrorCode::BucketConflict);
    storage.create_bucket("other").await.unwrap();
    assert_eq!(names(storage, None).await.unwrap(), ["box", "other"]);
    assert_eq!(code(names(storage, Some("nowhere")).await), ErrorCode::BucketNotFound);
    let nowhere = ObjectPath { bucket: "nowhere".to_owned(), key: "k".to_owned() };
    assert_eq!(code(storage.stat(&nowhere, None).await), ErrorCode::BucketNotFound);
    assert_eq!(code(storage.get(&nowhere, GetOptions::default()).await), ErrorCode::BucketNotFound);
    let body = Bytes::from_static(b"x");
    let wrote = storage.put(&nowhere, body, PutOptions::default()).await;
    assert_eq!(code(wrote), ErrorCode::BucketNotFound);

    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let about = PutOptions {
        content_type: Some("text/csv".to_owned()),
        headers: map(&[
            ("cache-control", "no-cache"),
            ("content-disposition", "inline"),
            ("content-encoding", "zstd"),
            ("content-language", "de"),
        ]),
        metadata: map(&[("team", "orders"), ("run_id", "17")]),
        ..PutOptions::default()
    };
    storage.put(&at("whole.csv"), Bytes::from_static(b"a,b"), about.clone()).await.unwrap();
    let upload = storage.create_upload(&at("parts.csv"), about.clone()).await.unwrap();
    let part = storage.upload_part(&upload, 1, bytes(300_000)).await.unwrap();
    storage.complete_upload(&upload, &[part], &PutOptions::default()).await.unwrap();
    let (parts, copy) = (at("parts.csv"), at("copy.csv"));
    storage.copy(&parts, &copy, None, PutOptions::default()).await.unwrap();
    for key in ["whole.csv", "parts.csv", "copy.csv"] {
        let asked = storage.stat(&at(key), None).await.unwrap();
        let opened = storage.get(&at(key), GetOptions::default()).await.unwrap().meta;
        for meta in [&asked, &opened] {
            assert_eq!(meta.content_type, about.content_type, "{key}");
            assert_eq!(meta.headers, about.headers, "{key}");
            assert_eq!(meta.metadata, about.metadata, "{key}");
            assert!(meta.etag.is_some() && meta.last_modified.is_some(), "{key}");
        }
        assert_eq!((&asked.etag, asked.size), (&opened.etag, opened.size));
        // With the bytes a service may say more.
        let told =
            asked.checksums.iter().all(|(name, sum)| opened.checksums.get(name) == Some(sum));
        assert!(told, "{key}");
    }
    assert_eq!(read(storage, "copy.csv").await.unwrap(), bytes(300_000));

    // Ranges that reach past the end, and of nothing.
    put(storage, "empty", b"").await.unwrap();
    for (key, range, expected) in [
        ("whole.csv", ByteRange::Last(10), &b"a,b"[..]),
        ("whole.csv", ByteRange::From(3), b""),
        ("whole.csv", ByteRange::Bounded(99, 5), b""),
        ("whole.csv", ByteRange::Bounded(1, 0), b""),
        ("empty", ByteRange::Bounded(0, 1), b""),
        ("empty", ByteRange::Last(5), b""),
    ] {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let body = storage.get(&at(key), options).await.unwrap();
        assert_eq!(body.meta.size, if key == "empty" { 0 } else { 3 });
        assert_eq!(all(body).await.unwrap(), expected, "{key} {range:?}");
    }

    conditions(storage).await;
    // A bucket with something in it stays.
    assert_eq!(code(storage.delete_bucket("box").await), ErrorCode::BucketConflict);
    storage.delete_bucket("other").await.unwrap();
    assert_eq!(code(storage.delete_bucket("other").await), ErrorCode::BucketNotFound);
}

async fn conditions(storage: &Storage) {
    let first = put(storage, "state", b"one").await.unwrap().unwrap();
    let second = put(storage, "state", b"two").await.unwrap().unwrap();
    assert_ne!(first, second);
    let nobodys = "00000000000000000000000000000000-0";
    for stale in [first.as_str(), nobodys] {
        assert_eq!(code(storage.delete_if(&at("state"), stale).await), ErrorCode::ObjectChanged);
        let copied =
            storage.copy(&at("state"), &at("new"), Some(stale), PutOptions::default()).await;
        assert_eq!(code(copied), ErrorCode::ObjectChanged);
    }
    let new = PutOptions { if_none_match: true, ..PutOptions::default() };
    let over = storage.copy(&at("whole.csv"), &at("state"), None, new.clone()).await;
    assert_eq!(code(over), ErrorCode::ObjectChanged);
    storage.copy(&at("state"), &at("new"), Some(&second), new.clone()).await.unwrap();
    let absent = storage.copy(&at("absent"), &at("new2"), None, PutOptions::default()).await;
    assert_eq!(code(absent), ErrorCode::ObjectNotFound);
    // An upload ends only under its condition.
    for options in [new, PutOptions { if_match: Some(first), ..PutOptions::default() }] {
        let done = async {
            let upload = storage.create_upload(&at("state"), options.clone()).await?;
            let part = storage.upload_part(&upload, 1, bytes(10)).await?;
            storage.complete_upload(&upload, &[part], &options).await
        };
        assert_eq!(code(done.await), ErrorCode::ObjectChanged);
    }
    assert_eq!(read(storage, "state").await.unwrap(), b"two");
    storage.delete_if(&at("state"), &second).await.unwrap();
    assert_eq!(code(storage.delete_if(&at("state"), &second).await), ErrorCode::ObjectNotFound);
}

/// A URL that was signed works without credentials.
async fn signed(storage: &Storage) {
    put(storage, "dir/a b+c.txt", b"signed").await.unwrap();
    let lifetime = Duration::from_mins(5);
    let object = at("dir/a b+c.txt");
    let url = storage.presign(&object, PresignMethod::Get, lifetime).await.unwrap();
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{url}");
    assert_eq!(answer.bytes().await.unwrap(), "signed");
    let url = storage.presign(&at("dir/new"), PresignMethod::Put, lifetime).await.unwrap();
    let request = reqwest::Client::new().put(&url).header("x-ms-blob-type", "BlockBlob");
    let answer = request.body("put").send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    assert_eq!(read(storage, "dir/new").await.unwrap(), b"put");
    let other = url.replace("/new?", "/other?");
    let request = reqwest::Client::new().put(&other).header("x-ms-blob-type", "BlockBlob");
    assert_eq!(request.body("put").send().await.unwrap().status().as_u16(), 403);
}

/// Nothing outside the binding, nothing written through `READ_ONLY`.
async fn bound(storage: &Storage, read_only: &Storage) {
    assert_eq!(code(names(storage, Some("box")).await), ErrorCode::PathOutside);
    assert_eq!(code(put(storage, "outside", b"x").await), ErrorCode::PathOutside);
    assert_eq!(code(storage.stat(&at("state"), None).await), ErrorCode::PathOutside);
    assert_eq!(code(names(storage, None).await), ErrorCode::PathOutside);
    assert_eq!(code(storage.create_bucket("more").await), ErrorCode::PathOutside);
    assert_eq!(code(storage.delete_bucket("box").await), ErrorCode::PathOutside);
    let into = storage.copy(&at("whole.csv"), &at("team/x"), None, PutOptions::default()).await;
    assert_eq!(code(into), ErrorCode::PathOutside);
    put(storage, "team/in", b"in").await.unwrap();
    assert_eq!(read(read_only, "team/in").await.unwrap(), b"in");
    let refused = [
        code(put(read_only, "team/in", b"x").await),
        code(read_only.create_upload(&at("team/u"), PutOptions::default()).await),
        code(read_only.delete(&at("team/in")).await),
        code(read_only.delete_if(&at("team/in"), "1").await),
        code(read_only.copy(&at("team/in"), &at("team/c"), None, PutOptions::default()).await),
        code(read_only.create_bucket("more").await),
        code(read_only.delete_bucket("box").await),
        code(read_only.presign(&at("team/in"), PresignMethod::Put, Duration::from_secs(9)).await),
    ];
    assert_eq!(refused, [ErrorCode::ConnectionReadOnly; 8]);
}

async fn test(remote: &Remote) -> String {
    let steps = probe_remote(remote, true).await;
    let steps = steps.iter().map(|step| format!("{}: {}", step.step, step.status.as_str()));
    steps.collect::<Vec<_>>().join("\n")
}

const ALL_WELL: &str = "resolve host: passed\nconnect: passed\nsign in: passed\nlist: passed\nread one byte: passed\nwrite a file: passed\ndelete a file: passed";

#[tokio::test]
async fn azure_blob_passes_the_suite() {
    let server = Azurite::start().await;
    let storage = azure(&server, vec![]).unwrap().storage();
    storage.create_bucket("suite").await.unwrap();
    suite::run(storage, "suite", "").await;
    let bound = vec![("CONTAINER", Value::Text("suite")), ("PREFIX", Value::Text("some/team"))];
    suite::run(azure(&server, bound).unwrap().storage(), "suite", "some/team/").await;
}

#[tokio::test]
async fn azure_blob_keeps_what_belongs_to_a_blob_and_honours_conditions() {
    let server = Azurite::start().await;
    let remote = azure(&server, vec![]).unwrap();
    let storage = remote.storage();
    service(&storage).await;
    let meta = storage.stat(&at("whole.csv"), None).await.unwrap();
    assert_eq!(meta.checksums["MD5"], "s0Xh3AnyD9796kafCRZ4kg==");
    assert_eq!(meta.storage_class.as_deref(), Some("Hot"));
    // Parts that the service itself takes from another blob.
    let upload = storage.create_upload(&at("joined"), PutOptions::default()).await.unwrap();
    let parts = at("parts.csv");
    let (one, two) = tokio::join!(
        storage.copy_part(&parts, 0, 200_000, meta.etag.as_deref(), &upload, 1),
        storage.copy_part(&parts, 200_000, 100_000, None, &upload, 2)
    );
    // Its state is that of another blob.
    assert_eq!(code(one), ErrorCode::ObjectChanged);
    let one = storage.copy_part(&parts, 0, 200_000, None, &upload, 1).await.unwrap();
    let parts = [one, two.unwrap()];
    storage.complete_upload(&upload, &parts, &PutOptions::default()).await.unwrap();
    assert_eq!(read(&storage, "joined").await.unwrap(), bytes(300_000));
    for key in ["a/../b", "./a", "end.", "dot./x", "back\\slash", "bell\u{7}"] {
        assert_eq!(code(put(&storage, key, b"x").await), ErrorCode::PathInvalid, "{key}");
    }
    let metadata = [("x-dashed".to_owned(), "1".to_owned())].into_iter().collect();
    let options = PutOptions { metadata, ..PutOptions::default() };
    let error = storage.put(&at("meta"), Bytes::new(), options).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("METADATA"), "{error:?}");
    signed(&storage).await;
    let team = || vec![("CONTAINER", Value::Text("box")), ("PREFIX", Value::Text("team"))];
    let mut reading = team();
    reading.push(("READ_ONLY", Value::Yes));
    bound(&azure(&server, team()).unwrap().storage(), &azure(&server, reading).unwrap().storage())
        .await;
    assert_eq!(test(&azure(&server, team()).unwrap()).await, ALL_WELL);
}

#[tokio::test]
async fn azure_blob_says_why_it_is_not_let_in() {
    let server = Azurite::start().await;
    let storage = azure(&server, vec![]).unwrap().storage();
    storage.create_bucket("box").await.unwrap();
    put(&storage, "a b.txt", b"seen").await.unwrap();
    // A signature for one blob: what presigning makes is one.
    let url = storage.presign(&at("a b.txt"), PresignMethod::Get, Duration::from_mins(5)).await;
    let url = url.unwrap();
    let token = url.split_once('?').unwrap().1;
    let signed = azure(&server, vec![("SAS_TOKEN", Value::Text(token))]).unwrap().storage();
    assert_eq!(read(&signed, "a b.txt").await.unwrap(), b"seen");
    let error = put(&signed, "new", b"x").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionDenied);
    let signature = token.split_once("sig=").unwrap().1;
    assert!(!format!("{error:?}").contains(signature), "{error:?}");
    let shared = signed.presign(&at("a b.txt"), PresignMethod::Get, Duration::from_mins(5)).await;
    assert_eq!(code(shared), ErrorCode::UsageInvalid);
    let key = "Y2FuYXJ5LWtleS1jYW5hcnkta2V5";
    let wrong = azure(&server, vec![("ACCOUNT_KEY", Value::Text(key))]).unwrap();
    let error = names(&wrong.storage(), None).await.unwrap_err();
    assert!(
        matches!(error.code(), ErrorCode::ConnectionCredentials | ErrorCode::ConnectionDenied),
        "{error:?}"
    );
    assert!(error.hint_text().unwrap().contains("ACCOUNT_KEY"), "{error:?}");
    assert!(!format!("{error:?}").contains(key), "{error:?}");
    let nobody = azure(&server, vec![("ANONYMOUS", Value::Yes)]).unwrap().storage();
    assert!(read(&nobody, "a b.txt").await.is_err());
}

#[tokio::test]
async fn gcs_passes_the_suite() {
    let server = TestGcs::start().await;
    server.create_bucket("suite");
    suite::run(gcs(&server, vec![]).unwrap().storage(), "suite", "").await;
    let bound = vec![("BUCKET", Value::Text("suite")), ("PREFIX", Value::Text("some/team/"))];
    suite::run(gcs(&server, bound).unwrap().storage(), "suite", "some/team/").await;
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn gcs_keeps_what_belongs_to_an_object_and_honours_conditions() {
    let server = TestGcs::start().await;
    let storage = gcs(&server, vec![]).unwrap().storage();
    service(&storage).await;
    let meta = storage.stat(&at("whole.csv"), None).await.unwrap();
    assert_eq!(meta.checksums["MD5"], "s0Xh3AnyD9796kafCRZ4kg==");
    assert_eq!(meta.checksums["CRC32C"].len(), 8);
    for key in ["a/../b", "./a", "/lead", "a//b", "q?and#/100%"] {
        put(&storage, key, b"odd").await.unwrap();
        assert_eq!(read(&storage, key).await.unwrap(), b"odd", "{key}");
        storage.delete(&at(key)).await.unwrap();
    }
    for key in [".", "..", "line\nend"] {
        assert_eq!(code(put(&storage, key, b"x").await), ErrorCode::PathInvalid, "{key:?}");
    }
    // A large object is copied over several calls.
    storage.put(&at("large"), bytes(9 << 20), PutOptions::default()).await.unwrap();
    storage.copy(&at("large"), &at("large2"), None, PutOptions::default()).await.unwrap();
    let calls =
        server.requests().iter().filter(|asked| asked.contains("/large/rewriteTo/")).count();
    assert_eq!(calls, 3);
    assert_eq!(read(&storage, "large2").await.unwrap(), bytes(9 << 20));
    signed(&storage).await;
    let team = || vec![("BUCKET", Value::Text("box")), ("PREFIX", Value::Text("team"))];
    let mut reading = team();
    reading.push(("READ_ONLY", Value::Yes));
    bound(&gcs(&server, team()).unwrap().storage(), &gcs(&server, reading).unwrap().storage())
        .await;
    assert_eq!(test(&gcs(&server, team()).unwrap()).await, ALL_WELL);
}

#[tokio::test]
async fn an_upload_to_gcs_goes_on_where_it_broke_off() {
    let server = TestGcs::start().await;
    server.create_bucket("box");
    let storage = gcs(&server, vec![]).unwrap().storage();
    server.break_uploads(2);
    let body = bytes((6 << 20) + 77);
    let upload = storage.create_upload(&at("big"), PutOptions::default()).await.unwrap();
    let mut parts = Vec::new();
    // No multiple of what the service takes at a time.
    for (number, chunk) in (1..).zip(body.chunks(1_500_001)) {
        let chunk = Bytes::copy_from_slice(chunk);
        parts.push(storage.upload_part(&upload, number, chunk).await.unwrap());
    }
    storage.complete_upload(&upload, &parts, &PutOptions::default()).await.unwrap();
    assert!(read(&storage, "big").await.unwrap() == body);
    let upload = storage.create_upload(&at("other"), PutOptions::default()).await.unwrap();
    storage.upload_part(&upload, 1, bytes(1 << 20)).await.unwrap();
    assert_eq!(server.open_uploads(), 1);
    storage.abort_upload(&upload).await.unwrap();
    assert_eq!(server.open_uploads(), 0);
    assert_eq!(code(storage.upload_part(&upload, 2, bytes(9)).await), ErrorCode::ObjectNotFound);
}

#[tokio::test]
async fn gcs_says_why_it_is_not_let_in() {
    let server = TestGcs::start().await;
    server.create_bucket("box");
    let replaced = server.replaced_service_account();
    let wrong = gcs(&server, vec![("SERVICE_ACCOUNT_JSON", Value::Text(&replaced))]).unwrap();
    let error = names(&wrong.storage(), Some("box")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionCredentials);
    assert!(error.chain().contains("Invalid JWT Signature"), "{error:?}");
    assert!(!format!("{error:?}").contains("PRIVATE KEY"), "{error:?}");
    assert!(test(&wrong).await.contains("sign in: failed\nlist: skipped"));
    let nobody = gcs(&server, vec![("ANONYMOUS", Value::Yes)]).unwrap().storage();
    assert_eq!(code(names(&nobody, Some("box")).await), ErrorCode::ConnectionCredentials);
    assert_eq!(code(names(&nobody, None).await), ErrorCode::UsageInvalid);
    // A token that no longer counts is not used twice.
    let storage = gcs(&server, vec![]).unwrap().storage();
    put(&storage, "a", b"a").await.unwrap();
    server.end_tokens();
    assert_eq!(code(read(&storage, "a").await), ErrorCode::ConnectionCredentials);
    assert_eq!(read(&storage, "a").await.unwrap(), b"a");
    // Where a key file sends us passes the same door as ENDPOINT.
    let account = server.service_account();
    let elsewhere = account.replace("http://127.0.0.1", "http://169.254.169.254");
    let opened = gcs(&server, vec![("SERVICE_ACCOUNT_JSON", Value::Text(&elsewhere))]);
    assert_eq!(code(opened.map(drop)), ErrorCode::OptionInvalid);
    let broken = account.replace("BEGIN PRIVATE", "BEGIN PUBLIC");
    let opened = gcs(&server, vec![("SERVICE_ACCOUNT_JSON", Value::Text(&broken))]);
    assert_eq!(code(opened.map(drop)), ErrorCode::OptionInvalid);
}
