//! Bytes in and out.

use crate::{at, bytes, open, read, secrets, spec, store, text};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_s3::{ByteRange, GetOptions, ObjectAccess as _, PresignMethod, PutOptions};
use windlass_testkit::{Fault, FaultKind, TestS3};
use windlass_types::ErrorCode;

/// Bytes in which every position can be told.
fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap())
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn what_is_written_is_read_with_its_metadata() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    for key in
        ["plain.txt", "a//b", "./../x", "q?and#/z +%.txt", "tab\tand\u{1}", "ä/ö", "/lead", "end/"]
    {
        let options = PutOptions {
            content_type: Some("text/csv".to_owned()),
            headers: BTreeMap::from([("cache-control".to_owned(), "no-cache".to_owned())]),
            metadata: BTreeMap::from([("owner".to_owned(), "me".to_owned())]),
            ..PutOptions::default()
        };
        let put = store.put(&at("lake", key), Bytes::from("hello"), options).await.unwrap();
        let meta = store.stat(&at("lake", key), None).await.unwrap();
        assert_eq!(meta.size, 5);
        assert_eq!(meta.etag, put.etag, "{key}");
        assert_eq!(meta.content_type.as_deref(), Some("text/csv"));
        assert_eq!(meta.headers["cache-control"], "no-cache");
        assert_eq!(meta.metadata["owner"], "me");
        assert_eq!(read(&store, "lake", key).await.unwrap(), b"hello", "{key}");
    }
    let keys = s3.state().keys("lake");
    let left = store.delete_many("lake", &keys).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(s3.state().keys("lake").is_empty());
}

#[tokio::test]
async fn many_are_deleted_only_as_they_were_seen() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    let mut objects = Vec::new();
    // One of them goes alone: no request for many can name it.
    for key in ["a<&>", "b", "c\u{1}", "d\u{1}"] {
        s3.state().put("lake", key, "seen");
        let etag = store.stat(&at("lake", key), None).await.unwrap().etag.unwrap();
        objects.push((key.to_owned(), etag));
    }
    for key in ["b", "d\u{1}"] {
        s3.state().put("lake", key, "written since");
    }
    let left = store.delete_many_if("lake", &objects).await.unwrap();
    let left: Vec<(&str, ErrorCode)> =
        left.iter().map(|(key, error)| (key.as_str(), error.code())).collect();
    let changed = ErrorCode::ObjectChanged;
    assert_eq!(left, [("b", changed), ("d\u{1}", changed)]);
    assert_eq!(s3.state().keys("lake"), ["b", "d\u{1}"]);
}

#[tokio::test]
async fn ranges_are_exact_and_cut_at_the_end() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "0123456789");
    s3.state().put("lake", "empty", "");
    let store = store(&s3, &[]);
    for (range, expected) in [
        (ByteRange::Bounded(2, 3), "234"),
        (ByteRange::Bounded(8, 100), "89"),
        (ByteRange::Bounded(3, 0), ""),
        (ByteRange::Bounded(10, 5), ""),
        (ByteRange::Bounded(9, u64::MAX), "9"),
        (ByteRange::From(0), "0123456789"),
        (ByteRange::From(7), "789"),
        (ByteRange::From(10), ""),
        (ByteRange::Last(4), "6789"),
        (ByteRange::Last(99), "0123456789"),
        (ByteRange::Last(0), ""),
    ] {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let body = store.get(&at("lake", "k"), options).await.unwrap();
        assert_eq!((body.length, body.meta.size), (expected.len() as u64, 10), "{range:?}");
        assert_eq!(bytes(body).await.unwrap(), expected.as_bytes(), "{range:?}");
    }
    let options = GetOptions { range: Some(ByteRange::Last(5)), ..GetOptions::default() };
    assert_eq!(store.get(&at("lake", "empty"), options).await.unwrap().length, 0);
}

#[tokio::test]
async fn conditions_are_kept() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    let new = || PutOptions { if_none_match: true, ..PutOptions::default() };
    let first = store.put(&at("lake", "k"), Bytes::from("1"), new()).await.unwrap();
    let error = store.put(&at("lake", "k"), Bytes::from("2"), new()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectChanged, "{error:?}");
    let over =
        |etag: Option<&String>| PutOptions { if_match: etag.cloned(), ..PutOptions::default() };
    store.put(&at("lake", "k"), Bytes::from("3"), over(first.etag.as_ref())).await.unwrap();
    let error =
        store.put(&at("lake", "k"), Bytes::from("4"), over(first.etag.as_ref())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectChanged);
    let stale = GetOptions { if_match: first.etag, ..GetOptions::default() };
    let Err(error) = store.get(&at("lake", "k"), stale).await else {
        panic!("read a changed object")
    };
    assert_eq!(error.code(), ErrorCode::ObjectChanged);
    assert_eq!(read(&store, "lake", "k").await.unwrap(), b"3");
}

#[tokio::test]
async fn a_read_that_breaks_goes_on_where_it_broke() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let body = pattern(3_000_000);
    s3.state().put("lake", "big", body.clone());
    let store = store(&s3, &[]);
    s3.state().add_fault(Fault::new("GetObject", FaultKind::Close).times(2));
    assert_eq!(read(&store, "lake", "big").await.unwrap(), body);
    assert_eq!(s3.state().count("GetObject"), 3);
    s3.state().add_fault(Fault::new("GetObject", FaultKind::Close).times(9));
    let error = read(&store, "lake", "big").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectCorrupt, "{error:?}");
}

#[tokio::test]
async fn bytes_that_are_not_those_written_are_never_passed_on_as_good() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    store.put(&at("lake", "k"), pattern(100_000), PutOptions::default()).await.unwrap();
    for kind in [FaultKind::CorruptByte, FaultKind::Truncate] {
        s3.state().add_fault(Fault::new("GetObject", kind.clone()));
        let error = read(&store, "lake", "k").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ObjectCorrupt, "{kind:?}: {error:?}");
    }
    assert_eq!(read(&store, "lake", "k").await.unwrap(), pattern(100_000));
}

#[tokio::test]
async fn an_upload_in_parts_makes_one_object() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    let (one, two) = (pattern(5 * 1024 * 1024), pattern(1000));
    let options = PutOptions { content_type: Some("x/y".to_owned()), ..PutOptions::default() };
    let upload = store.create_upload(&at("lake", "big"), options).await.unwrap();
    let second = store.upload_part(&upload, 2, two.clone()).await.unwrap();
    let first = store.upload_part(&upload, 1, one.clone()).await.unwrap();
    let done =
        store.complete_upload(&upload, &[second, first], &PutOptions::default()).await.unwrap();
    assert!(done.etag.unwrap().ends_with("-2"));
    assert_eq!(read(&store, "lake", "big").await.unwrap(), [one, two].concat());
    let from = at("lake", "big");
    let meta = store.stat(&from, None).await.unwrap();
    assert_eq!(meta.content_type.as_deref(), Some("x/y"));
    // A copy in parts, and a given-up upload.
    let upload = store.create_upload(&at("lake", "copy"), PutOptions::default()).await.unwrap();
    let etag = meta.etag.as_deref();
    let part = store.copy_part(&from, 100, 900, etag, &upload, 1).await.unwrap();
    store.complete_upload(&upload, &[part], &PutOptions::default()).await.unwrap();
    assert_eq!(
        s3.state().get("lake", "copy").unwrap(),
        s3.state().get("lake", "big").unwrap()[100..1000]
    );
    let upload = store.create_upload(&at("lake", "gone"), PutOptions::default()).await.unwrap();
    store.abort_upload(&upload).await.unwrap();
    store.abort_upload(&upload).await.unwrap();
    assert!(s3.state().uploads("lake").is_empty());
}

#[tokio::test]
async fn a_copy_keeps_metadata_and_notices_a_changed_source() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    let options = PutOptions {
        metadata: BTreeMap::from([("owner".to_owned(), "me".to_owned())]),
        ..PutOptions::default()
    };
    let (from, to) = (at("lake", "a b+c%.txt"), at("lake", "to"));
    let etag = store.put(&from, Bytes::from("x"), options).await.unwrap().etag;
    store.copy(&from, &to, etag.as_deref(), PutOptions::default()).await.unwrap();
    assert_eq!(store.stat(&to, None).await.unwrap().metadata["owner"], "me");
    store.put(&from, Bytes::from("y"), PutOptions::default()).await.unwrap();
    let error = store.copy(&from, &to, etag.as_deref(), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectChanged, "{error:?}");
}

#[tokio::test]
async fn a_customers_key_is_used_on_every_write_read_and_copy() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let spec_c = spec(&s3, &[("ENCRYPTION_CUSTOMER_MANAGED_KEY", text(key))]);
    let mut with_key = secrets(&s3);
    with_key.customer_key = Some(key.into());
    let sealed = open(spec_c, with_key);
    sealed.put(&at("lake", "k"), Bytes::from("secret"), PutOptions::default()).await.unwrap();
    assert_eq!(read(&sealed, "lake", "k").await.unwrap(), b"secret");
    sealed.copy(&at("lake", "k"), &at("lake", "k2"), None, PutOptions::default()).await.unwrap();
    assert_eq!(read(&sealed, "lake", "k2").await.unwrap(), b"secret");
    let meta = sealed.stat(&at("lake", "k2"), None).await.unwrap();
    assert_eq!(meta.encryption.as_deref(), Some("SSE-C"));
    let upload = sealed.create_upload(&at("lake", "m"), PutOptions::default()).await.unwrap();
    let part = sealed.upload_part(&upload, 1, pattern(10)).await.unwrap();
    sealed.complete_upload(&upload, &[part], &PutOptions::default()).await.unwrap();
    assert_eq!(read(&sealed, "lake", "m").await.unwrap(), pattern(10));
    assert!(
        sealed.presign(&at("lake", "k"), PresignMethod::Get, Duration::from_mins(1)).await.is_err()
    );
    // Without the key it cannot be read, and the reason is more than the bare status of a HEAD.
    let plain = store(&s3, &[]);
    assert!(read(&plain, "lake", "k").await.is_err());
    let error = plain.stat(&at("lake", "k"), None).await.unwrap_err();
    assert!(!error.causes()[0].starts_with("HTTP"), "{error:?}");
}

#[tokio::test]
async fn writes_carry_what_the_connection_says() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(
        &s3,
        &[
            ("ENCRYPTION_KMS_KEY", text("alias/lake")),
            ("STORAGE_CLASS", text("STANDARD_IA")),
            ("ACL", text("bucket-owner-full-control")),
        ],
    );
    store.put(&at("lake", "k"), Bytes::from("x"), PutOptions::default()).await.unwrap();
    store.copy(&at("lake", "k"), &at("lake", "c"), None, PutOptions::default()).await.unwrap();
    let upload = store.create_upload(&at("lake", "m"), PutOptions::default()).await.unwrap();
    let part = store.upload_part(&upload, 1, pattern(10)).await.unwrap();
    store.complete_upload(&upload, &[part], &PutOptions::default()).await.unwrap();
    for key in ["k", "c", "m"] {
        let info = s3.state().info("lake", key).unwrap();
        assert_eq!(info.kms_key.as_deref(), Some("alias/lake"), "{key}");
        assert_eq!(info.storage_class, "STANDARD_IA", "{key}");
        assert_eq!(info.acl.as_deref(), Some("bucket-owner-full-control"), "{key}");
    }
}

#[tokio::test]
async fn checksums_are_as_the_option_says() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for (mode, crc) in [("REQUIRED", true), ("NONE", false), ("AUTO", true)] {
        let store = store(&s3, &[("CHECKSUMS", text(mode))]);
        for key in ["one", "two"] {
            store.put(&at("lake", key), pattern(1000), PutOptions::default()).await.unwrap();
            let stored = s3.state().info("lake", key).unwrap();
            assert_eq!(
                stored.checksums.contains_key("crc64nvme"),
                crc,
                "{mode} {:?}",
                stored.checksums
            );
        }
    }
    // A service that refuses the header is sent Content-MD5 from then on.
    let auto = store(&s3, &[]);
    s3.state().add_fault(Fault::new(
        "PutObject",
        FaultKind::Error {
            status: 400,
            code: "InvalidArgument".into(),
            message: "x-amz-checksum".into(),
        },
    ));
    for key in ["three", "four"] {
        auto.put(&at("lake", key), pattern(1000), PutOptions::default()).await.unwrap();
        assert!(!s3.state().info("lake", key).unwrap().checksums.contains_key("crc64nvme"));
    }
}

#[tokio::test]
async fn a_service_that_is_busy_for_a_while_is_asked_again() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    let store = store(&s3, &[]);
    s3.state().add_fault(Fault::new("GetObject", FaultKind::SlowDown).times(2));
    assert_eq!(read(&store, "lake", "k").await.unwrap(), b"x");
    s3.state().add_fault(Fault::new("PutObject", FaultKind::Internal).times(99));
    let error =
        store.put(&at("lake", "k"), Bytes::from("x"), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionBusy, "{error:?}");
    assert_eq!(s3.state().count("PutObject"), 5);
}

#[tokio::test]
async fn no_more_requests_are_in_flight_than_allowed() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    s3.state().set_latency(Duration::from_millis(20));
    let store = store(&s3, &[("MAX_CONCURRENCY", windlass_types::OptionValue::Integer(3))]);
    let object = at("lake", "k");
    let reads = (0..20).map(|_| store.stat(&object, None));
    assert!(futures::future::join_all(reads).await.iter().all(Result::is_ok));
    assert!(s3.state().peak_concurrency() <= 3, "{}", s3.state().peak_concurrency());
}

#[tokio::test]
async fn buckets_come_and_go() {
    let s3 = TestS3::start().await;
    let store = store(&s3, &[]);
    store.create_bucket("fresh").await.unwrap();
    store.put(&at("fresh", "k"), Bytes::from("x"), PutOptions::default()).await.unwrap();
    let error = store.delete_bucket("fresh").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BucketConflict, "{error:?}");
    store.delete(&at("fresh", "k")).await.unwrap();
    store.delete(&at("fresh", "k")).await.unwrap();
    store.delete_bucket("fresh").await.unwrap();
    let error = read(&store, "fresh", "k").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::BucketNotFound);
}
