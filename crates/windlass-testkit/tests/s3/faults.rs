//! Faults, latency and the request log.

use crate::{admin, client, config, get, no, put, refused};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, TestS3, TestS3Options};

#[tokio::test]
async fn a_fault_strikes_the_named_operation_so_often_as_asked() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().put("lake", "k", "v");
    server.state().add_fault(Fault::new("GetObject", FaultKind::SlowDown));
    server.state().add_fault(Fault::new("HeadObject", FaultKind::Internal));
    let read = || client.get_object().bucket("lake").key("k").send();
    assert_eq!(refused(read().await), no(503, "SlowDown"));
    assert_eq!(get(&client, "lake", "k").await, b"v");
    assert_eq!(refused(client.head_object().bucket("lake").key("k").send().await).0, 500);
    let kind = FaultKind::Error {
        status: 403,
        code: "RequestTimeTooSkewed".to_owned(),
        message: "clock".to_owned(),
    };
    server.state().add_fault(Fault::new("*", kind).after(1));
    assert_eq!(get(&client, "lake", "k").await, b"v");
    assert_eq!(refused(read().await), no(403, "RequestTimeTooSkewed"));
    assert_eq!(server.state().count("GetObject"), 4);
    let statuses: Vec<_> = server.state().requests().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [503, 200, 500, 200, 403]);
}

#[tokio::test]
async fn a_client_that_retries_gets_through_and_the_upload_is_whole() {
    let server = TestS3::start().await;
    server.state().create_bucket("lake");
    let (id, secret) = server.admin();
    let retry =
        RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(5));
    let config = config(&server.endpoint())
        .retry_config(retry)
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .build();
    let client = Client::from_conf(config);
    server.state().add_fault(Fault::new("PutObject", FaultKind::SlowDown).times(2));
    let body: Vec<u8> = (0..3_000_000u32).map(|it| it.to_le_bytes()[0]).collect();
    put(&client, "lake", "large", body.clone()).await;
    assert_eq!(server.state().get("lake", "large").unwrap(), body);
    assert_eq!(server.state().count("PutObject"), 3);
}

#[tokio::test]
async fn bodies_break_off_are_cut_and_are_damaged() {
    let server = TestS3::start().await;
    server.state().put("lake", "k", "0123456789");
    let client = admin(&server);
    let read = || async {
        let answer = client.get_object().bucket("lake").key("k").send().await.unwrap();
        answer.body.collect().await.map(aws_sdk_s3::primitives::AggregatedBytes::to_vec)
    };
    server.state().add_fault(Fault::new("GetObject", FaultKind::Close));
    assert!(read().await.is_err(), "a connection that ends within the body is an error");
    server.state().add_fault(Fault::new("GetObject", FaultKind::Truncate));
    assert_eq!(read().await.unwrap(), b"01234");
    server.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte));
    assert_eq!(read().await.unwrap(), b"0123416789");
    assert_eq!(read().await.unwrap(), b"0123456789");
    server.state().add_fault(Fault::new("DeleteObject", FaultKind::Close));
    assert!(client.delete_object().bucket("lake").key("k").send().await.is_err());
    assert!(server.state().keys("lake").is_empty(), "it was done, only the answer was lost");
}

#[tokio::test]
async fn a_damaged_body_does_not_pass_its_checksum() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("lake");
    put(&client, "lake", "k", "0123456789").await;
    server.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte));
    let answer = client.get_object().bucket("lake").key("k").send().await.unwrap();
    assert!(answer.body.collect().await.is_err());
}

#[tokio::test]
async fn latency_delays_all_and_a_delay_one() {
    let latency = Duration::from_millis(40);
    let server = TestS3::start_with(TestS3Options { latency, ..Default::default() }).await;
    let client = admin(&server);
    let start = Instant::now();
    client.list_buckets().send().await.unwrap();
    assert!(start.elapsed() >= latency);
    server.state().set_latency(Duration::ZERO);
    server.state().put("lake", "slow", "v");
    let delay = FaultKind::Delay(Duration::from_millis(80));
    server.state().add_fault(Fault::new("HeadObject", delay).on_key("slow"));
    let start = Instant::now();
    client.head_object().bucket("lake").key("slow").send().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn the_log_tells_what_was_asked_and_no_secret() {
    let options = TestS3Options {
        require_header: Some(("x-team".to_owned(), "orders".to_owned())),
        ..Default::default()
    };
    let server = TestS3::start_with(options).await;
    server.state().create_bucket("lake");
    let (id, secret) = server.admin();
    let client = client(&server.endpoint(), &id, &secret, None);
    assert_eq!(refused(client.list_buckets().send().await), no(403, "AccessDenied"));
    client
        .put_object()
        .bucket("lake")
        .key("a b")
        .body(ByteStream::from_static(b"v"))
        .customize()
        .mutate_request(|it| {
            it.headers_mut().insert("x-team", "orders");
        })
        .send()
        .await
        .unwrap();
    let log = server.state().requests();
    assert_eq!((log[0].operation.as_str(), log[0].status), ("Unknown", 403));
    let entry = &log[1];
    assert_eq!(
        (entry.operation.as_str(), entry.bucket.as_str(), entry.key.as_str()),
        ("PutObject", "lake", "a b")
    );
    assert_eq!(entry.access_key_id.as_deref(), Some(id.as_str()));
    assert_eq!(entry.region.as_deref(), Some("us-east-1"));
    assert_eq!(entry.header("X-Team"), Some("orders"));
    assert_eq!(entry.header("authorization"), Some("(present)"));
    assert!(server.state().peak_concurrency() >= 1);
}
