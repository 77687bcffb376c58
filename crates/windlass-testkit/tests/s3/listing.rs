//! Listing: order, folders, pages, encoding, versions.

use crate::{admin, no, put, refused};
use aws_sdk_s3::types::{BucketVersioningStatus, EncodingType, VersioningConfiguration};
use std::time::{Duration, Instant};
use windlass_testkit::TestS3;

const WEIRD: [&str; 14] = [
    "//",
    "/leading",
    ".",
    "..",
    "a",
    "a/",
    "a/./b",
    "a//b",
    "dir/trailing/",
    "plus+and space&?#%25",
    "q?and#/z.txt",
    "tab\tline\nbell\u{7}",
    "é/\u{10FFFF}",
    "~tilde",
];

#[tokio::test]
async fn keys_are_exact_however_strange() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("weird");
    for key in WEIRD {
        put(&client, "weird", key, key.as_bytes()).await;
    }
    let mut sorted: Vec<String> = WEIRD.iter().map(|it| (*it).to_owned()).collect();
    sorted.sort();
    assert_eq!(server.state().keys("weird"), sorted);
    for key in WEIRD {
        assert_eq!(crate::get(&client, "weird", key).await, key.as_bytes(), "{key:?}");
    }
    let encoding = EncodingType::Url;
    let page =
        client.list_objects_v2().bucket("weird").encoding_type(encoding).send().await.unwrap();
    let listed: Vec<_> = page.contents().iter().filter_map(|it| it.key()).map(decoded).collect();
    assert_eq!(listed, sorted);
    for key in WEIRD {
        client.delete_object().bucket("weird").key(key).send().await.unwrap();
    }
    assert!(server.state().keys("weird").is_empty());
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn folders_pages_and_start_after_agree() {
    let server = TestS3::start().await;
    let client = admin(&server);
    for key in ["a", "a/", "a/1", "a/2/x", "b-1", "b/1", "b0", "c/1"] {
        server.state().put("lake", key, key);
    }
    let (mut token, mut seen) = (None::<String>, Vec::new());
    loop {
        let page = client
            .list_objects_v2()
            .bucket("lake")
            .delimiter("/")
            .max_keys(2)
            .set_continuation_token(token)
            .send()
            .await
            .unwrap();
        seen.extend(page.contents().iter().filter_map(|it| it.key().map(str::to_owned)));
        seen.extend(page.common_prefixes().iter().filter_map(|it| it.prefix().map(str::to_owned)));
        assert_eq!(page.key_count(), Some(2));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["a", "a/", "b-1", "b/", "b0", "c/"]);

    let page = client.list_objects_v2().bucket("lake").start_after("b-1").send().await.unwrap();
    let keys: Vec<_> = page.contents().iter().filter_map(|it| it.key()).collect();
    assert_eq!(keys, ["b/1", "b0", "c/1"]);

    // The first version of the operation goes on behind its marker.
    let page =
        client.list_objects().bucket("lake").delimiter("/").max_keys(2).send().await.unwrap();
    assert_eq!(page.next_marker(), Some("a/"));
    let page =
        client.list_objects().bucket("lake").delimiter("/").marker("a/").send().await.unwrap();
    assert_eq!(page.common_prefixes().len(), 2);
    assert_eq!(page.contents().len(), 2);

    let page = client.list_objects_v2().bucket("lake").max_keys(0).send().await.unwrap();
    assert_eq!((page.contents().len(), page.is_truncated()), (0, Some(false)));
    let bad = client.list_objects_v2().bucket("lake").continuation_token("x").send().await;
    assert_eq!(refused(bad), no(400, "InvalidArgument"));
    let missing = client.list_objects_v2().bucket("nowhere").send().await;
    assert_eq!(refused(missing), no(404, "NoSuchBucket"));
}

#[tokio::test]
async fn a_hundred_thousand_keys_list_in_order_and_a_folder_level_in_no_time() {
    let server = TestS3::start().await;
    let client = admin(&server);
    for number in 0..100_000 {
        server.state().put("big", &format!("f{:02}/{number:06}", number % 50), "");
    }
    let (mut token, mut last, mut count) = (None::<String>, String::new(), 0);
    loop {
        let page = client.list_objects_v2().bucket("big").set_continuation_token(token).send();
        let page = page.await.unwrap();
        for key in page.contents().iter().filter_map(|it| it.key()) {
            assert!(last.as_str() < key);
            key.clone_into(&mut last);
            count += 1;
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(count, 100_000);
    let start = Instant::now();
    let page = client.list_objects_v2().bucket("big").delimiter("/").send().await.unwrap();
    assert_eq!(page.common_prefixes().len(), 50);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[tokio::test]
async fn versions_are_kept_listed_and_read() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("kept");
    let enabled =
        VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let set = client.put_bucket_versioning().bucket("kept").versioning_configuration(enabled);
    set.send().await.unwrap();
    put(&client, "kept", "k", "one").await;
    put(&client, "kept", "k", "two").await;
    put(&client, "kept", "l", "other").await;
    let gone = client.delete_object().bucket("kept").key("k").send().await.unwrap();
    assert_eq!(gone.delete_marker(), Some(true));
    assert_eq!(server.state().keys("kept"), ["l"]);
    let missing = client.get_object().bucket("kept").key("k").send().await;
    assert_eq!(refused(missing), no(404, "NoSuchKey"));

    // Every page size shows the same rows.
    for size in 1..6 {
        let (mut rows, mut key, mut id) = (Vec::new(), None::<String>, None::<String>);
        loop {
            let page = client
                .list_object_versions()
                .bucket("kept")
                .max_keys(size)
                .set_key_marker(key)
                .set_version_id_marker(id)
                .send()
                .await
                .unwrap();
            let row =
                |key: Option<&str>, id: Option<&str>| format!("{}@{}", key.unwrap(), id.unwrap());
            rows.extend(page.versions().iter().map(|it| row(it.key(), it.version_id())));
            rows.extend(page.delete_markers().iter().map(|it| row(it.key(), it.version_id())));
            key = page.next_key_marker().map(str::to_owned);
            id = page.next_version_id_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) {
                break;
            }
        }
        rows.sort();
        rows.dedup();
        assert_eq!(rows.len(), 4, "{size}: {rows:?}");
    }

    let all = client.list_object_versions().bucket("kept").prefix("k").send().await.unwrap();
    let oldest = all.versions().last().unwrap().version_id().unwrap();
    let read = client.get_object().bucket("kept").key("k").version_id(oldest).send().await.unwrap();
    assert_eq!(read.body.collect().await.unwrap().to_vec(), b"one");
    let marker = gone.version_id().unwrap();
    client.delete_object().bucket("kept").key("k").version_id(marker).send().await.unwrap();
    assert_eq!(crate::get(&client, "kept", "k").await, b"two");
    let full = client.delete_bucket().bucket("kept").send().await;
    assert_eq!(refused(full), no(409, "BucketNotEmpty"));
}
