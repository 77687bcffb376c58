//! The proxy that lets things go wrong.

use crate::{client, get, no, put, refused};
use aws_sdk_s3::Client;
use std::time::{Duration, Instant};
use windlass_testkit::{FaultProxy, ProxyFault, Schedule, TestS3};

async fn before(server: &TestS3) -> (FaultProxy, Client) {
    server.state().create_bucket("lake");
    let proxy = FaultProxy::start(&server.endpoint(), Schedule::new(1)).await;
    let (id, secret) = server.admin();
    let client = client(&proxy.endpoint(), &id, &secret, None);
    (proxy, client)
}

fn only(fault: ProxyFault) -> Schedule {
    Schedule::new(1).with(fault, 1000)
}

#[tokio::test]
async fn what_passes_unharmed_is_what_the_service_says() {
    let server = TestS3::start().await;
    let (proxy, client) = before(&server).await;
    put(&client, "lake", "a b/ü+~", "hello").await;
    assert_eq!(get(&client, "lake", "a b/ü+~").await, b"hello");
    let head = client.head_object().bucket("lake").key("a b/ü+~").send().await.unwrap();
    assert_eq!(head.content_length, Some(5));
    let missing = client.get_object().bucket("lake").key("x").send().await;
    assert_eq!(refused(missing), no(404, "NoSuchKey"));
    client.delete_object().bucket("lake").key("a b/ü+~").send().await.unwrap();
    assert!(server.state().keys("lake").is_empty());
    assert_eq!((proxy.requests(), proxy.hits().len()), (5, 0));
}

#[tokio::test]
async fn a_request_is_refused_before_or_after_it_was_carried_out() {
    let server = TestS3::start().await;
    let (proxy, client) = before(&server).await;
    let write = |key: &'static str| {
        client.put_object().bucket("lake").key(key).body("v".as_bytes().to_vec().into()).send()
    };
    for (fault, status, code) in
        [(ProxyFault::SlowDown, 503, "SlowDown"), (ProxyFault::Before, 500, "InternalError")]
    {
        proxy.set(only(fault));
        assert_eq!(refused(write("k").await), no(status, code));
    }
    proxy.set(only(ProxyFault::DropBefore));
    assert!(write("k").await.is_err());
    assert!(server.state().keys("lake").is_empty(), "nothing was carried out");
    proxy.set(only(ProxyFault::After));
    assert_eq!(refused(write("after").await), no(500, "InternalError"));
    proxy.set(only(ProxyFault::DropAfter));
    assert!(write("dropped").await.is_err());
    assert_eq!(server.state().keys("lake"), ["after", "dropped"]);
    // The last one, since the client believes it and signs with another time from now on.
    proxy.set(only(ProxyFault::TooSkewed));
    assert_eq!(refused(write("k").await), no(403, "RequestTimeTooSkewed"));
    assert_eq!(proxy.hits().values().sum::<u64>(), 6);
}

#[tokio::test]
async fn bodies_are_cut_shortened_slow_and_flipped() {
    let server = TestS3::start().await;
    let (proxy, client) = before(&server).await;
    let content: Vec<u8> = (0..2000_u32).map(|n| n.to_le_bytes()[0]).collect();
    server.state().put("lake", "k", content.clone());
    let read = || async {
        let answer = client.get_object().bucket("lake").key("k").send().await.unwrap();
        let length = answer.content_length.unwrap();
        (length, answer.body.collect().await.map(aws_sdk_s3::primitives::AggregatedBytes::to_vec))
    };
    proxy.set(only(ProxyFault::CutOff));
    let (length, bytes) = read().await;
    assert!(length == 2000 && bytes.is_err());
    proxy.set(only(ProxyFault::Shortened));
    let (length, bytes) = read().await;
    let bytes = bytes.unwrap();
    assert!(length == i64::try_from(bytes.len()).unwrap() && content.starts_with(&bytes));
    assert!(bytes.len() < content.len());
    proxy.set(only(ProxyFault::FlippedByte));
    let bytes = read().await.1.unwrap();
    assert_eq!(bytes.iter().zip(&content).filter(|(one, two)| one != two).count(), 1);
    proxy.set(only(ProxyFault::SlowBody).pausing(Duration::from_millis(30)));
    let start = Instant::now();
    assert_eq!(read().await.1.unwrap(), content);
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn writes_are_answered_with_a_wrong_etag_and_a_wrong_date() {
    let server = TestS3::start().await;
    let (proxy, client) = before(&server).await;
    let right = put(&client, "lake", "k", "v").await;
    proxy.set(only(ProxyFault::WrongEtag));
    let wrong = put(&client, "lake", "k", "v").await;
    assert!(wrong.len() == right.len() && wrong != right, "{wrong}");
    let copy =
        client.copy_object().bucket("lake").key("c").copy_source("lake/k").send().await.unwrap();
    assert_ne!(copy.copy_object_result.unwrap().e_tag.unwrap(), right);
    proxy.set(only(ProxyFault::SkewedDate));
    assert_eq!(put(&client, "lake", "k", "v").await, right);
}

#[tokio::test]
async fn a_page_begins_as_the_one_before_it_ended() {
    let server = TestS3::start().await;
    let (proxy, client) = before(&server).await;
    proxy.set(only(ProxyFault::Repeated));
    for key in ["a", "b&", "c", "d"] {
        server.state().put("lake", key, "v");
    }
    let mut keys = Vec::new();
    let mut token = None;
    loop {
        let page = client.list_objects_v2().bucket("lake").max_keys(2);
        let page = page.set_continuation_token(token).send().await.unwrap();
        keys.extend(page.contents().iter().filter_map(|it| it.key.clone()));
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["a", "b&", "b&", "c", "d"]);
}
