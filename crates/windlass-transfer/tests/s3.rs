//! Copies through a real S3 client against the S3 of the tests, with its faults.

use bytes::Bytes;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use windlass_s3::local::local_side;
use windlass_s3::{ForgetfulRegions, S3Store, Secrets};
use windlass_testkit::{Fault, FaultKind, TestS3};
use windlass_transfer::{
    CopyOptions, CopyRequest, DiffOptions, Item, Progress, Quiet, Side, Summary, copy, copy_stream,
    diff, du, read_to,
};
use windlass_types::{ErrorCode, Location, Name, OptionMap, OptionValue, Result, S3Spec};

const LARGE: usize = 20 << 20;

fn body(size: usize) -> Bytes {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect::<Vec<_>>().into()
}

fn side(s3: &TestS3, path: &str, more: &[(&str, OptionValue)]) -> Side {
    named(s3, "landing", path, more)
}

/// The same behind a connection of this name.
fn named(s3: &TestS3, name: &str, path: &str, more: &[(&str, OptionValue)]) -> Side {
    let (id, secret) = s3.admin();
    let mut options: OptionMap = [
        ("ENDPOINT", OptionValue::Text(s3.endpoint())),
        ("ALLOW_HTTP", OptionValue::Bool(true)),
        ("AWS_ACCESS_KEY_ID", OptionValue::Text(id.clone())),
        ("AWS_SECRET_ACCESS_KEY", OptionValue::Text(secret.clone())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (name, value) in more {
        options.insert((*name).to_owned(), value.clone());
    }
    let secrets = Secrets {
        access_key_id: Some(id.into()),
        secret_access_key: Some(secret.into()),
        customer_key: more.iter().find_map(|(name, value)| match value {
            OptionValue::Text(key) if *name == "ENCRYPTION_CUSTOMER_MANAGED_KEY" => {
                Some(key.clone().into())
            }
            _ => None,
        }),
        ..Secrets::default()
    };
    let spec = S3Spec::build(&options).unwrap();
    let name = Name::new(name).unwrap();
    let storage = Arc::new(S3Store::open(name, spec, secrets, Arc::new(ForgetfulRegions)).unwrap());
    let (bucket, key) = path.split_once('/').unwrap();
    Side { storage, location: Location { bucket: Some(bucket.into()), key: key.into() } }
}

fn folder(path: &std::path::Path, below: &str) -> Side {
    let (store, location) = local_side(&path.join(below)).unwrap();
    Side { storage: Arc::new(store), location }
}

#[derive(Default)]
struct Lines(Mutex<Vec<Item>>);

impl Progress for Lines {
    fn item(&self, item: &Item) {
        self.0.lock().unwrap().push(item.clone());
    }
}

async fn go(source: Side, destination: Side, move_: bool) -> (Result<Summary>, Vec<Item>) {
    let lines = Arc::new(Lines::default());
    let options = CopyOptions { delete_source: move_, ..CopyOptions::default() };
    let request = CopyRequest::new(source, destination, options);
    let done = copy(request, Arc::clone(&lines) as _, CancellationToken::new()).await;
    let items = std::mem::take(&mut *lines.0.lock().unwrap());
    (done, items)
}

async fn start() -> TestS3 {
    let s3 = TestS3::start().await;
    for bucket in ["lake", "copy"] {
        s3.state().create_bucket(bucket);
    }
    s3
}

#[tokio::test]
async fn a_tree_goes_down_to_a_folder_and_up_again() {
    let s3 = start().await;
    for (key, size) in [("t/empty.txt", 0), ("t/a b/ü.csv", 1000), ("t/large.bin", LARGE)] {
        s3.state().put("lake", key, body(size));
    }
    let root = tempfile::tempdir().unwrap();
    let (done, items) = go(side(&s3, "lake/t/", &[]), folder(root.path(), "down/"), false).await;
    assert_eq!(done.unwrap().copied, 3, "{items:?}");
    assert_eq!(std::fs::read(root.path().join("down/large.bin")).unwrap(), body(LARGE));
    let (done, items) = go(folder(root.path(), "down/"), side(&s3, "copy/up/", &[]), false).await;
    assert_eq!(done.unwrap().copied, 3, "{items:?}");
    assert_eq!(s3.state().get("copy", "up/large.bin").unwrap(), body(LARGE));
    assert!(s3.state().count("UploadPart") >= 3, "large objects go in parts");
    assert!(s3.state().uploads("copy").is_empty());
    assert_eq!(du(side(&s3, "copy/", &[])).await.unwrap().total.bytes, 1000 + LARGE as u64);
    let differences: Vec<_> = futures::StreamExt::collect::<Vec<_>>(diff(
        folder(root.path(), "down/"),
        side(&s3, "lake/t/", &[]),
        DiffOptions::default(),
    ))
    .await;
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test]
async fn inside_the_service_and_by_move() {
    let s3 = start().await;
    for (key, size) in [("t/1", 10), ("t/2", LARGE)] {
        s3.state().put("lake", key, body(size));
    }
    let (done, items) = go(side(&s3, "lake/t/", &[]), side(&s3, "copy/", &[]), true).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.deleted, done.failed), (2, 2, 0), "{items:?}");
    assert_eq!((s3.state().count("GetObject"), s3.state().count("CopyObject")), (0, 2));
    assert!(s3.state().keys("lake").is_empty());
    assert_eq!(s3.state().get("copy", "2").unwrap(), body(LARGE));
}

fn bound(bucket: &str) -> [(&'static str, OptionValue); 1] {
    [("BUCKET", OptionValue::Text(bucket.to_owned()))]
}

#[tokio::test]
async fn inside_the_service_also_between_connections_that_are_bound_elsewhere() {
    let s3 = start().await;
    for (key, size) in [("t/1", 10), ("t/2", 1000)] {
        s3.state().put("lake", key, body(size));
    }
    let from = || named(&s3, "one", "lake/t/", &bound("lake"));
    let (done, items) = go(from(), named(&s3, "two", "copy/", &bound("copy")), false).await;
    assert_eq!(done.unwrap().copied, 2, "{items:?}");
    assert_eq!((s3.state().count("GetObject"), s3.state().count("CopyObject")), (0, 2));
    assert_eq!(s3.state().get("copy", "2").unwrap(), body(1000));
    // What one connection is called says nothing of where the other leads.
    let (refused, _) = go(from(), named(&s3, "two", "lake/t/below/", &bound("lake")), false).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PathInvalid);
}

#[tokio::test]
async fn what_the_service_denies_to_copy_streams() {
    let s3 = start().await;
    for key in 0..40 {
        s3.state().put("lake", &format!("t/{key}"), body(100 + key));
    }
    let denied = FaultKind::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "Access Denied".to_owned(),
    };
    s3.state().add_fault(Fault::new("CopyObject", denied).always());
    let (done, items) = go(side(&s3, "lake/t/", &[]), side(&s3, "copy/", &[]), false).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.failed), (40, 0), "{items:?}");
    assert_eq!(s3.state().get("copy", "39").unwrap(), body(139));
}

#[tokio::test]
async fn a_sync_deletes_under_conditions_and_all_in_few_requests() {
    let s3 = start().await;
    s3.state().put("lake", "t/k", "k");
    for key in 0..50 {
        s3.state().put("copy", &format!("t/{key}"), "old");
    }
    let options = CopyOptions { sync: true, delete: true, ..CopyOptions::default() };
    let request = CopyRequest::new(side(&s3, "lake/t/", &[]), side(&s3, "copy/t/", &[]), options);
    let done = copy(request, Arc::new(Quiet), CancellationToken::new()).await.unwrap();
    assert_eq!((done.copied, done.deleted), (1, 50));
    assert_eq!(s3.state().keys("copy"), ["t/k"]);
    assert_eq!((s3.state().count("DeleteObjects"), s3.state().count("DeleteObject")), (2, 0));
}

#[tokio::test]
async fn a_wrong_byte_on_the_way_is_healed_or_named() {
    for size in [1000, LARGE] {
        let s3 = start().await;
        s3.state().put("lake", "t/x", body(size));
        s3.state().put("lake", "t/y", "good");
        s3.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte).on_key("t/x"));
        let root = tempfile::tempdir().unwrap();
        let (done, items) = go(side(&s3, "lake/t/", &[]), folder(root.path(), "a/"), false).await;
        assert_eq!(done.unwrap().copied, 2, "{items:?}");
        assert_eq!(std::fs::read(root.path().join("a/x")).unwrap(), body(size));
        let fault = Fault::new("GetObject", FaultKind::CorruptByte).on_key("t/x").always();
        s3.state().add_fault(fault);
        let (done, items) = go(side(&s3, "lake/t/", &[]), folder(root.path(), "b/"), false).await;
        let done = done.unwrap();
        assert_eq!((done.copied, done.failed), (1, 1), "{items:?}");
        let names: Vec<_> = std::fs::read_dir(root.path().join("b"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["y"], "nothing unfinished is left");
        let (done, _) = go(side(&s3, "lake/t/x", &[]), folder(root.path(), "c/"), false).await;
        assert_eq!(done.unwrap_err().code(), ErrorCode::ObjectCorrupt);
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_read_again() {
    let s3 = start().await;
    s3.state().put("lake", "t/x", body(1000));
    s3.state().put("lake", "t/y", body(LARGE));
    for kind in [FaultKind::Close, FaultKind::Truncate, FaultKind::SlowDown] {
        s3.state().add_fault(Fault::new("GetObject", kind).times(2));
        let root = tempfile::tempdir().unwrap();
        let (done, items) = go(side(&s3, "lake/t/", &[]), folder(root.path(), "a/"), false).await;
        assert_eq!(done.unwrap().copied, 2, "{items:?}");
        assert_eq!(std::fs::read(root.path().join("a/y")).unwrap(), body(LARGE));
    }
}

#[tokio::test]
async fn encrypted_with_a_key_of_ones_own_and_verified_all_the_same() {
    let s3 = start().await;
    let key = OptionValue::Text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned());
    let options = [("ENCRYPTION_CUSTOMER_MANAGED_KEY", key)];
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("small"), body(100)).unwrap();
    std::fs::write(root.path().join("large"), body(LARGE)).unwrap();
    let (done, items) = go(folder(root.path(), "./"), side(&s3, "lake/e/", &options), false).await;
    assert_eq!(done.unwrap().copied, 2, "{items:?}");
    let (done, items) =
        go(side(&s3, "lake/e/", &options), folder(root.path(), "back/"), false).await;
    assert_eq!(done.unwrap().copied, 2, "{items:?}");
    assert_eq!(std::fs::read(root.path().join("back/large")).unwrap(), body(LARGE));
    let (done, items) =
        go(side(&s3, "lake/e/", &options), side(&s3, "copy/e/", &options), false).await;
    assert_eq!(done.unwrap().copied, 2, "{items:?}");
}

#[tokio::test]
async fn what_is_copied_is_encrypted_as_its_destination_says() {
    let customer =
        |key: &str| vec![("ENCRYPTION_CUSTOMER_MANAGED_KEY", OptionValue::Text(key.to_owned()))];
    let plain = Vec::new();
    let one = customer("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    let two = customer("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY=");
    let kms = vec![("ENCRYPTION_KMS_KEY", OptionValue::Text("k1".to_owned()))];
    let (near, far) = (start().await, start().await);
    let root = tempfile::tempdir().unwrap();
    let sizes = [("small", 100), ("large", LARGE)];
    for (name, size) in sizes {
        std::fs::write(root.path().join(name), body(size)).unwrap();
    }
    for (name, from, to, said) in [
        ("plain-one", &plain, &one, Some("SSE-C")),
        ("one-plain", &one, &plain, None),
        ("one-two", &one, &two, Some("SSE-C")),
        ("plain-kms", &plain, &kms, Some("aws:kms")),
        ("kms-plain", &kms, &plain, None),
        ("kms-one", &kms, &one, Some("SSE-C")),
    ] {
        let source = format!("lake/{name}/");
        let (done, items) = go(folder(root.path(), "./"), side(&near, &source, from), false).await;
        assert_eq!(done.unwrap().copied, 2, "{items:?}");
        for (service, place, move_) in
            [(&near, "near", false), (&far, "far", false), (&near, "moved", true)]
        {
            let what = format!("{name} {place}");
            let target = side(service, &format!("copy/{name}/{place}/"), to);
            let (done, items) = go(side(&near, &source, from), target, move_).await;
            let done = done.unwrap();
            assert_eq!((done.copied, done.failed), (2, 0), "{what}: {items:?}");
            for (key, size) in sizes {
                let key = format!("{name}/{place}/{key}");
                let info = service.state().info("copy", &key).unwrap();
                assert_eq!(info.encryption.as_deref(), said, "{what}");
                assert_eq!(info.kms_key.is_some(), said == Some("aws:kms"), "{what}");
                assert!(service.state().get("copy", &key).unwrap() == body(size), "{what}");
            }
        }
        let left = near.state().keys("lake");
        assert!(!left.iter().any(|key| key.starts_with(name)), "{left:?}");
        assert!(near.state().uploads("copy").is_empty() && far.state().uploads("copy").is_empty());
    }
    // It is the second key that opens what it sealed.
    let read = async |options: &[(&str, OptionValue)], below: &str| {
        let from = side(&near, "copy/one-two/moved/large", options);
        go(from, folder(root.path(), below), false).await.0
    };
    assert_eq!(read(&two[..], "two/").await.unwrap().copied, 1);
    assert_eq!(std::fs::read(root.path().join("two/large")).unwrap(), body(LARGE));
    assert!(read(&one[..], "one/").await.is_err() && read(&plain[..], "none/").await.is_err());
}

#[tokio::test]
async fn standard_input_and_output_and_a_missing_bucket() {
    let s3 = start().await;
    let quiet = || Arc::new(Quiet) as Arc<dyn Progress>;
    for size in [0, 10, LARGE] {
        let input = body(size);
        let to = side(&s3, "lake/in.bin", &[]);
        copy_stream(&input[..], to, quiet(), CancellationToken::new()).await.unwrap();
        let mut output = Vec::new();
        let from = side(&s3, "lake/in.bin", &[]);
        read_to(from, &mut output, None, quiet(), CancellationToken::new()).await.unwrap();
        assert!(output == body(size), "{size}");
    }
    s3.state().put("lake", "t/1", "1");
    let (done, _) = go(side(&s3, "lake/t/", &[]), side(&s3, "nowhere/", &[]), false).await;
    assert_eq!(done.unwrap_err().code(), ErrorCode::BucketNotFound);
}

#[tokio::test]
async fn excluded_folders_cost_hardly_more_than_a_plain_listing() {
    for folders in [20, 300] {
        let s3 = start().await;
        for n in 0..folders {
            s3.state().put("lake", &format!("t/users/{n:03}/a"), "1");
            s3.state().put("lake", &format!("t/users/{n:03}/tmp/b"), "1");
        }
        for exclude in ["users/*/tmp", "*/*/tmp/**"] {
            let root = tempfile::tempdir().unwrap();
            s3.state().clear_requests();
            let options =
                CopyOptions { exclude: vec![exclude.to_owned()], ..CopyOptions::default() };
            let (from, to) = (side(&s3, "lake/t/", &[]), folder(root.path(), "a/"));
            let request = CopyRequest::new(from, to, options);
            let done = copy(request, Arc::new(Quiet), CancellationToken::new()).await.unwrap();
            assert_eq!(done.copied, folders);
            let used = s3.state().count("ListObjectsV2");
            assert!(used <= 51, "{used} requests for {folders} folders under {exclude}");
        }
    }
}
