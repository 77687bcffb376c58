//! Who may do what: keys, tokens, rights, regions, strangers.

use crate::{admin, client, config, no, put, refused};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use std::time::{Duration, SystemTime};
use windlass_testkit::{BucketOptions, TestIdentity, TestS3, TestS3Options, sample};

async fn with(identities: Vec<TestIdentity>) -> TestS3 {
    TestS3::start_with(TestS3Options { identities, ..Default::default() }).await
}

#[tokio::test]
async fn wrong_keys_are_told_apart() {
    let server = TestS3::start().await;
    let (id, secret) = server.admin();
    let list =
        |id: &str, secret: &str| client(&server.endpoint(), id, secret, None).list_buckets().send();
    assert_eq!(refused(list("NOBODY", &secret).await), no(403, "InvalidAccessKeyId"));
    assert_eq!(refused(list(&id, "wrong").await), no(403, "SignatureDoesNotMatch"));
    list(&id, &secret).await.unwrap();
}

#[tokio::test]
async fn rights_are_by_bucket_folder_and_operation() {
    let reader =
        TestIdentity::new("READER", "s").read(["open", "lake/orders/*"]).deny(["HeadBucket"]);
    let server = with(vec![reader]).await;
    for (bucket, key) in [("open", "k"), ("lake", "orders/1"), ("lake", "other/1"), ("shut", "k")] {
        server.state().put(bucket, key, "v");
    }
    let client = client(&server.endpoint(), "READER", "s", None);
    assert_eq!(crate::get(&client, "open", "k").await, b"v");
    assert_eq!(crate::get(&client, "lake", "orders/1").await, b"v");
    let read = |bucket: &str, key: &str| client.get_object().bucket(bucket).key(key).send();
    assert_eq!(refused(read("shut", "k").await), no(403, "AccessDenied"));
    assert_eq!(refused(read("lake", "other/1").await), no(403, "AccessDenied"));
    assert_eq!(refused(read("none", "k").await), no(404, "NoSuchBucket"));
    client.list_objects_v2().bucket("lake").prefix("orders/").send().await.unwrap();
    let all = client.list_objects_v2().bucket("lake").send().await.unwrap_err();
    assert!(all.message().unwrap().contains("s3:ListBucket on resource: \"arn:aws:s3:::lake\""));
    assert_eq!(refused(client.list_buckets().send().await), no(403, "AccessDenied"));
    assert_eq!(refused(client.head_bucket().bucket("open").send().await).0, 403);
    let write = client.delete_object().bucket("open").key("k").send().await;
    assert_eq!(refused(write), no(403, "AccessDenied"));
    let make = client.create_bucket().bucket("mine").send().await;
    assert_eq!(refused(make), no(403, "AccessDenied"));
}

#[tokio::test]
async fn tokens_must_be_there_be_right_and_not_be_old() {
    let token = |name: &str, expires| TestIdentity {
        session_token: Some("token".to_owned()),
        expires,
        ..TestIdentity::admin(name, "s")
    };
    let past = SystemTime::now() - Duration::from_secs(1);
    let server = with(vec![token("FRESH", None), token("OLD", Some(past))]).await;
    let list = |id: &str, token: Option<&str>| {
        client(&server.endpoint(), id, "s", token).list_buckets().send()
    };
    list("FRESH", Some("token")).await.unwrap();
    assert_eq!(refused(list("FRESH", Some("other")).await), no(400, "InvalidToken"));
    assert_eq!(refused(list("FRESH", None).await), no(400, "InvalidToken"));
    assert_eq!(refused(list("OLD", Some("token")).await), no(400, "ExpiredToken"));
}

#[tokio::test]
async fn strangers_read_public_buckets_only() {
    let server = TestS3::start().await;
    let public = BucketOptions { public: true, ..BucketOptions::default() };
    server.state().create_bucket_with("commons", public);
    server.state().put("commons", "k", "v");
    server.state().put("closed", "k", "v");
    let stranger = Client::from_conf(config(&server.endpoint()).allow_no_auth().build());
    assert_eq!(crate::get(&stranger, "commons", "k").await, b"v");
    stranger.list_objects_v2().bucket("commons").send().await.unwrap();
    let closed = stranger.get_object().bucket("closed").key("k").send().await;
    assert_eq!(refused(closed), no(403, "AccessDenied"));
    let write = stranger.delete_object().bucket("commons").key("k").send().await;
    assert_eq!(refused(write), no(403, "AccessDenied"));
    assert_eq!(refused(stranger.list_buckets().send().await), no(403, "AccessDenied"));
}

#[tokio::test]
async fn a_bucket_of_another_region_says_where_it_is() {
    let server = TestS3::start().await;
    let home = admin(&server);
    let constraint = BucketLocationConstraint::EuCentral1;
    let there = CreateBucketConfiguration::builder().location_constraint(constraint).build();
    home.create_bucket().bucket("far").create_bucket_configuration(there).send().await.unwrap();
    let moved = home.list_objects_v2().bucket("far").send().await;
    let region = moved.as_ref().unwrap_err().raw_response().unwrap();
    assert_eq!(region.headers().get("x-amz-bucket-region"), Some("eu-central-1"));
    assert_eq!(refused(moved), no(301, "PermanentRedirect"));
    let location = home.get_bucket_location().bucket("far").send().await.unwrap();
    assert_eq!(location.location_constraint(), Some(&BucketLocationConstraint::EuCentral1));

    let (id, secret) = server.admin();
    let at = |region: &'static str| {
        let credentials = Credentials::new(&id, &secret, None, None, "test");
        Client::from_conf(
            config(&server.endpoint())
                .region(Region::new(region))
                .credentials_provider(credentials)
                .build(),
        )
    };
    let wrong = at("ap-south-1").list_objects_v2().bucket("far").send().await;
    assert_eq!(refused(wrong), no(400, "AuthorizationHeaderMalformed"));
    put(&at("eu-central-1"), "far", "k", "v").await;
    // A bucket that is not said to be anywhere takes every signature, as many services do.
    server.state().put("near", "k", "v");
    assert_eq!(crate::get(&at("anything"), "near", "k").await, b"v");
}

#[tokio::test]
async fn a_presigned_url_works_without_keys() {
    let server = TestS3::start().await;
    server.state().put("lake", "a b/é", "v");
    let request = admin(&server)
        .get_object()
        .bucket("lake")
        .key("a b/é")
        .presigned(PresigningConfig::expires_in(Duration::from_mins(1)).unwrap())
        .await
        .unwrap();
    let answer = reqwest::get(request.uri()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "v");
    let broken = request.uri().replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_eq!(reqwest::get(broken).await.unwrap().status(), 403);
    assert!(!server.state().requests()[0].query.contains("Signature="));
}

#[tokio::test]
async fn the_bucket_may_stand_in_the_host() {
    let server = TestS3::start().await;
    let public = BucketOptions { public: true, ..BucketOptions::default() };
    server.state().create_bucket_with("commons", public);
    server.state().put("commons", "k", "v");
    let url = format!("{}/k", server.endpoint());
    let host = format!("commons.localhost:{}", server.address().port());
    let request = reqwest::Client::new().get(url).header("host", host);
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "v");
}

#[tokio::test]
async fn the_demo_sees_what_it_may() {
    let server = with(sample::demo_identities()).await;
    sample::fill(server.state());
    let demo = client(
        &server.endpoint(),
        sample::DEMO_ACCESS_KEY_ID,
        sample::DEMO_SECRET_ACCESS_KEY,
        None,
    );
    let buckets = demo.list_buckets().send().await.unwrap();
    assert_eq!(buckets.buckets().len(), 3);
    let page = demo.list_objects_v2().bucket(sample::LANDING).prefix("orders/").delimiter("/");
    assert_eq!(page.send().await.unwrap().common_prefixes().len(), 7);
    put(&demo, sample::ARCHIVE, "copy", "v").await;
    let private = demo.list_objects_v2().bucket(sample::PRIVATE).send().await;
    assert_eq!(refused(private), no(403, "AccessDenied"));
}
