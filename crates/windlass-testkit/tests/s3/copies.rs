//! Copies within the service, and deletions of many.

use crate::{admin, client, get, no, refused};
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, Delete, MetadataDirective, ObjectIdentifier,
};
use windlass_testkit::{PutOptions, TestIdentity, TestS3, TestS3Options};

#[tokio::test]
async fn a_copy_keeps_or_replaces_what_is_said_about_the_object() {
    let server = TestS3::start().await;
    let client = admin(&server);
    let options = PutOptions {
        content_type: Some("text/csv".to_owned()),
        metadata: vec![("from".to_owned(), "here".to_owned())],
        tags: vec![("t".to_owned(), "1".to_owned())],
        ..PutOptions::default()
    };
    let etag = server.state().put_with("src", "a b/+é.csv", "1,2", options);
    server.state().create_bucket("dst");
    let copy = |key: &str| {
        client.copy_object().copy_source("src/a%20b/%2B%C3%A9.csv").bucket("dst").key(key)
    };
    let done = copy("kept").copy_source_if_match(&etag).send().await.unwrap();
    assert_eq!(done.copy_object_result().unwrap().e_tag(), Some(format!("\"{etag}\"").as_str()));
    let kept = server.state().info("dst", "kept").unwrap();
    assert_eq!((kept.content_type.as_deref(), kept.tags.len()), (Some("text/csv"), 1));
    assert_eq!(kept.metadata["from"], "here");
    let replace = MetadataDirective::Replace;
    copy("new").metadata_directive(replace).metadata("by", "me").send().await.unwrap();
    let new = server.state().info("dst", "new").unwrap();
    assert_eq!((new.content_type, new.metadata.len()), (None, 1));

    assert_eq!(
        refused(copy("no").copy_source_if_match("\"x\"").send().await),
        no(412, "PreconditionFailed")
    );
    assert_eq!(
        refused(copy("kept").if_none_match("*").send().await),
        no(412, "PreconditionFailed")
    );
    let itself =
        client.copy_object().copy_source("dst/kept").bucket("dst").key("kept").send().await;
    assert_eq!(refused(itself), no(400, "InvalidRequest"));
    let missing = client.copy_object().copy_source("src/none").bucket("dst").key("k").send().await;
    assert_eq!(refused(missing), no(404, "NoSuchKey"));
}

#[tokio::test]
async fn what_is_too_large_for_one_copy_is_copied_in_parts() {
    let options = TestS3Options { max_copy_size: 8, min_part_size: 4, ..Default::default() };
    let server = TestS3::start_with(options).await;
    let client = admin(&server);
    server.state().put("src", "large", "0123456789");
    server.state().create_bucket("dst");
    let once = client.copy_object().copy_source("src/large").bucket("dst").key("k").send().await;
    assert_eq!(refused(once), no(400, "InvalidRequest"));
    let begun = client.create_multipart_upload().bucket("dst").key("k").send().await.unwrap();
    let id = begun.upload_id().unwrap();
    let part = |number, range: &str| {
        let part = client.upload_part_copy().copy_source("src/large").copy_source_range(range);
        part.bucket("dst").key("k").upload_id(id).part_number(number).send()
    };
    let mut parts = Vec::new();
    for (number, range) in [(1, "bytes=0-4"), (2, "bytes=5-9")] {
        let etag = part(number, range).await.unwrap().copy_part_result.unwrap().e_tag;
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
    }
    assert_eq!(refused(part(3, "bytes=5-10").await), no(400, "InvalidArgument"));
    let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket("dst").key("k").upload_id(id);
    complete.multipart_upload(all).send().await.unwrap();
    assert_eq!(get(&client, "dst", "k").await, b"0123456789");
}

#[tokio::test]
async fn a_copy_needs_the_right_to_read_its_source() {
    let writer = TestIdentity::new("WRITER", "secret").write(["dst"]);
    let server =
        TestS3::start_with(TestS3Options { identities: vec![writer], ..Default::default() }).await;
    server.state().put("src", "k", "v");
    server.state().create_bucket("dst");
    let client = client(&server.endpoint(), "WRITER", "secret", None);
    let copy = client.copy_object().copy_source("src/k").bucket("dst").key("k").send().await;
    assert_eq!(refused(copy), no(403, "AccessDenied"));
}

#[tokio::test]
async fn a_deletion_of_many_answers_for_each_key() {
    let writer = TestIdentity::new("WRITER", "secret").write(["lake/mine/*"]);
    let server =
        TestS3::start_with(TestS3Options { identities: vec![writer], ..Default::default() }).await;
    for key in ["mine/1", "mine/2", "theirs/1"] {
        server.state().put("lake", key, "v");
    }
    let etag = server.state().info("lake", "mine/1").unwrap().etag;
    let client = client(&server.endpoint(), "WRITER", "secret", None);
    let object = |key: &str, etag: Option<&str>| {
        ObjectIdentifier::builder().key(key).set_e_tag(etag.map(str::to_owned)).build().unwrap()
    };
    let delete = Delete::builder()
        .objects(object("mine/1", Some(&etag)))
        .objects(object("mine/2", Some("\"changed\"")))
        .objects(object("mine/none", None))
        .objects(object("theirs/1", None))
        .build()
        .unwrap();
    let done = client.delete_objects().bucket("lake").delete(delete).send().await.unwrap();
    let deleted: Vec<_> = done.deleted().iter().filter_map(|it| it.key()).collect();
    assert_eq!(deleted, ["mine/1", "mine/none"]);
    let errors: Vec<_> =
        done.errors().iter().map(|it| (it.key().unwrap(), it.code().unwrap())).collect();
    assert_eq!(errors, [("mine/2", "PreconditionFailed"), ("theirs/1", "AccessDenied")]);
    assert_eq!(server.state().keys("lake"), ["mine/2", "theirs/1"]);
}
