use super::*;
use bytes::BytesMut;
use futures::TryStreamExt;
use std::os::unix::fs::symlink;
use windlass_types::EntryKind;

fn store(root: &std::path::Path) -> LocalStore {
    let spec = LocalSpec { root: root.to_owned(), read_only: false, case_sensitive: None };
    LocalStore::open(Name::new("disk").unwrap(), spec).unwrap()
}

fn object(key: &str) -> ObjectPath {
    ObjectPath { bucket: ".".into(), key: key.into() }
}

async fn put(store: &LocalStore, key: &str, body: &str) -> PutResult {
    store
        .put(&object(key), Bytes::copy_from_slice(body.as_bytes()), PutOptions::default())
        .await
        .unwrap()
}

async fn text(store: &LocalStore, key: &str, options: GetOptions) -> Result<String> {
    let body = store.get(&object(key), options).await?;
    let bytes: BytesMut = body.stream.try_collect().await?;
    assert_eq!(body.length, bytes.len() as u64);
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

async fn list(store: &LocalStore, prefix: &str, options: ListOptions) -> Vec<String> {
    let location = Location { bucket: Some(".".into()), key: prefix.into() };
    let entries: Vec<Entry> = store.list(&location, options).try_collect().await.unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

fn deep() -> ListOptions {
    ListOptions { recursive: true, ..ListOptions::default() }
}

#[tokio::test]
async fn a_tree_lists_in_byte_order_of_whole_keys() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mut keys = vec!["x/B", "x/a/b!", "x/a/c", "x/a-b", "x/a.txt", "x/a0", "y", "x!"];
    for key in &keys {
        put(&store, key, key).await;
    }
    keys.sort_unstable();
    assert_eq!(list(&store, "", deep()).await, keys);
    assert_eq!(list(&store, "", ListOptions::default()).await, ["x!", "x/", "y"]);
    assert_eq!(
        list(&store, "x/a", ListOptions::default()).await,
        ["x/a-b", "x/a.txt", "x/a/", "x/a0"]
    );
    assert_eq!(list(&store, "x/a", deep()).await, ["x/a-b", "x/a.txt", "x/a/b!", "x/a/c", "x/a0"]);
    let after = ListOptions { start_after: Some("x/a/b!".into()), ..deep() };
    assert_eq!(list(&store, "", after).await, ["x/a/c", "x/a0", "y"]);
    assert!(list(&store, "nothing/here/", deep()).await.is_empty());
    assert!(list(&store, "y/", deep()).await.is_empty());
}

#[tokio::test]
async fn nothing_leaves_the_root() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "s").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(&store, "in/file", "1").await;
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("leak")).unwrap();
    symlink(folder.path().join("in"), folder.path().join("again")).unwrap();
    symlink(folder.path(), folder.path().join("in/loop")).unwrap();
    assert_eq!(list(&store, "", deep()).await, ["again/file", "in/file"]);
    for key in ["out/secret", "leak", "../secret", "/etc/hosts"] {
        let error = text(&store, key, GetOptions::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PathOutside, "{key}: {error:?}");
        let error = store.put(&object(key), Bytes::new(), PutOptions::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PathOutside, "{key}: {error:?}");
    }
    let error =
        store.put(&object("out/new"), Bytes::new(), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PathOutside);
    assert!(store.delete(&object("out/secret")).await.is_err());
    store.delete(&object("leak")).await.unwrap();
    assert!(outside.path().join("secret").exists());
    let location = Location { bucket: Some(".".into()), key: "out/".into() };
    assert!(store.list(&location, deep()).try_collect::<Vec<_>>().await.is_err());
    let other = ObjectPath { bucket: "b".into(), key: "in/file".into() };
    assert!(store.stat(&other, None).await.is_err());
}

#[tokio::test]
async fn a_file_is_read_in_one_state_and_in_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let written = put(&store, "a/f.txt", "0123456789").await;
    let meta = store.stat(&object("a/f.txt"), None).await.unwrap();
    assert_eq!((meta.size, &meta.etag), (10, &written.etag));
    let range = |range| GetOptions { range: Some(range), ..GetOptions::default() };
    let read = |options| text(&store, "a/f.txt", options);
    assert_eq!(read(range(ByteRange::Bounded(2, 3))).await.unwrap(), "234");
    assert_eq!(read(range(ByteRange::Bounded(8, 30))).await.unwrap(), "89");
    assert_eq!(read(range(ByteRange::From(9))).await.unwrap(), "9");
    assert_eq!(read(range(ByteRange::Last(2))).await.unwrap(), "89");
    let same = GetOptions { if_match: meta.etag.clone(), ..GetOptions::default() };
    assert_eq!(read(same.clone()).await.unwrap(), "0123456789");
    put(&store, "a/f.txt", "9876543210").await;
    assert_eq!(read(same).await.unwrap_err().code(), ErrorCode::ObjectChanged);
    assert_eq!(
        text(&store, "a", GetOptions::default()).await.unwrap_err().hint_text(),
        Some("for everything in it write `a/`")
    );
}

#[tokio::test]
async fn a_write_keeps_time_and_rights_and_respects_conditions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let time = "2024-02-03T04:05:06.5Z".parse().unwrap();
    let options = PutOptions { modified: Some(time), ..PutOptions::default() };
    store.put(&object("f"), Bytes::from("1"), options).await.unwrap();
    let meta = store.stat(&object("f"), None).await.unwrap();
    assert_eq!(meta.last_modified, Some(time));
    let path = folder.path().join("f");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let fresh = PutOptions { if_none_match: true, ..PutOptions::default() };
    let error = store.put(&object("f"), Bytes::from("2"), fresh).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectChanged);
    let options = PutOptions { if_match: meta.etag.clone(), ..PutOptions::default() };
    store.put(&object("f"), Bytes::from("3"), options.clone()).await.unwrap();
    assert!(store.put(&object("f"), Bytes::from("4"), options).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"3");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let error = store.put(&object("f/g"), Bytes::new(), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PathInvalid, "{error:?}");
    put(&store, "d/x", "").await;
    assert!(store.put(&object("d"), Bytes::new(), PutOptions::default()).await.is_err());
    put(&store, "empty/", "").await;
    assert!(folder.path().join("empty").is_dir());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left behind");
}

#[tokio::test]
async fn parts_make_a_file_in_any_order_and_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (name, parts) in [
        ("even", vec![(2, "bbb"), (1, "aaa"), (3, "c")]),
        ("last-first", vec![(3, "c"), (1, "aaa"), (2, "bbb")]),
        ("odd", vec![(1, "a"), (2, "bbbb"), (3, "")]),
        ("one", vec![(1, "")]),
    ] {
        let upload = store.create_upload(&object(name), PutOptions::default()).await.unwrap();
        let mut done = Vec::new();
        for (number, body) in &parts {
            done.push(store.upload_part(&upload, *number, Bytes::from(*body)).await.unwrap());
        }
        assert!(!list(&store, "", deep()).await.contains(&name.to_owned()));
        done.sort_by_key(|part| part.number);
        let mut expected = parts.clone();
        expected.sort_unstable();
        store.complete_upload(&upload, &done, &PutOptions::default()).await.unwrap();
        let expected: String = expected.iter().map(|(_, body)| *body).collect();
        assert_eq!(text(&store, name, GetOptions::default()).await.unwrap(), expected, "{name}");
    }
    let upload = store.create_upload(&object("given/up"), PutOptions::default()).await.unwrap();
    store.upload_part(&upload, 1, Bytes::from("x")).await.unwrap();
    assert_eq!(list(&store, "", deep()).await.len(), 4, "an unfinished upload is not listed");
    store.abort_upload(&upload).await.unwrap();
    assert!(folder.path().join("given").read_dir().unwrap().next().is_none());
}

#[tokio::test]
async fn a_name_that_is_not_utf_8_is_shown_but_not_read() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    put(&store, "good", "").await;
    let keys = list(&store, "", deep()).await;
    assert_eq!(keys, ["bad\u{FFFD}", "good"]);
    let error = store.stat(&object(&keys[0]), None).await.unwrap_err();
    insta::assert_snapshot!(error, @"`bad�` stands for a file whose name is not UTF-8, which cannot be a key");
    assert!(store.delete(&object(&keys[0])).await.is_err());
}

#[tokio::test]
async fn what_the_connection_says_of_case_counts_and_else_the_folder_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("name"), "").unwrap();
    let apart = !folder.path().join("NAME").exists();
    for (said, tells) in [(None, apart), (Some(true), true), (Some(false), false)] {
        let root = folder.path().to_owned();
        let spec = LocalSpec { root, read_only: false, case_sensitive: said };
        let store = LocalStore::open(Name::new("disk").unwrap(), spec).unwrap();
        let end = store.as_end(Links::Skip, Some("in/")).unwrap();
        for storage in [Arc::new(store) as Storage, end] {
            for below in ["", "in/", "in/deep/"] {
                assert_eq!(storage.tells_case_apart(below, true).await, tells, "{below}");
            }
        }
    }
    assert_eq!(list(&store(folder.path()), "", deep()).await, ["name"], "nothing is left");
}

#[tokio::test]
async fn what_a_folder_cannot_do_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = LocalSpec { root: folder.path().to_owned(), read_only: true, case_sensitive: None };
    let fixed = LocalStore::open(Name::new("disk").unwrap(), spec).unwrap();
    let error = fixed.put(&object("a"), Bytes::new(), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionReadOnly);
    assert!(fixed.delete(&object("a")).await.is_err());
    insta::assert_snapshot!(format!("{:?}", fixed.create_bucket("b").await.unwrap_err()), @r"
    error[usage.invalid]: `disk` is a folder, which has no buckets
    hint: folders are made by writing into them
    ");
    let gone = store(&folder.path().join("gone"));
    let location = Location { bucket: Some(".".into()), key: String::new() };
    let error = gone.list(&location, deep()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::LocalNotFound);
}

#[tokio::test]
async fn copying_inside_a_folder_keeps_time_and_checks_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    put(&store, "a", "body").await;
    let meta = store.stat(&object("a"), None).await.unwrap();
    let copied = store
        .copy(&object("a"), &object("b/c"), meta.etag.as_deref(), PutOptions::default())
        .await
        .unwrap();
    assert_ne!(copied.etag, meta.etag, "two files never have the same state");
    assert_eq!(store.stat(&object("b/c"), None).await.unwrap().last_modified, meta.last_modified);
    let error = store
        .copy(&object("a"), &object("d"), Some("other"), PutOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::ObjectChanged);
    let location = Location { bucket: Some(".".into()), key: String::new() };
    let first = store.list(&location, ListOptions::default()).try_next().await.unwrap().unwrap();
    assert_eq!((first.kind, first.path.as_str()), (EntryKind::Object, "a"));
}

#[tokio::test]
async fn two_runs_of_one_process_that_upload_the_same_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let options = || PutOptions { token: Some("same".to_owned()), ..PutOptions::default() };
    let one = store.create_upload(&object("x"), options()).await.unwrap();
    let two = store.create_upload(&object("x"), options()).await.unwrap();
    assert_ne!(one.id, two.id);
    for (upload, text) in [(&two, "two"), (&one, "one")] {
        let part = store.upload_part(upload, 1, Bytes::from(text)).await.unwrap();
        store.complete_upload(upload, &[part], &options()).await.unwrap();
        assert_eq!(self::text(&store, "x", GetOptions::default()).await.unwrap(), text);
    }
}
