//! Objects: reading, writing, conditions, checksums, parts, encryption, tags.

use crate::{admin, get, no, put, refused};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
    StorageClass, Tag, Tagging,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use windlass_testkit::{TestS3, TestS3Options};

#[tokio::test]
async fn buckets_are_made_found_and_removed() {
    let server = TestS3::start().await;
    let client = admin(&server);
    client.create_bucket().bucket("first").send().await.unwrap();
    let again = client.create_bucket().bucket("first").send().await;
    assert_eq!(refused(again), no(409, "BucketAlreadyOwnedByYou"));
    let head = client.head_bucket().bucket("first").send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let names = client.list_buckets().send().await.unwrap();
    assert_eq!(names.buckets().iter().filter_map(|it| it.name()).collect::<Vec<_>>(), ["first"]);
    put(&client, "first", "k", "v").await;
    let full = client.delete_bucket().bucket("first").send().await;
    assert_eq!(refused(full), no(409, "BucketNotEmpty"));
    client.delete_object().bucket("first").key("k").send().await.unwrap();
    client.delete_bucket().bucket("first").send().await.unwrap();
    assert_eq!(refused(client.head_bucket().bucket("first").send().await).0, 404);
}

#[tokio::test]
async fn an_object_keeps_its_headers_and_its_ranges_are_exact() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("one");
    client
        .put_object()
        .bucket("one")
        .key("k")
        .body(ByteStream::from_static(b"0123456789"))
        .content_type("text/plain")
        .content_encoding("identity")
        .cache_control("no-store")
        .metadata("colour", "blå")
        .storage_class(StorageClass::StandardIa)
        .tagging("a=1&b=two%20words")
        .send()
        .await
        .unwrap();
    let head = client.head_object().bucket("one").key("k").send().await.unwrap();
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.content_type(), Some("text/plain"));
    assert_eq!(head.content_encoding(), Some("identity"));
    assert_eq!(head.cache_control(), Some("no-store"));
    assert_eq!(head.storage_class(), Some(&StorageClass::StandardIa));
    assert_eq!(head.e_tag(), Some("\"781e5e245d69b566979b86e28d23f2c7\""));
    let info = server.state().info("one", "k").unwrap();
    assert_eq!(info.metadata["colour"], "blå");
    assert_eq!(info.tags[1], ("b".to_owned(), "two words".to_owned()));
    for (range, expected) in
        [("bytes=2-4", "234"), ("bytes=8-", "89"), ("bytes=-3", "789"), ("bytes=5-99", "56789")]
    {
        let read = client.get_object().bucket("one").key("k").range(range).send().await.unwrap();
        assert!(read.content_range().unwrap().ends_with("/10"));
        assert_eq!(read.tag_count(), Some(2));
        assert_eq!(read.body.collect().await.unwrap().to_vec(), expected.as_bytes(), "{range}");
    }
    let beyond = client.get_object().bucket("one").key("k").range("bytes=10-").send().await;
    assert_eq!(refused(beyond), no(416, "InvalidRange"));
    let attributes = client
        .get_object_attributes()
        .bucket("one")
        .key("k")
        .object_attributes(aws_sdk_s3::types::ObjectAttributes::ObjectSize)
        .send()
        .await
        .unwrap();
    assert_eq!(attributes.object_size(), Some(10));
}

#[tokio::test]
async fn conditions_hold_on_reads_writes_and_deletions() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("when");
    let write = || client.put_object().bucket("when").key("k").body(ByteStream::from_static(b"v"));
    write().if_none_match("*").send().await.unwrap();
    assert_eq!(refused(write().if_none_match("*").send().await), no(412, "PreconditionFailed"));
    let etag = server.state().info("when", "k").unwrap().etag;
    write().if_match(format!("\"{etag}\"")).send().await.unwrap();
    assert_eq!(refused(write().if_match("\"other\"").send().await), no(412, "PreconditionFailed"));
    assert_eq!(
        refused(write().key("new").if_match(etag.clone()).send().await),
        no(404, "NoSuchKey")
    );

    let read = || client.get_object().bucket("when").key("k");
    read().if_match(etag.clone()).send().await.unwrap();
    assert_eq!(refused(read().if_match("\"other\"").send().await), no(412, "PreconditionFailed"));
    assert_eq!(refused(read().if_none_match(etag.clone()).send().await).0, 304);
    let head =
        client.head_object().bucket("when").key("k").if_none_match(etag.clone()).send().await;
    assert_eq!(refused(head).0, 304);
    assert_eq!(get(&client, "when", "k").await, b"v");

    let remove = || client.delete_object().bucket("when").key("k");
    assert_eq!(refused(remove().if_match("\"other\"").send().await), no(412, "PreconditionFailed"));
    remove().if_match(etag.clone()).send().await.unwrap();
    remove().if_match(etag).send().await.unwrap();
}

#[tokio::test]
async fn checksums_of_every_algorithm_are_verified_kept_and_given_back() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("sums");
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let name = algorithm.as_str().to_lowercase();
        client
            .put_object()
            .bucket("sums")
            .key(&name)
            .checksum_algorithm(algorithm)
            .body(ByteStream::from_static(b"some bytes"))
            .send()
            .await
            .unwrap();
        let kept = server.state().info("sums", &name).unwrap().checksums;
        assert_eq!(kept.keys().collect::<Vec<_>>(), [&name]);
        let read = client
            .get_object()
            .bucket("sums")
            .key(&name)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .unwrap();
        assert_eq!(read.body.collect().await.unwrap().to_vec(), b"some bytes");
    }
    // A body of a file is streamed, and its checksum comes behind it.
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes: Vec<u8> = (0..300_000u32).map(|it| it.to_le_bytes()[1]).collect();
    std::fs::write(file.path(), &bytes).unwrap();
    let body = ByteStream::from_path(file.path()).await.unwrap();
    server.state().clear_requests();
    client.put_object().bucket("sums").key("file").body(body).send().await.unwrap();
    let sent = &server.state().requests()[0];
    assert_eq!(sent.header("x-amz-trailer"), Some("x-amz-checksum-crc32"));
    assert_eq!(server.state().get("sums", "file").unwrap(), bytes);
    let kept = server.state().info("sums", "file").unwrap();
    assert!(kept.checksums.contains_key("crc32"));
    assert_eq!(kept.content_encoding, None, "aws-chunked is of the way, not of the object");

    let write = || client.put_object().bucket("sums").key("k").body(ByteStream::from_static(b"x"));
    assert_eq!(
        refused(write().checksum_sha256(BASE64.encode([0; 32])).send().await),
        no(400, "BadDigest")
    );
    assert_eq!(
        refused(write().content_md5(BASE64.encode([0; 16])).send().await),
        no(400, "BadDigest")
    );
    assert_eq!(refused(write().content_md5("short").send().await), no(400, "InvalidDigest"));
}

async fn parts(
    client: &Client,
    bucket: &str,
    key: &str,
    bodies: &[&[u8]],
) -> (String, Vec<CompletedPart>) {
    let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = begun.upload_id().unwrap().to_owned();
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let part = client
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(&id)
            .part_number(number)
            .body(ByteStream::from(body.to_vec()))
            .send()
            .await
            .unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    (id, parts)
}

fn whole(parts: Vec<CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts)).build()
}

#[tokio::test]
async fn parts_become_one_object_with_the_etag_of_parts() {
    let server = TestS3::start_with(TestS3Options { min_part_size: 4, ..Default::default() }).await;
    let client = admin(&server);
    server.state().create_bucket("big");
    let (id, made) = parts(&client, "big", "k", &[b"aaaa", b"bbbb", b"c"]).await;
    let listed = client
        .list_parts()
        .bucket("big")
        .key("k")
        .upload_id(&id)
        .max_parts(2)
        .send()
        .await
        .unwrap();
    assert_eq!((listed.parts().len(), listed.is_truncated()), (2, Some(true)));
    let uploads = client.list_multipart_uploads().bucket("big").send().await.unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    let complete = |parts| {
        client
            .complete_multipart_upload()
            .bucket("big")
            .key("k")
            .upload_id(&id)
            .multipart_upload(whole(parts))
            .send()
    };
    let mut turned = made.clone();
    turned.reverse();
    assert_eq!(refused(complete(turned).await), no(400, "InvalidPartOrder"));
    let mut wrong = made.clone();
    wrong[1] = CompletedPart::builder().part_number(2).e_tag("\"x\"").build();
    assert_eq!(refused(complete(wrong).await), no(400, "InvalidPart"));
    let done = complete(made).await.unwrap();
    let mut md5 = Md5::new();
    for body in ["aaaa", "bbbb", "c"] {
        md5.update(Md5::digest(body));
    }
    let expected: Vec<String> = md5.finalize().iter().map(|it| format!("{it:02x}")).collect();
    let expected = expected.concat();
    assert_eq!(done.e_tag(), Some(format!("\"{expected}-3\"").as_str()));
    assert_eq!(get(&client, "big", "k").await, b"aaaabbbbc");
    let part = client.get_object().bucket("big").key("k").part_number(2).send().await.unwrap();
    assert_eq!(part.parts_count(), Some(3));
    assert_eq!(part.body.collect().await.unwrap().to_vec(), b"bbbb");
    assert!(server.state().uploads("big").is_empty());
    assert_eq!(refused(complete(Vec::new()).await), no(404, "NoSuchUpload"));

    let (id, made) = parts(&client, "big", "small", &[b"a", b"b"]).await;
    let small = client.complete_multipart_upload().bucket("big").key("small").upload_id(&id);
    let small = small.multipart_upload(whole(made)).send().await;
    assert_eq!(refused(small), no(400, "EntityTooSmall"));
    client.abort_multipart_upload().bucket("big").key("small").upload_id(&id).send().await.unwrap();
    assert!(server.state().uploads("big").is_empty());
}

#[tokio::test]
async fn an_object_of_a_customers_key_opens_only_with_it() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("locked");
    let key = |byte: u8| (BASE64.encode([byte; 32]), BASE64.encode(Md5::digest([byte; 32])));
    let (own, own_md5) = key(1);
    let put =
        client.put_object().bucket("locked").key("k").body(ByteStream::from_static(b"secret"));
    let put =
        put.sse_customer_algorithm("AES256").sse_customer_key(&own).sse_customer_key_md5(&own_md5);
    let answer = put.send().await.unwrap();
    assert_eq!(answer.sse_customer_key_md5(), Some(own_md5.as_str()));
    assert_ne!(
        answer.e_tag(),
        Some("\"5ebe2294ecd0e0f08eab7690d2a6ee69\""),
        "not the content's MD5"
    );
    let read = |(key, md5): (String, String)| {
        let read = client.get_object().bucket("locked").key("k").sse_customer_algorithm("AES256");
        read.sse_customer_key(key).sse_customer_key_md5(md5).send()
    };
    let opened = read(key(1)).await.unwrap();
    assert_eq!(opened.body.collect().await.unwrap().to_vec(), b"secret");
    assert_eq!(refused(read(key(2)).await), no(400, "InvalidRequest"));
    assert_eq!(refused(read((own, key(2).1)).await), no(400, "InvalidArgument"));
    let bare = client.get_object().bucket("locked").key("k").send().await;
    assert_eq!(refused(bare), no(400, "InvalidRequest"));
    assert_eq!(refused(client.head_object().bucket("locked").key("k").send().await).0, 400);
    let shown = format!("{:?}", server.state().requests());
    assert!(!shown.contains(&key(1).0), "the log keeps no key");
}

#[tokio::test]
async fn encryption_of_the_service_is_echoed() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().create_bucket("kms");
    let write = || client.put_object().bucket("kms").key("k").body(ByteStream::from_static(b"x"));
    let arn = "arn:aws:kms:us-east-1:000000000000:key/abc";
    write()
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id(arn)
        .send()
        .await
        .unwrap();
    let head = client.head_object().bucket("kms").key("k").send().await.unwrap();
    assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    assert_eq!(head.ssekms_key_id(), Some(arn));
    write().server_side_encryption(ServerSideEncryption::Aes256).send().await.unwrap();
    assert_eq!(server.state().info("kms", "k").unwrap().encryption.as_deref(), Some("AES256"));
    assert_eq!(refused(write().ssekms_key_id(arn).send().await), no(400, "InvalidArgument"));
}

#[tokio::test]
async fn tags_of_objects_and_buckets_can_be_set_read_and_removed() {
    let server = TestS3::start().await;
    let client = admin(&server);
    server.state().put("tags", "k", "v");
    let tags = |names: &[&str]| {
        let tag = |name: &&str| Tag::builder().key(*name).value("v").build().unwrap();
        Tagging::builder().set_tag_set(Some(names.iter().map(tag).collect())).build().unwrap()
    };
    let set = |names: &[&str]| {
        client.put_object_tagging().bucket("tags").key("k").tagging(tags(names)).send()
    };
    set(&["a", "b"]).await.unwrap();
    let read = client.get_object_tagging().bucket("tags").key("k").send().await.unwrap();
    assert_eq!(read.tag_set().len(), 2);
    assert_eq!(refused(set(&["a", "a"]).await), no(400, "InvalidTag"));
    client.delete_object_tagging().bucket("tags").key("k").send().await.unwrap();
    assert!(server.state().info("tags", "k").unwrap().tags.is_empty());
    let none = client.get_bucket_tagging().bucket("tags").send().await;
    assert_eq!(refused(none), no(404, "NoSuchTagSet"));
    client.put_bucket_tagging().bucket("tags").tagging(tags(&["team"])).send().await.unwrap();
    assert_eq!(client.get_bucket_tagging().bucket("tags").send().await.unwrap().tag_set().len(), 1);
}
