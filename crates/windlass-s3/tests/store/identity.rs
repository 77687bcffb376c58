//! Who a connection is, where its buckets are, and what it says when that fails.

use crate::{at, list, open, read, secrets, spec, store, text};
use std::time::{Duration, Instant};
use windlass_s3::{ListOptions, ObjectAccess as _, S3Store, Secrets};
use windlass_testkit::{BucketOptions, TestIdentity, TestRole, TestS3, TestS3Options};
use windlass_types::{ErrorCode, OptionMap, OptionValue, S3Spec};

const ROLE: &str = "arn:aws:iam::000000000000:role/loader";

fn with_role(s3: &TestS3, more: &[(&str, OptionValue)]) -> S3Store {
    let mut options = vec![("AWS_ROLE", text(ROLE)), ("STS_ENDPOINT", text(&s3.endpoint()))];
    options.extend_from_slice(more);
    store(s3, &options)
}

#[tokio::test]
async fn a_role_is_assumed_as_asked_and_again_before_it_expires() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    // Sessions are renewed 5 to 10 s before their end, so this one between 1 and 6 s from now.
    s3.state().add_role(TestRole::new(ROLE).external_id("ext").lifetime(Duration::from_secs(11)));
    let store = with_role(
        &s3,
        &[
            ("EXTERNAL_ID", text("ext")),
            ("ROLE_SESSION_NAME", text("nightly")),
            ("ROLE_SOURCE_IDENTITY", text("anna")),
            ("ROLE_DURATION", OptionValue::Integer(1800)),
        ],
    );
    let begin = Instant::now();
    let mut reads = 0;
    while s3.state().sessions().len() < 2 && begin.elapsed() < Duration::from_mins(1) {
        assert_eq!(read(&store, "lake", "k").await.unwrap(), b"x");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(read(&store, "lake", "k").await.unwrap(), b"x");
    let sessions = s3.state().sessions();
    assert!((2..=reads).contains(&sessions.len()), "{} sessions for {reads} reads", sessions.len());
    let session = &sessions[0];
    assert_eq!(session.session_name, "nightly");
    assert_eq!(session.source_identity.as_deref(), Some("anna"));
    assert_eq!(session.duration, Duration::from_mins(30));
    let used: std::collections::BTreeSet<_> = s3
        .state()
        .requests()
        .into_iter()
        .filter(|request| request.operation == "GetObject")
        .filter_map(|request| request.access_key_id)
        .collect();
    assert!(used.len() >= 2 && !used.contains(&s3.admin().0), "{used:?}");
}

#[tokio::test]
async fn a_role_that_is_refused_says_so() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().add_role(TestRole::new(ROLE).external_id("ext"));
    let store = with_role(&s3, &[("EXTERNAL_ID", text("wrong"))]);
    let error = read(&store, "lake", "k").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionDenied, "{error:?}");
    assert!(error.message().contains("sts:AssumeRole"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("trust policy"));
}

#[tokio::test]
async fn wrong_credentials_are_told_apart() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    s3.state()
        .add_identity(TestIdentity::new("AKIAREADERREADER0001", "reader-secret").read(["other"]));
    let mut wrong_id = secrets(&s3);
    wrong_id.access_key_id = Some("AKIANOBODYNOBODY0001".into());
    let mut wrong_secret = secrets(&s3);
    wrong_secret.secret_access_key = Some("canary-not-the-secret".into());
    let reader = Secrets {
        access_key_id: Some("AKIAREADERREADER0001".into()),
        secret_access_key: Some("reader-secret".into()),
        ..Secrets::default()
    };
    for (secrets, code, word) in [
        (wrong_id, ErrorCode::ConnectionCredentials, "access key id is not known"),
        (wrong_secret, ErrorCode::ConnectionCredentials, "does not fit"),
        (reader, ErrorCode::ConnectionDenied, "s3:GetObject"),
    ] {
        let store = open(spec(&s3, &[]), secrets);
        // HEAD answers have no body; the reason is found all the same.
        for error in [
            read(&store, "lake", "k").await.unwrap_err(),
            store.stat(&at("lake", "k"), None).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), code, "{error:?}");
            assert!(error.message().contains(word), "{error:?}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}

#[tokio::test]
async fn an_anonymous_connection_signs_nothing() {
    let s3 = TestS3::start().await;
    s3.state()
        .create_bucket_with("open", BucketOptions { public: true, ..BucketOptions::default() });
    s3.state().create_bucket("shut");
    s3.state().put("open", "k", "x");
    let mut options = OptionMap::new();
    options.insert("ENDPOINT".into(), text(&s3.endpoint()));
    options.insert("ALLOW_HTTP".into(), OptionValue::Bool(true));
    options.insert("ANONYMOUS".into(), OptionValue::Bool(true));
    let store = open(S3Spec::build(&options).unwrap(), Secrets::default());
    assert_eq!(read(&store, "open", "k").await.unwrap(), b"x");
    assert!(s3.state().requests().iter().all(|request| request.access_key_id.is_none()));
    let error = list(&store, Some("shut"), "", ListOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionDenied, "{error:?}");
}

#[tokio::test]
async fn a_bucket_of_another_region_is_found_and_remembered() {
    let s3 = TestS3::start_with(TestS3Options { strict_regions: true, ..TestS3Options::default() })
        .await;
    let far = BucketOptions { region: Some("eu-central-1".to_owned()), ..BucketOptions::default() };
    s3.state().create_bucket_with("far", far);
    s3.state().put("far", "k", "x");
    let store = store(&s3, &[]);
    for _ in 0..3 {
        assert_eq!(read(&store, "far", "k").await.unwrap(), b"x");
        assert!(store.stat(&at("far", "k"), None).await.is_ok());
    }
    assert_eq!(store.region_of("far").await.unwrap(), "eu-central-1");
    let misses = s3.state().requests().iter().filter(|request| request.status >= 300).count();
    assert_eq!(misses, 1, "{:?}", s3.state().requests());
}

#[tokio::test]
async fn headers_and_requester_pays_are_sent_with_every_request() {
    let s3 = TestS3::start_with(TestS3Options {
        require_header: Some(("x-gate".to_owned(), "open-sesame".to_owned())),
        ..TestS3Options::default()
    })
    .await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    assert!(read(&store(&s3, &[]), "lake", "k").await.is_err());
    let headers = OptionValue::List(vec![text("X-Gate: open-sesame")]);
    let spec = spec(&s3, &[("HEADERS", headers), ("REQUESTER_PAYS", OptionValue::Bool(true))]);
    let mut with_header = secrets(&s3);
    with_header.headers = vec![("X-Gate".to_owned(), "open-sesame".into())];
    let store = open(spec, with_header);
    assert_eq!(read(&store, "lake", "k").await.unwrap(), b"x");
    assert_eq!(list(&store, Some("lake"), "", ListOptions::default()).await.unwrap().len(), 1);
    let last = s3.state().requests().pop().unwrap();
    assert_eq!(last.header("x-amz-request-payer"), Some("requester"));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_quickly() {
    let s3 = TestS3::start().await;
    // It is held, so that nobody else gets it, and nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", socket.local_addr().unwrap());
    let spec = spec(&s3, &[("ENDPOINT", OptionValue::Text(nobody))]);
    let store = open(spec, secrets(&s3));
    let error = read(&store, "lake", "k").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionUnreachable, "{error:?}");
}

#[tokio::test]
async fn a_chain_that_finds_nobody_says_so_soon() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let mut options = OptionMap::new();
    options.insert("ENDPOINT".into(), text(&s3.endpoint()));
    options.insert("ALLOW_HTTP".into(), OptionValue::Bool(true));
    let store = open(S3Spec::build(&options).unwrap(), Secrets::default());
    let begin = Instant::now();
    let error = read(&store, "lake", "k").await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", begin.elapsed());
    // A machine that has credentials of its own is refused by the service instead.
    assert_eq!(error.code(), ErrorCode::ConnectionCredentials, "{error:?}");
}
