//! What every storage does, and the few things in which folders and buckets differ.

use bytes::Bytes;
use futures::TryStreamExt as _;
use std::time::Duration;
use windlass_s3::{ByteRange, GetOptions, ListOptions, ObjectBody, PutOptions, Storage};
use windlass_types::{EntryKind, Error, ErrorCode, Location, ObjectPath};

/// Bytes that repeat only far apart.
pub(crate) fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

pub(crate) async fn all(body: ObjectBody) -> Result<Vec<u8>, Error> {
    let chunks: Vec<Bytes> = body.stream.try_collect().await?;
    Ok(chunks.concat())
}

pub(crate) struct Place {
    pub(crate) storage: Storage,
    bucket: String,
    prefix: String,
}

impl Place {
    pub(crate) fn at(&self, key: &str) -> ObjectPath {
        ObjectPath { bucket: self.bucket.clone(), key: format!("{}{key}", self.prefix) }
    }

    async fn put(&self, key: &str, body: &[u8]) {
        let body = Bytes::copy_from_slice(body);
        self.storage.put(&self.at(key), body, PutOptions::default()).await.expect(key);
    }

    async fn read(&self, key: &str, range: Option<ByteRange>) -> Vec<u8> {
        let options = GetOptions { range, ..GetOptions::default() };
        let body = self.storage.get(&self.at(key), options).await.expect(key);
        let length = body.length;
        let found = all(body).await.expect(key);
        assert_eq!(found.len() as u64, length, "{key}");
        found
    }

    /// Keys below a prefix, without the place's own.
    async fn keys(&self, below: &str, recursive: bool) -> Vec<String> {
        let location = Location { bucket: Some(self.bucket.clone()), key: self.at(below).key };
        let options = ListOptions { recursive, ..ListOptions::default() };
        let entries: Vec<_> = self.storage.list(&location, options).try_collect().await.unwrap();
        let mut keys: Vec<String> = entries
            .iter()
            .map(|entry| {
                assert_eq!(entry.kind == EntryKind::Prefix, entry.key.ends_with('/'));
                assert_eq!(entry.size.is_some(), entry.kind == EntryKind::Object, "{}", entry.key);
                entry.key.strip_prefix(&self.prefix).unwrap().to_owned()
            })
            .collect();
        if self.storage.promises_order(&self.bucket) && recursive {
            assert!(keys.is_sorted(), "{keys:?}");
        }
        keys.sort();
        keys
    }

    async fn code<T>(&self, work: impl Future<Output = Result<T, Error>>) -> ErrorCode {
        match work.await {
            Ok(_) => panic!("it should fail"),
            Err(error) => error.code(),
        }
    }
}

/// The suite. `bucket` is there and empty below `prefix`.
pub(crate) async fn run(storage: Storage, bucket: &str, prefix: &str) {
    let place = Place { storage, bucket: bucket.to_owned(), prefix: prefix.to_owned() };
    whole_objects(&place).await;
    ranges(&place).await;
    listings(&place).await;
    odd_names(&place).await;
    parts(&place).await;
    conditions(&place).await;
    giving_up(&place).await;
    deletes(&place).await;
}

async fn whole_objects(place: &Place) {
    let storage = &place.storage;
    place.put("a.txt", b"hello").await;
    assert_eq!(place.read("a.txt", None).await, b"hello");
    let meta = storage.stat(&place.at("a.txt"), None).await.unwrap();
    assert_eq!(meta.size, 5);
    let before = meta.etag.expect("a state");
    place.put("a.txt", b"other words").await;
    assert_eq!(place.read("a.txt", None).await, b"other words");
    let after = storage.stat(&place.at("a.txt"), None).await.unwrap().etag.unwrap();
    assert_ne!(before, after);
    place.put("empty", b"").await;
    assert_eq!(place.read("empty", None).await, b"");
    place.put("deep/er/and/deeper.bin", b"x").await;
    assert_eq!(place.read("deep/er/and/deeper.bin", None).await, b"x");
    let nothing = place.at("nothing");
    let missing = storage.get(&nothing, GetOptions::default());
    assert_eq!(place.code(missing).await, ErrorCode::ObjectNotFound);
    assert_eq!(
        place.code(storage.stat(&place.at("no/thing"), None)).await,
        ErrorCode::ObjectNotFound
    );
    // A folder is no object.
    assert_eq!(place.code(storage.stat(&place.at("deep"), None)).await, ErrorCode::ObjectNotFound);
    let deep = place.at("deep");
    let folder = storage.get(&deep, GetOptions::default());
    assert_eq!(place.code(folder).await, ErrorCode::ObjectNotFound);
}

async fn ranges(place: &Place) {
    let body = bytes(300_000);
    place.put("range.bin", &body).await;
    assert_eq!(place.read("range.bin", None).await, body);
    for (range, expected) in [
        (ByteRange::Bounded(0, 1), &body[..1]),
        (ByteRange::Bounded(100_000, 70_000), &body[100_000..170_000]),
        (ByteRange::Bounded(299_990, 50), &body[299_990..]),
        (ByteRange::From(299_999), &body[299_999..]),
    ] {
        assert_eq!(place.read("range.bin", Some(range)).await, expected, "{range:?}");
    }
    assert_eq!(place.read("range.bin", Some(ByteRange::Last(7))).await, &body[299_993..]);
    // Several at once, and one that nobody reads to its end.
    let range = |from| place.read("range.bin", Some(ByteRange::Bounded(from, 1000)));
    let (one, two, three) = tokio::join!(range(0), range(5000), range(250_000));
    assert_eq!(
        (one, two, three),
        (body[..1000].to_vec(), body[5000..6000].to_vec(), body[250_000..251_000].to_vec())
    );
    drop(place.storage.get(&place.at("range.bin"), GetOptions::default()).await.unwrap());
    assert_eq!(range(1).await, body[1..1001]);
}

async fn listings(place: &Place) {
    for key in ["l/x/B", "l/x/a/b!", "l/x/a/c", "l/x/a-b", "l/x/a.txt", "l/x/a0", "l/y"] {
        place.put(key, key.as_bytes()).await;
    }
    assert_eq!(
        place.keys("l/", true).await,
        ["l/x/B", "l/x/a-b", "l/x/a.txt", "l/x/a/b!", "l/x/a/c", "l/x/a0", "l/y"]
    );
    assert_eq!(place.keys("l/", false).await, ["l/x/", "l/y"]);
    assert_eq!(place.keys("l/x/a", false).await, ["l/x/a-b", "l/x/a.txt", "l/x/a/", "l/x/a0"]);
    assert_eq!(place.keys("l/x/a", true).await.len(), 5);
    assert_eq!(place.keys("nothing/here/", true).await, Vec::<String>::new());
    let location = Location { bucket: Some(place.bucket.clone()), key: place.at("l/y").key };
    let entries: Vec<_> =
        place.storage.list(&location, ListOptions::default()).try_collect().await.unwrap();
    let meta = place.storage.stat(&place.at("l/y"), None).await.unwrap();
    assert_eq!(entries[0].size, Some(3));
    // What a listing says of an object is what the object says: plans rely on it.
    assert_eq!(entries[0].etag, meta.etag);
}

async fn odd_names(place: &Place) {
    let names = [
        "a b",
        "ü/ö ä",
        "q?and#",
        "100%",
        "a+b=c&d",
        "it's",
        "semi;colon",
        "日本/語",
        "(x) [y] {z}",
        "-dash",
        "~tilde",
    ];
    let mut expected = Vec::new();
    for name in names {
        let key = format!("odd/{name}");
        let body = Bytes::copy_from_slice(name.as_bytes());
        match place.storage.put(&place.at(&key), body, PutOptions::default()).await {
            Ok(_) => {
                assert_eq!(place.read(&key, None).await, name.as_bytes(), "{key}");
                expected.push(key);
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::PathInvalid, "{key}: {error:?}"),
        }
    }
    assert!(expected.len() + 2 >= names.len(), "{expected:?}");
    expected.sort();
    assert_eq!(place.keys("odd/", true).await, expected);
    // What cannot be a name is refused, or kept as it is: never changed.
    for key in ["odd/a//b", "odd/./x", "odd/../up", "odd/\u{1}"] {
        let object = place.at(key);
        match place.storage.put(&object, Bytes::from_static(b"?"), PutOptions::default()).await {
            Ok(_) => {
                assert_eq!(place.read(key, None).await, b"?", "{key:?}");
                place.storage.delete(&object).await.unwrap();
            }
            Err(error) => assert!(
                matches!(
                    error.code(),
                    ErrorCode::PathInvalid | ErrorCode::PathOutside | ErrorCode::ConnectionFailed
                ),
                "{key:?}: {error:?}"
            ),
        }
    }
    assert_eq!(place.keys("odd/", true).await, expected);
}

async fn parts(place: &Place) {
    let storage = &place.storage;
    let body = bytes((5 << 20) * 2 + 12_345);
    let part =
        |number: usize| body.slice((number - 1) * (5 << 20)..body.len().min(number * (5 << 20)));
    let object = place.at("big/one.bin");
    let upload = storage.create_upload(&object, PutOptions::default()).await.unwrap();
    // Side by side, the last first.
    let (three, one, two) = tokio::join!(
        storage.upload_part(&upload, 3, part(3)),
        storage.upload_part(&upload, 1, part(1)),
        storage.upload_part(&upload, 2, part(2)),
    );
    let all = [one.unwrap(), two.unwrap(), three.unwrap()];
    assert_eq!(place.code(storage.stat(&object, None)).await, ErrorCode::ObjectNotFound);
    storage.complete_upload(&upload, &all, &PutOptions::default()).await.unwrap();
    assert_eq!(storage.stat(&object, None).await.unwrap().size, body.len() as u64);
    assert!(place.read("big/one.bin", None).await == body);
    let range = Some(ByteRange::Bounded((5 << 20) - 10, 20));
    assert_eq!(place.read("big/one.bin", range).await, body[(5 << 20) - 10..(5 << 20) + 10]);
    // One given up leaves nothing.
    let object = place.at("big/two.bin");
    let upload = storage.create_upload(&object, PutOptions::default()).await.unwrap();
    storage.upload_part(&upload, 1, part(1)).await.unwrap();
    storage.abort_upload(&upload).await.unwrap();
    assert_eq!(place.keys("big/", true).await, ["big/one.bin"]);
}

async fn conditions(place: &Place) {
    let storage = &place.storage;
    let object = place.at("cond");
    let new = PutOptions { if_none_match: true, ..PutOptions::default() };
    storage.put(&object, Bytes::from_static(b"first"), new.clone()).await.unwrap();
    let again = storage.put(&object, Bytes::from_static(b"second"), new);
    assert_eq!(place.code(again).await, ErrorCode::ObjectChanged);
    assert_eq!(place.read("cond", None).await, b"first");
    let state = storage.stat(&object, None).await.unwrap().etag;
    let same = PutOptions { if_match: state.clone(), ..PutOptions::default() };
    storage.put(&object, Bytes::from_static(b"second"), same.clone()).await.unwrap();
    let late = storage.put(&object, Bytes::from_static(b"third one"), same);
    assert_eq!(place.code(late).await, ErrorCode::ObjectChanged);
    assert_eq!(place.read("cond", None).await, b"second");
    let old = GetOptions { if_match: state, ..GetOptions::default() };
    assert_eq!(place.code(storage.get(&object, old)).await, ErrorCode::ObjectChanged);
}

async fn giving_up(place: &Place) {
    let object = place.at("slow/never");
    let body = bytes(8 << 20);
    let put = place.storage.put(&object, body, PutOptions::default());
    let _ = tokio::time::timeout(Duration::from_millis(2), put).await;
    // Whether it was written in time or not: whole, or not at all.
    tokio::time::sleep(Duration::from_millis(200)).await;
    if let Ok(meta) = place.storage.stat(&object, None).await {
        assert_eq!(meta.size, 8 << 20);
    }
    place.put("after", b"still there").await;
    assert_eq!(place.read("after", None).await, b"still there");
}

async fn deletes(place: &Place) {
    let storage = &place.storage;
    storage.delete(&place.at("a.txt")).await.unwrap();
    storage.delete(&place.at("a.txt")).await.unwrap();
    storage.delete(&place.at("not/there/at/all")).await.unwrap();
    assert_eq!(place.code(storage.stat(&place.at("a.txt"), None)).await, ErrorCode::ObjectNotFound);
    // A folder with something in it is never removed by its name.
    let _ = storage.delete(&place.at("l")).await;
    let _ = storage.delete(&place.at("l/")).await;
    assert_eq!(place.keys("l/", true).await.len(), 7);
    let keys = place.keys("", true).await;
    let keys: Vec<String> = keys.iter().map(|key| place.at(key).key).collect();
    let failed = storage.delete_many(&place.bucket, &keys).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(place.keys("", true).await, Vec::<String>::new());
}

/// Nothing unfinished is left in a folder.
pub(crate) fn is_clean(folder: &std::path::Path) {
    let begun = std::time::Instant::now();
    loop {
        let mut left = Vec::new();
        find(folder, &mut left);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{left:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn find(folder: &std::path::Path, left: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            find(&entry.path(), left);
        } else if entry.file_name().to_string_lossy().starts_with(".windlass-") {
            left.push(entry.path());
        }
    }
}
