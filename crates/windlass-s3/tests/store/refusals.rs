//! What a connection does not do.

use crate::{at, list, open, read, secrets, spec, store, text};
use bytes::Bytes;
use std::time::Duration;
use windlass_s3::{GetOptions, ListOptions, ObjectAccess as _, PresignMethod, PutOptions, Upload};
use windlass_testkit::TestS3;
use windlass_types::{Error, ErrorCode, OptionValue};

fn codes(errors: Vec<(&str, Result<(), Error>)>) -> Vec<(&str, ErrorCode)> {
    errors.into_iter().map(|(what, result)| (what, result.unwrap_err().code())).collect()
}

#[tokio::test]
async fn nothing_writes_through_a_read_only_connection() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "k", "x");
    let store = store(&s3, &[("READ_ONLY", OptionValue::Bool(true))]);
    let (object, other) = (at("lake", "k"), at("lake", "o"));
    let upload = Upload { bucket: "lake".into(), key: "k".into(), id: "1".into() };
    let none = PutOptions::default;
    let minute = Duration::from_mins(1);
    let refused = vec![
        ("put", store.put(&object, Bytes::new(), none()).await.map(drop)),
        ("create_upload", store.create_upload(&object, none()).await.map(drop)),
        ("upload_part", store.upload_part(&upload, 1, Bytes::new()).await.map(drop)),
        ("complete", store.complete_upload(&upload, &[], &none()).await.map(drop)),
        ("abort", store.abort_upload(&upload).await),
        ("copy", store.copy(&object, &other, None, none()).await.map(drop)),
        ("copy_part", store.copy_part(&object, 0, 1, None, &upload, 1).await.map(drop)),
        ("delete", store.delete(&object).await),
        ("delete_many", store.delete_many("lake", &["k".into()]).await.map(drop)),
        ("delete_many_if", {
            let objects = [("k".to_owned(), "e".to_owned())];
            store.delete_many_if("lake", &objects).await.map(drop)
        }),
        ("create_bucket", store.create_bucket("new").await),
        ("delete_bucket", store.delete_bucket("lake").await),
        ("presign", store.presign(&object, PresignMethod::Put, minute).await.map(drop)),
    ];
    for (what, code) in codes(refused) {
        assert_eq!(code, ErrorCode::ConnectionReadOnly, "{what}");
    }
    assert!(s3.state().requests().is_empty(), "a refusal reached the service");
    // Also below our own verbs: the client itself refuses.
    let client = store.client("lake").await.unwrap();
    let failure = client.delete_object().bucket("lake").key("k").send().await.unwrap_err();
    let error = windlass_s3::error::map("DeleteObject", "lake/k", store.name(), failure);
    insta::assert_snapshot!(format!("{error:?}"), @r"
    error[connection.read_only]: connection `landing` is READ_ONLY; DeleteObject would write through it
    hint: READ_ONLY cannot be altered; use another connection to write
    ");
    let tagging = client.delete_object_tagging().bucket("lake").key("k").send().await;
    assert!(tagging.is_err());
    assert!(s3.state().requests().is_empty());
    assert!(store.stat(&object, None).await.is_ok());
    assert!(store.presign(&object, PresignMethod::Get, minute).await.is_ok());
}

#[tokio::test]
async fn nothing_outside_the_binding_can_be_named() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "rawer/k", "x");
    let store = store(&s3, &[("BUCKET", text("lake")), ("PREFIX", text("raw/"))]);
    let (inside, outside) = (at("lake", "raw/k"), at("lake", "rawer/k"));
    let other = at("other", "raw/k");
    let upload = Upload { bucket: "lake".into(), key: "rawer/k".into(), id: "1".into() };
    let none = PutOptions::default;
    let minute = Duration::from_mins(1);
    let whole = ListOptions { recursive: true, ..ListOptions::default() };
    let refused = vec![
        ("list", list(&store, Some("lake"), "rawer/", whole.clone()).await.map(drop)),
        ("list bucket", list(&store, Some("other"), "raw/", whole).await.map(drop)),
        ("stat", store.stat(&outside, None).await.map(drop)),
        ("get", store.get(&other, GetOptions::default()).await.map(drop)),
        ("put", store.put(&outside, Bytes::new(), none()).await.map(drop)),
        ("create_upload", store.create_upload(&other, none()).await.map(drop)),
        ("upload_part", store.upload_part(&upload, 1, Bytes::new()).await.map(drop)),
        ("complete", store.complete_upload(&upload, &[], &none()).await.map(drop)),
        ("abort", store.abort_upload(&upload).await),
        ("copy from", store.copy(&outside, &inside, None, none()).await.map(drop)),
        ("copy to", store.copy(&inside, &outside, None, none()).await.map(drop)),
        ("copy_part", store.copy_part(&inside, 0, 1, None, &upload, 1).await.map(drop)),
        ("delete", store.delete(&outside).await),
        ("delete_many", store.delete_many("lake", &["raw/a".into(), "b".into()]).await.map(drop)),
        ("delete_many_if", {
            let objects = [("raw/a".to_owned(), "e".to_owned()), ("b".to_owned(), "e".to_owned())];
            store.delete_many_if("lake", &objects).await.map(drop)
        }),
        ("create_bucket", store.create_bucket("other").await),
        ("delete_bucket", store.delete_bucket("lake").await),
        ("presign", store.presign(&outside, PresignMethod::Get, minute).await.map(drop)),
    ];
    for (what, code) in codes(refused) {
        assert_eq!(code, ErrorCode::PathOutside, "{what}");
    }
    assert!(s3.state().requests().is_empty());
}

#[tokio::test]
async fn a_copy_reads_what_its_sources_connection_is_bound_to_and_nothing_else() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for key in ["raw/k", "out/k", "other/k"] {
        s3.state().put("lake", key, key);
    }
    let bound = |prefix| store(&s3, &[("BUCKET", text("lake")), ("PREFIX", text(prefix))]);
    let (from, to) = (bound("raw/"), bound("out/"));
    assert_eq!(from.server_side_copy_group(), to.server_side_copy_group());
    let mut stranger = secrets(&s3);
    stranger.access_key_id = Some("somebody".into());
    let stranger = open(spec(&s3, &[]), stranger);
    assert_ne!(from.server_side_copy_group(), stranger.server_side_copy_group());
    assert!(from.service().is_some() && from.service() == stranger.service());
    let copying = to.copying_from(&from).unwrap();
    let none = PutOptions::default;
    copying.copy(&at("lake", "raw/k"), &at("lake", "out/new"), None, none()).await.unwrap();
    assert_eq!(read(&to, "lake", "out/new").await.unwrap(), b"raw/k");
    for (one, two) in [("other/k", "out/k"), ("out/k", "out/x"), ("raw/k", "raw/x")] {
        let refused = copying.copy(&at("lake", one), &at("lake", two), None, none()).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::PathOutside, "{one} {two}");
    }
    let refused = copying.stat(&at("lake", "raw/k"), None).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PathOutside, "only copies read there");
}

#[tokio::test]
async fn printing_a_connection_shows_no_secret() {
    let s3 = TestS3::start().await;
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let mut all = secrets(&s3);
    all.session_token = Some("canary-token".into());
    all.customer_key = Some(key.into());
    all.headers = vec![("x-gate".to_owned(), "canary-header".into())];
    all.proxy = Some("http://me:canary-proxy@127.0.0.1:1".into());
    insta::assert_snapshot!(format!("{all:?}"), @"Secrets(access_key_id, secret_access_key, session_token, customer_key, proxy, headers)");
    let spec = spec(&s3, &[("ENCRYPTION_CUSTOMER_MANAGED_KEY", text(key))]);
    let store = open(spec, all);
    let _ = store.stat(&at("lake", "k"), None).await;
    let printed = format!(
        "{store:?} {store:#?} {:?} {:?}",
        store.base_client().await,
        store.sdk_config().await
    );
    for secret in ["canary", key, &s3.admin().1] {
        assert!(!printed.contains(secret), "{printed}");
    }
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "HOST")]}, {
        insta::assert_snapshot!(format!("{store:?}"), @r#"S3Store { name: "landing", endpoint: Some("http://HOST"), binding: Binding { bucket: None, prefix: "" }, read_only: false, .. }"#);
    });
}

#[tokio::test]
async fn a_signed_url_has_limits() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let store = store(&s3, &[]);
    let object = at("lake", "q?and#/z.txt");
    let day = Duration::from_hours(24);
    assert!(store.presign(&object, PresignMethod::Get, day * 8).await.is_err());
    assert!(store.presign(&object, PresignMethod::Get, Duration::ZERO).await.is_err());
    let url = store.presign(&object, PresignMethod::Put, day).await.unwrap();
    assert!(
        url.contains("/lake/q%3Fand%23/z.txt?") && url.contains("X-Amz-Expires=86400"),
        "{url}"
    );
    assert!(s3.state().requests().is_empty());
    let kms = crate::store(&s3, &[("ENCRYPTION_KMS_KEY", text("alias/x"))]);
    assert!(kms.presign(&object, PresignMethod::Put, day).await.is_err());
    assert!(kms.presign(&object, PresignMethod::Get, day).await.is_ok());
}
