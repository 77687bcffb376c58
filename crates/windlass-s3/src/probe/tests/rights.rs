//! What identities with more or less rights see, against the service of the test kit.

use super::*;
use windlass_testkit::{
    BucketOptions, Fault, FaultKind, TestIdentity, TestRole, TestS3, TestS3Options,
};

const KEYS: (&str, &str) = (ID, "not-a-real-secret-access-key");
const ROLE: &str = "arn:aws:iam::000000000000:role/loader";

/// A service with the bucket `lake`, an object in it, and one identity besides the admin.
async fn service(identity: TestIdentity, roles: Vec<TestRole>) -> TestS3 {
    let service = TestS3::start_with(TestS3Options {
        identities: vec![identity],
        roles,
        ..TestS3Options::default()
    })
    .await;
    service.state().create_bucket("lake");
    service.state().put("lake", "raw/a.csv", "id\n1\n");
    service
}

fn me() -> TestIdentity {
    TestIdentity::new(KEYS.0, KEYS.1)
}

async fn rows(service: &TestS3, options: &[(&str, &str)], write: bool) -> String {
    let endpoint = service.endpoint();
    shown(&probe_s3(&keyed(&endpoint, KEYS, options), write).await, &endpoint)
}

fn clean(service: &TestS3) {
    assert_eq!(service.state().keys("lake"), ["raw/a.csv"]);
    assert!(service.state().uploads("lake").is_empty(), "{:?}", service.state().uploads("lake"));
}

#[tokio::test]
async fn full_rights_pass_every_step_and_nothing_is_left() {
    let service = service(me().read(["lake"]).write(["lake"]).list_buckets(), Vec::new()).await;
    insta::assert_snapshot!(rows(&service, &[], false).await);
    insta::assert_snapshot!("full_rights_writing", rows(&service, BOUND, true).await);
    clean(&service);
}

#[tokio::test]
async fn a_bound_connection_never_asks_for_all_buckets() {
    let service = service(me().read(["lake/raw/*"]), Vec::new()).await;
    for options in
        [BOUND, &[("VERIFY_PATH", "s3://lake/raw")], &[("PATH_DISPLAY_FILTER", "s3://lake/raw/")]]
    {
        let text = rows(&service, options, false).await;
        assert!(!text.contains("failed") && text.contains("passed  list place"), "{text}");
    }
    assert_eq!(service.state().count("ListBuckets"), 0);
}

#[tokio::test]
async fn missing_rights_are_named_with_action_and_place() {
    let mut text = String::new();
    let reader = || me().read(["lake"]).list_buckets();
    let cases = [
        (me().read(["lake"]), &[][..], false),
        (me(), BOUND, false),
        (reader().deny(["GetObject"]), BOUND, false),
        (reader().deny(["GetBucketLocation"]), BOUND, false),
        (reader(), BOUND, true),
        (reader().write(["lake"]).deny(["CreateMultipartUpload"]), BOUND, true),
    ];
    for (identity, options, write) in cases {
        let service = service(identity, Vec::new()).await;
        let endpoint = service.endpoint();
        let steps = probe_s3(&keyed(&endpoint, KEYS, options), write).await;
        text.push_str(&failure(&steps, &endpoint));
        clean(&service);
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named() {
    let rights = me().read(["lake"]).write(["lake"]).deny(["DeleteObject", "DeleteObjects"]);
    let service = service(rights, Vec::new()).await;
    let text = rows(&service, BOUND, true).await;
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_put_or_part_that_fails_or_hangs_leaves_nothing() {
    let cases = [
        Fault::new("UploadPart", FaultKind::Delay(Duration::from_mins(1))).always(),
        Fault::new("UploadPart", FaultKind::Close).always(),
        Fault::new("AbortMultipartUpload", FaultKind::Internal).times(8),
        Fault::new("DeleteObject", FaultKind::Delay(Duration::from_secs(3))).times(1),
    ];
    for fault in cases {
        let rights = me().read(["lake"]).write(["lake"]).list_buckets();
        let service = service(rights, Vec::new()).await;
        service.state().add_fault(fault.clone());
        let limits = Limits { step: Duration::from_secs(2), ..Limits::default() };
        let steps = probe_within(&keyed(&service.endpoint(), KEYS, BOUND), true, limits).await;
        assert!(steps.iter().any(|step| step.status == Status::Failed), "{fault:?}");
        // A part that was delayed may still be under way; what counts is that its upload is gone.
        clean(&service);
    }
}

#[tokio::test]
async fn a_versioned_bucket_keeps_no_version_of_the_probe() {
    let service = service(me().read(["*"]).write(["*"]).list_buckets(), Vec::new()).await;
    service
        .state()
        .create_bucket_with("kept", BucketOptions { versioned: true, ..BucketOptions::default() });
    let endpoint = service.endpoint();
    let store = keyed(&endpoint, KEYS, &[("BUCKET", "kept")]);
    let text = shown(&probe_s3(&store, true).await, &endpoint);
    assert!(text.contains("passed  delete an object"), "{text}");
    let client = store.client("kept").await.unwrap();
    let left = client.list_object_versions().bucket("kept").send().await.unwrap();
    assert!(left.versions().is_empty() && left.delete_markers().is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_empty_place_has_nothing_to_read_and_read_only_nothing_to_write() {
    let service = service(me().read(["*"]).list_buckets(), Vec::new()).await;
    service.state().create_bucket("empty");
    let options = [("BUCKET", "empty"), ("READ_ONLY", "TRUE")];
    insta::assert_snapshot!(rows(&service, &options, true).await);
}

#[tokio::test]
async fn credentials_that_are_wrong_stop_the_test_at_the_first_step_that_shows_it() {
    let service = service(me().read(["lake"]).list_buckets(), Vec::new()).await;
    let endpoint = service.endpoint();
    let mut text = String::new();
    for keys in [("AKIAUNKNOWN000000001", KEYS.1), (KEYS.0, "some-other-secret")] {
        for sts in [None, Some(("STS_ENDPOINT", endpoint.as_str()))] {
            let options: Vec<_> = sts.into_iter().collect();
            let steps = probe_s3(&keyed(&endpoint, keys, &options), false).await;
            text.push_str(&failure(&steps, &endpoint));
            assert_eq!(steps.last().map(|step| step.status), Some(Status::Skipped));
        }
    }
    insta::assert_snapshot!(text);
    assert!(!text.contains("some-other-secret") && !text.contains("AKIAUNKNOWN"));
}

#[tokio::test]
async fn a_role_is_assumed_or_it_is_said_why_not() {
    let role = TestRole::new(ROLE).external_id("x-17");
    let service = service(me(), vec![role]).await;
    let endpoint = service.endpoint();
    let base = [("AWS_ROLE", ROLE), ("STS_ENDPOINT", endpoint.as_str()), ("BUCKET", "lake")];
    let with = |extra: &[(&'static str, &'static str)]| [&base[..], extra].concat();
    let good = rows(&service, &with(&[("EXTERNAL_ID", "x-17")]), false).await;
    insta::with_settings!({filters => vec![(r"\d\d:\d\d:\d\dZ", "TIME")]}, {
        insta::assert_snapshot!(good);
    });
    let mut text = String::new();
    for extra in [&[][..], &[("EXTERNAL_ID", "x-18")]] {
        let store = keyed(&endpoint, KEYS, &with(extra));
        text.push_str(&failure(&probe_s3(&store, false).await, &endpoint));
    }
    insta::assert_snapshot!("role_not_assumable", text);
}

#[tokio::test]
async fn nobody_may_read_what_is_not_public() {
    let service = service(me(), Vec::new()).await;
    let endpoint = service.endpoint();
    let mut text = String::new();
    for options in [&[("ANONYMOUS", "TRUE")][..], &[("ANONYMOUS", "TRUE"), ("BUCKET", "lake")]] {
        let steps = probe_s3(&store(&endpoint, options), false).await;
        text.push_str(&failure(&steps, &endpoint));
    }
    insta::assert_snapshot!(text);
}
