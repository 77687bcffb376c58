use super::*;
use crate::access::{GetOptions, ListOptions, ObjectAccess as _, PutOptions};
use crate::store::S3Store;
use futures::TryStreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use windlass_testkit::{Fault, FaultKind, TestS3};
use windlass_types::{ErrorCode, Location, ObjectPath, OptionMap, OptionValue};

fn text(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

fn store(endpoint: &str, keys: &(String, String), more: &[(&str, OptionValue)]) -> S3Store {
    let mut options = OptionMap::from([
        ("ENDPOINT".to_owned(), text(endpoint)),
        ("ALLOW_HTTP".to_owned(), OptionValue::Bool(true)),
        ("AWS_ACCESS_KEY_ID".to_owned(), text(&keys.0)),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), text(&keys.1)),
        ("TIMEOUT".to_owned(), OptionValue::Integer(30)),
    ]);
    options.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let secrets = crate::Secrets {
        access_key_id: Some(keys.0.as_str().into()),
        secret_access_key: Some(keys.1.as_str().into()),
        customer_key: more.iter().find_map(|(name, value)| match value {
            OptionValue::Text(text) if name.starts_with("ENCRYPTION_CUSTOMER") => {
                Some(text.as_str().into())
            }
            _ => None,
        }),
        ..crate::Secrets::default()
    };
    let spec = S3Spec::build(&options).unwrap();
    let memory = Arc::new(crate::ForgetfulRegions);
    S3Store::open(Name::new("n").unwrap(), spec, secrets, memory).unwrap()
}

fn at(key: &str) -> ObjectPath {
    ObjectPath { bucket: "lake".to_owned(), key: key.to_owned() }
}

/// Everything that goes over the wire, once.
async fn every_call(store: &S3Store) {
    let described = PutOptions {
        content_type: Some("text/csv".to_owned()),
        headers: BTreeMap::from([
            ("cache-control".to_owned(), "no-cache".to_owned()),
            ("content-disposition".to_owned(), "inline".to_owned()),
            ("expires".to_owned(), "Sat, 21 Nov 2026 08:15:00 GMT".to_owned()),
        ]),
        metadata: BTreeMap::from([("owner".to_owned(), "a  b".to_owned())]),
        if_none_match: true,
        tags: Some(BTreeMap::from([
            ("a b".to_owned(), "1&2".to_owned()),
            ("c".to_owned(), String::new()),
        ])),
        storage_class: Some("ONEZONE_IA".to_owned()),
        acl: Some("private".to_owned()),
        ..PutOptions::default()
    };
    let none = PutOptions::default;
    let odd = at("a b//./+%?#\u{e4}'(x)*!.txt");
    let etag = store.put(&odd, "hello".into(), described.clone()).await.unwrap().etag;
    store.put(&at("empty"), Bytes::new(), none()).await.unwrap();
    let over = PutOptions { if_match: etag.clone(), ..none() };
    store.put(&odd, "hello!".into(), over).await.unwrap();
    let meta = store.stat(&odd, None).await.unwrap();
    let ranged = GetOptions {
        range: Some(crate::ByteRange::Bounded(1, 2)),
        if_match: meta.etag.clone(),
        ..GetOptions::default()
    };
    for (options, expected) in [(GetOptions::default(), "hello!"), (ranged, "el")] {
        let body = store.get(&odd, options).await.unwrap();
        let bytes: Vec<Bytes> = body.stream.try_collect().await.unwrap();
        assert_eq!(bytes.concat(), expected.as_bytes());
    }
    store.copy(&odd, &at("copy"), meta.etag.as_deref(), none()).await.unwrap();
    assert_eq!(store.tags(&odd, None).await.unwrap().len(), 0, "written over");
    let bare = PutOptions { replace: true, tags: Some(BTreeMap::new()), ..none() };
    store.copy(&odd, &at("copy 3"), None, bare).await.unwrap();
    store.copy(&odd, &at("copy 2"), None, described).await.unwrap();
    assert_eq!(store.tags(&at("copy 2"), None).await.unwrap()["a b"], "1&2");
    let upload = store.create_upload(&at("parts"), none()).await.unwrap();
    let one = store.upload_part(&upload, 1, vec![7; 5 * 1024 * 1024].into()).await.unwrap();
    let two = store.copy_part(&odd, 1, 3, meta.etag.as_deref(), &upload, 2).await.unwrap();
    store.complete_upload(&upload, &[one, two], &none()).await.unwrap();
    for (prefix, recursive) in [("", true), ("a b/", false)] {
        let location = Location { bucket: Some("lake".to_owned()), key: prefix.to_owned() };
        let options = ListOptions { recursive, ..ListOptions::default() };
        let found: Vec<_> = store.list(&location, options).try_collect().await.unwrap();
        assert!(!found.is_empty(), "{prefix}");
    }
    store.delete(&at("copy")).await.unwrap();
    let left = store.delete_many("lake", &["copy 2".into(), "a<&>\"'\r\nb".into()]).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_wire_asks_for_what_the_sdk_asks_for() {
    let kms = [("ENCRYPTION_KMS_KEY", text("alias/x")), ("STORAGE_CLASS", text("STANDARD_IA"))];
    let customer = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let customer = [("ENCRYPTION_CUSTOMER_MANAGED_KEY", text(customer))];
    let payer = [("REQUESTER_PAYS", OptionValue::Bool(true)), ("CHECKSUMS", text("NONE"))];
    let acl = [("ACL", text("bucket-owner-full-control"))];
    for more in [&[][..], &kms, &customer, &payer, &acl] {
        let mut seen = Vec::new();
        for sdk in [true, false] {
            let s3 = TestS3::start().await;
            s3.state().create_bucket("lake");
            let store = store(&s3.endpoint(), &s3.admin(), more);
            every_call(&if sdk { store.sdk_only() } else { store }).await;
            let requests: Vec<String> = s3
                .state()
                .requests()
                .into_iter()
                .map(|request| {
                    let query: BTreeSet<&str> = request
                        .query
                        .split('&')
                        .filter(|pair| !pair.is_empty() && !pair.starts_with("x-id="))
                        .filter(|pair| !pair.starts_with("uploadId="))
                        .map(|pair| pair.trim_end_matches('='))
                        .collect();
                    let headers: Vec<String> = request
                        .headers
                        .iter()
                        .filter(|(name, _)| {
                            !matches!(
                                name.as_str(),
                                "user-agent" | "x-amz-user-agent" | "amz-sdk-request" | "host"
                                    | "amz-sdk-invocation-id" | "x-amz-date" | "content-length"
                                    // The wire hashes no body that a checksum proves.
                                    | "x-amz-content-sha256"
                                    // Deletions carry both with the SDK.
                                    | "x-amz-checksum-crc32" | "x-amz-sdk-checksum-algorithm"
                            )
                        })
                        .filter(|(name, _)| {
                            // Nobody asks after the type of a part.
                            !(request.operation == "UploadPart" && *name == "content-type")
                        })
                        .map(|(name, value)| format!("{name}: {value}"))
                        .collect();
                    format!(
                        "{} {} {:?} {query:?} {headers:?} {}",
                        request.operation, request.method, request.key, request.status
                    )
                })
                .collect();
            seen.push(requests);
        }
        for (sdk, wire) in seen[0].iter().zip(&seen[1]) {
            assert_eq!(sdk, wire, "{more:?}");
        }
        assert_eq!(seen[0].len(), seen[1].len());
    }
}

#[test]
fn what_the_guard_calls_reading_is_what_http_calls_so() {
    for call in Call::ALL {
        let (name, method) = call.row();
        assert_eq!(crate::guard::READING.contains(&name), method.is_safe(), "{name}");
    }
}

#[tokio::test]
async fn the_wire_itself_refuses_to_write_through_a_read_only_connection() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3.endpoint(), &s3.admin(), &[("READ_ONLY", OptionValue::Bool(true))]);
    let region = store.start_region().await.unwrap();
    let crate::store::Carrier::Wire(wire, route) = store.carrier("lake", &region).await.unwrap()
    else {
        panic!("not over the wire")
    };
    for call in Call::ALL.into_iter().filter(|call| !call.row().1.is_safe()) {
        let failure = wire.send(&route, &Asked::new(call, "lake", "k")).await.unwrap_err();
        assert_eq!(failure.error.code(), ErrorCode::ConnectionReadOnly, "{call:?}");
    }
    assert!(s3.state().requests().is_empty());
}

/// A service on loopback: of each connection, the answers given in turn; then it is closed.
async fn service(connections: Vec<Vec<&'static str>>) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let connections = Arc::new(Mutex::new(connections.into_iter()));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let answers = connections.lock().unwrap().next().unwrap_or_default();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                for answer in answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { return };
                        head.push(byte);
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (endpoint, asked)
}

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: \"e\"\r\n\r\nok";

fn keys() -> (String, String) {
    ("AKIATEST".to_owned(), "secret".to_owned())
}

async fn read(store: &S3Store) -> windlass_types::Result<Vec<u8>> {
    let body = store.get(&at("k"), GetOptions::default()).await?;
    let bytes: Vec<Bytes> = body.stream.try_collect().await?;
    Ok(bytes.concat())
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_the_service_closed_is_replaced_at_once() {
    let (endpoint, asked) = service(vec![vec![GOOD, GOOD], vec![GOOD]]).await;
    let store = store(&endpoint, &keys(), &[]);
    for _ in 0..3 {
        assert_eq!(read(&store).await.unwrap(), b"ok");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    // Whoever waits counts a retry.
    assert_eq!(store.traffic().retries, 0);
}

#[tokio::test]
async fn a_connection_that_breaks_before_its_answer_is_asked_again() {
    let (endpoint, _) = service(vec![vec![""], vec![GOOD]]).await;
    let store = store(&endpoint, &keys(), &[]);
    assert_eq!(read(&store).await.unwrap(), b"ok");
    assert_eq!(store.traffic(), Traffic { requests: 2, retries: 1, busy: 0 });
}

#[tokio::test]
async fn an_answer_that_comes_in_pieces_without_a_length_is_read_whole() {
    let page = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        12\r\n<ListBucketResult>\r\n\
        2F\r\n<Contents><Key>a</Key><Size>1</Size></Contents>\r\n\
        13\r\n</ListBucketResult>\r\n0\r\n\r\n";
    let (endpoint, asked) = service(vec![vec![page, page]]).await;
    let store = store(&endpoint, &keys(), &[]);
    for _ in 0..2 {
        let location = Location { bucket: Some("lake".to_owned()), key: String::new() };
        let found: Vec<_> =
            store.list(&location, ListOptions::default()).try_collect().await.unwrap();
        assert_eq!((found.len(), found[0].key.as_str()), (1, "a"));
    }
    assert_eq!((asked.load(Ordering::Relaxed), store.traffic().requests), (2, 2));
}

#[tokio::test]
async fn a_copy_that_fails_after_it_was_promised_is_tried_again() {
    let failed = "HTTP/1.1 200 OK\r\ncontent-length: 97\r\n\r\n   \n<?xml version=\"1.0\"?>\
        <Error><Code>InternalError</Code><Message>Try again</Message></Error>   ";
    let done = "HTTP/1.1 200 OK\r\ncontent-length: 68\r\n\r\n\
        <CopyObjectResult><ETag>&quot;copied&quot;</ETag></CopyObjectResult>";
    for text in [failed, done] {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
    let (endpoint, _) = service(vec![vec![failed, done]]).await;
    let store = store(&endpoint, &keys(), &[]);
    let copied = store.copy(&at("a"), &at("b"), None, PutOptions::default()).await.unwrap();
    assert_eq!(copied.etag.as_deref(), Some("copied"));
    assert_eq!(store.traffic().retries, 1);
}

#[tokio::test]
async fn an_answer_that_is_no_s3_service_s_says_so() {
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>";
    let (endpoint, _) = service(vec![vec![page]]).await;
    let location = Location { bucket: Some("lake".to_owned()), key: String::new() };
    let web = store(&endpoint, &keys(), &[]);
    let failed: windlass_types::Result<Vec<_>> =
        web.list(&location, ListOptions::default()).try_collect().await;
    let error = failed.unwrap_err();
    assert!(error.message().contains("not S3's"), "{error:?}");
}

#[tokio::test]
async fn a_service_that_asks_to_go_slower_is_counted() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "ok");
    let store = store(&s3.endpoint(), &s3.admin(), &[]);
    s3.state().add_fault(Fault::new("GetObject", FaultKind::SlowDown));
    assert_eq!(read(&store).await.unwrap(), b"ok");
    assert_eq!(store.traffic(), Traffic { requests: 2, retries: 1, busy: 1 });
    assert_eq!(store.slow_downs(), 1);
    let refused =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: String::new() };
    s3.state().add_fault(Fault::new("GetObject", refused));
    let error = read(&store).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionDenied);
    assert!(error.causes()[0].contains("(request "), "{error:?}");
    assert_eq!(store.traffic().requests, 3);
}

#[tokio::test]
async fn a_service_that_asks_to_go_slower_is_counted_through_the_sdk_too() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "ok");
    let store = store(&s3.endpoint(), &s3.admin(), &[]).sdk_only();
    assert_eq!(store.slow_downs(), 0);
    s3.state().add_fault(Fault::new("GetObject", FaultKind::SlowDown).times(2));
    assert_eq!(read(&store).await.unwrap(), b"ok");
    assert_eq!(store.slow_downs(), 2);
}

#[tokio::test]
async fn a_service_that_wants_the_body_in_the_signature_gets_it_there() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3.endpoint(), &s3.admin(), &[]);
    let refused = FaultKind::Error {
        status: 400,
        code: "XAmzContentSHA256Mismatch".into(),
        message: "the hash".into(),
    };
    s3.state().add_fault(Fault::new("PutObject", refused));
    for key in ["a", "b"] {
        store.put(&at(key), "hello".into(), PutOptions::default()).await.unwrap();
    }
    let hashes: Vec<String> = s3
        .state()
        .requests()
        .iter()
        .filter_map(|request| request.header("x-amz-content-sha256").map(str::to_owned))
        .collect();
    assert_eq!(hashes.len(), 3);
    assert_eq!(hashes[0], UNSIGNED);
    let hash = sign::hash(&Bytes::from_static(b"hello").into()).await.unwrap();
    assert_eq!(hashes[1..], [hash.clone(), hash]);
}

#[test]
fn waits_grow_and_stay_within_their_limit() {
    for attempt in 1..40 {
        let limit = Duration::from_secs(1 << (attempt - 1).min(10)).min(LONGEST_WAIT);
        assert!(pause(attempt) <= limit);
    }
}
